use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, Int64Array, StringArray};
use sha2::{Digest, Sha256};

use super::*;
use crate::keys::Domain;
use crate::spec::action::{Canonical, Mask};

fn texts(array: &ArrayRef) -> Vec<Option<&str>> {
    array.as_string::<i32>().iter().collect()
}

fn people() -> ArrayRef {
    Arc::new(StringArray::from(vec![Some("123-45-6789"), None, Some(""), Some("Zoë"), Some("123-45-6789")]))
}

fn hash_key(byte: u8) -> DatasetKey {
    DatasetKey::for_tests("sealift:crm.customers/ssn#hash@3", &[byte; 32])
}

fn token_key(byte: u8) -> DatasetKey {
    DatasetKey::for_tests("sealift:join/customer#tokenize@2", &[byte; 64])
}

fn join(name: &str) -> Domain {
    Domain::Join(name.to_owned())
}

#[test]
fn trap_no_unkeyed_hash() {
    let one = hash::Kernel::new(&hash_key(1)).unwrap().apply(&people()).unwrap();
    let two = hash::Kernel::new(&hash_key(2)).unwrap().apply(&people()).unwrap();
    let (one, two) = (texts(&one), texts(&two));
    assert_ne!(one[0], two[0], "the key matters");
    let unkeyed = hex::encode(Sha256::digest(b"123-45-6789"));
    assert!(!one[0].unwrap().contains(&unkeyed));
    let keys_only = hex::encode(Sha256::digest([&[1_u8; 32][..], b"123-45-6789"].concat()));
    assert!(!one[0].unwrap().contains(&keys_only));
}

#[test]
fn hashes_are_deterministic_and_name_their_key_version() {
    let hashed = hash::Kernel::new(&hash_key(1)).unwrap().apply(&people()).unwrap();
    let seen = texts(&hashed);
    assert_eq!(seen[0], seen[4]);
    assert_eq!(seen[1], None);
    assert!(seen.iter().flatten().all(|h| h.starts_with("h3:") && h.len() == 3 + 64), "{seen:?}");
    // HMAC-SHA-256 of nothing under 32 bytes of 1, from Python's `hmac`.
    assert_eq!(seen[2], Some("h3:2e72eb6626e1d4f7fc6dff111585898f2e37c471a68862f07f10aa2824d57c75"));
}

#[test]
fn tokens_come_back_and_only_with_key_and_domain() {
    let key = token_key(7);
    let tokens = tokenize::Kernel::new(&key, &join("customer")).unwrap().apply(&people()).unwrap();
    let seen = texts(&tokens);
    assert_eq!((seen[0], seen[1]), (seen[4], None));
    for (token, plain) in [(seen[0], "123-45-6789"), (seen[2], ""), (seen[3], "Zoë")] {
        let token = token.unwrap();
        assert!(token.starts_with("t2:") && !token.contains('='), "{token}");
        let back = tokenize::detokenize(&key, &join("customer"), token).unwrap();
        assert_eq!(back, plain.as_bytes());
        assert!(tokenize::detokenize(&token_key(8), &join("customer"), token).is_err());
        assert!(tokenize::detokenize(&key, &join("supplier"), token).is_err());
        for at in 0..token.len() {
            let mut altered = token.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(tokenize::detokenize(&key, &join("customer"), &altered).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_token_is_that_of_an_independent_implementation() {
    // Python's `AESSIV(bytes(range(64))).encrypt(b"123-45-6789", [b"join/customer"])`.
    let key = DatasetKey::for_tests("sealift:join/customer#tokenize@1", &(0..64).collect::<Vec<u8>>());
    let tokens = tokenize::Kernel::new(&key, &join("customer")).unwrap().apply(&people()).unwrap();
    assert_eq!(texts(&tokens)[0], Some("t1:y3DlgFFyhpzPXxug0f8rDNzbhd2_XOJDS3FX"));
}

#[test]
fn equal_values_join_whatever_type_carries_them() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![42]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["42"]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"42"[..]]));
    let mut kernel = tokenize::Kernel::new(&token_key(7), &join("customer")).unwrap();
    let tokens = [numbers, text, bytes].map(|array| kernel.apply(&array).unwrap());
    assert_eq!(texts(&tokens[0]), texts(&tokens[1]));
    assert_eq!(texts(&tokens[1]), texts(&tokens[2]));
}

