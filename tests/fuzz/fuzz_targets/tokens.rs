//! `cargo +nightly fuzz run tokens`: a token opens to the value that it was made of; any other text opens to nothing, or
//! is the token of what it opens to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_fuzz::keys::{DatasetKey, Domain};
use sealift_fuzz::protect::tokenize::Opener;
use sealift_fuzz::protect::{fpe_token, token, tokenize_fpe};
use sealift_fuzz::spec::action::{Alphabet, Canonical, Fpe, OnUnfit};

fuzz_target!(|text: &str| {
    let domain = Domain("join/customer".to_owned());
    let key = DatasetKey::new("sealift:join/customer#tokenize@1", (0..64).collect());
    let mut opener = Opener::new(&[DatasetKey::new(key.id(), (0..64).collect())], &domain).unwrap();
    if let Some(value) = opener.open(text).and_then(|value| String::from_utf8(value).ok()) {
        // The name of a form is no part of what the key seals.
        let form = text.split_once(':').unwrap().0.split_once('.').map(|(_, form)| form);
        assert!(form.is_some() || token(&key, &domain, Canonical::Text, &value).unwrap() == text);
    }
    let made = token(&key, &domain, Canonical::Text, text).unwrap();
    assert_eq!(opener.open(&made).unwrap(), text.as_bytes());
    for canonical in [Canonical::Lower, Canonical::Digits, Canonical::Email, Canonical::Phone { calling_code: Some(41) }] {
        assert!(opener.open(&token(&key, &domain, canonical, text).unwrap()).is_some());
    }

    let key = DatasetKey::new("sealift:join/customer#fpe@1", (0..32).collect());
    for alphabet in Alphabet::ALL {
        let how = Fpe { alphabet, on_unfit: OnUnfit::Fail, join_domain: None };
        let _ = tokenize_fpe::detokenize(&key, &domain, alphabet, text);
        if let Some(made) = fpe_token(&key, &domain, &how, text) {
            assert_eq!(made.chars().count(), text.chars().count());
            assert_eq!(tokenize_fpe::detokenize(&key, &domain, alphabet, &made).unwrap(), text);
        }
    }
});
