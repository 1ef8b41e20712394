//! `cargo +nightly fuzz run subjects`: whatever stands for a tree of subjects' keys is refused or written again as it
//! was; of a tree that forgets, all others stay, and what is forgotten is gone for good.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_fuzz::keys::subject::{Digest, Tree};

fuzz_target!(|data: &[u8]| {
    if let Some(tree) = Tree::decode(data) {
        assert_eq!(tree.encode(), data);
    }
    let whole = Tree::whole();
    let mut tree = Tree::whole();
    let (digests, _) = data.as_chunks::<12>();
    let digests: Vec<Digest> = digests.iter().take(16).map(|bytes| Digest::new(*bytes)).collect();
    let (forgotten, others) = digests.split_at(digests.len() / 2);
    for digest in forgotten {
        tree.forget(*digest);
    }
    let again = Tree::decode(&tree.encode()).unwrap();
    for tree in [&tree, &again] {
        assert!(forgotten.iter().all(|digest| tree.leaf(*digest).is_none()));
        for digest in others.iter().filter(|digest| !forgotten.contains(digest)) {
            assert_eq!(tree.leaf(*digest), whole.leaf(*digest));
        }
    }
});