#[test]
fn a_mask_keeps_the_end_and_tells_no_length() {
    let column: ArrayRef = Arc::new(StringArray::from(vec![
        Some("4111111111111111"),
        Some("123456789"),
        None,
        Some("1234567"),
        Some(""),
    ]));
    let masked = mask::Kernel::new(Mask { keep_last: 4 }).apply(&column).unwrap();
    assert_eq!(
        texts(&masked),
        [Some("********1111"), Some("********6789"), None, Some("********"), Some("********")]
    );
}

#[test]
fn redaction_is_constant_in_batches_of_any_length() {
    let mut kernel = redact::Kernel::default();
    for rows in [3, 5, 2, 0, 5] {
        let column = people().slice(0, rows);
        let redacted = kernel.apply(&column).unwrap();
        let expected: Vec<_> = texts(&column).iter().map(|v| v.map(|_| "[REDACTED]")).collect();
        assert_eq!(texts(&redacted), expected);
    }
}

#[test]
fn slices_are_read_at_their_offset() {
    let tail = people().slice(2, 3);
    let mut kernel = hash::Kernel::new(&hash_key(1)).unwrap();
    let whole = kernel.apply(&people()).unwrap();
    let part = kernel.apply(&tail).unwrap();
    assert_eq!(texts(&part), texts(&whole)[2..]);
    let middle: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(42)]).slice(1, 2));
    assert_eq!(kernel.apply(&middle).unwrap().null_count(), 1);
}

#[test]
fn scrubbed_passages_become_labels_or_tokens_of_their_domain() {
    let note = "write to anna@example.org or anna@example.org, not to ben@example.org";
    let notes: ArrayRef = Arc::new(StringArray::from(vec![Some(note), None, Some(""), Some("nothing here")]));
    let labels = scrub::Kernel::labels().apply(&notes).unwrap();
    let others = [None, Some(""), Some("nothing here")];
    assert_eq!(texts(&labels)[0], Some("write to [EMAIL] or [EMAIL], not to [EMAIL]"));
    assert_eq!(texts(&labels)[1..], others);
    let tokens = || tokenize::Tokens::new(&token_key(7), &join("customer")).unwrap();
    let scrubbed = scrub::Kernel::tokens(tokens()).apply(&notes).unwrap();
    assert_eq!(texts(&scrubbed)[1..], others);
    let mails: ArrayRef = Arc::new(StringArray::from(vec!["anna@example.org", "ben@example.org"]));
    let mails = tokenize::Kernel::new(&token_key(7), &join("customer")).unwrap().apply(&mails).unwrap();
    let [anna, ben] = [0, 1].map(|at| texts(&mails)[at].unwrap());
    let expected = format!("write to [EMAIL {anna}] or [EMAIL {anna}], not to [EMAIL {ben}]");
    assert_eq!(texts(&scrubbed)[0], Some(expected.as_str()), "they join with tokens of the column");
}

#[test]
fn forms_are_named_in_pseudonyms_and_the_default_is_as_it_was() {
    let mails: ArrayRef =
        Arc::new(StringArray::from(vec![Some("Anna@Example.org"), Some("<anna@example.org>"), None]));
    let hashed =
        |canonical| hash::Kernel::new(&hash_key(1)).unwrap().of_form(canonical).apply(&mails).unwrap();
    let plain = hash::Kernel::new(&hash_key(1)).unwrap().apply(&mails).unwrap();
    assert_eq!(texts(&hashed(Canonical::Text)), texts(&plain));
    let email = hashed(Canonical::Email);
    let email = texts(&email);
    assert!(email[0].unwrap().starts_with("h3.email1:"));
    assert_eq!((email[0], email[2]), (email[1], None));
    assert_ne!(texts(&plain)[0], texts(&plain)[1]);
    // Equal bytes under two forms are different pseudonyms.
    let lower = hashed(Canonical::Lower);
    assert_ne!(texts(&lower)[0], email[0]);

    let key = token_key(7);
    let tokens = tokenize::Kernel::new(&key, &join("customer")).unwrap().of_form(Canonical::Email);
    let tokens = { tokens }.apply(&mails).unwrap();
    let token = texts(&tokens)[0].unwrap();
    assert!(token.starts_with("t2.email1:"), "{token}");
    let back = tokenize::detokenize(&key, &join("customer"), token).unwrap();
    assert_eq!(back, b"anna@example.org");
    assert!(tokenize::detokenize(&key, &join("customer"), &token.replace("t2.", "t2x")).is_err());
    assert!(tokenize::detokenize(&key, &join("customer"), &token.replace("t2.", "t21.")).is_err());
}
