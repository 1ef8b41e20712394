//! `cargo +nightly fuzz run material`: whatever stands in a file as key metadata gives an error or a data key of 32 bytes,
//! and a key only where the dataset key wrapped it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_fuzz::keys::DatasetKey;
use sealift_fuzz::keys::material::{DataKey, master_key_id, unwrap};

fuzz_target!(|data: &[u8]| {
    let key = DatasetKey::new("sealift:crm.customers/ssn@1", (0..32).collect());
    let id = master_key_id(data);
    if let Ok(secret) = unwrap(data, &key) {
        assert_eq!(id.ok().as_deref(), Some(key.id()));
        assert_eq!(secret.expose().len(), 32);
    }
    // The same bytes laid over metadata of our own: what is read is what was wrapped, or nothing.
    let own = DataKey::generate(&key, data.len() % 2 == 0).unwrap();
    let mut altered = own.metadata.clone();
    for (byte, by) in altered.iter_mut().zip(data) {
        *byte ^= by;
    }
    if let Ok(secret) = unwrap(&altered, &key) {
        assert_eq!(secret.expose(), own.secret.expose());
    }
});
