//! Which keys of a token may be a root key, and what they are called.

use cryptoki::object::{Attribute, AttributeType, KeyType};

use crate::keys::aead;

/// What is asked of a key.
pub(super) const ASKED: [AttributeType; 8] = [
    AttributeType::KeyType,
    AttributeType::ValueLen,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::Private,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Id,
];

/// What stands against the key; an attribute that the token does not tell counts as wrong.
pub(super) fn flaw(attributes: &[Attribute]) -> Option<&'static str> {
    let has = |wanted: fn(&Attribute) -> bool| attributes.iter().any(wanted);
    let is_long_enough = |attribute: &Attribute| matches!(attribute, Attribute::ValueLen(bytes) if **bytes == aead::KEY_BYTES as u64);
    let demands: [(bool, &'static str); 7] = [
        (has(|a| matches!(a, Attribute::KeyType(KeyType::AES))), "is no AES key"),
        (attributes.iter().any(is_long_enough), "is not 256 bits long"),
        (
            has(|a| matches!(a, Attribute::Sensitive(true))),
            "may be read in plain text (it is not CKA_SENSITIVE)",
        ),
        (
            has(|a| matches!(a, Attribute::Extractable(false))),
            "may be taken out of the token (it is CKA_EXTRACTABLE)",
        ),
        (
            has(|a| matches!(a, Attribute::Private(true))),
            "may be used without the PIN (it is not CKA_PRIVATE)",
        ),
        (has(|a| matches!(a, Attribute::Encrypt(true))), "may not encrypt (it is not CKA_ENCRYPT)"),
        (has(|a| matches!(a, Attribute::Decrypt(true))), "may not decrypt (it is not CKA_DECRYPT)"),
    ];
    demands.into_iter().find_map(|(is_met, flaw)| (!is_met).then_some(flaw))
}

/// The key's name, in the form of RFC 7512: by `CKA_ID`, which a new label leaves as it is, or else by label.
/// The token's serial number is no part of it, so that a clone of the token is the same.
pub(super) fn id(token: &str, label: &str, attributes: &[Attribute]) -> String {
    let id = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Id(id) if !id.is_empty() => Some(id),
        _ => None,
    });
    let mut name = format!("pkcs11:token={}", encoded(token));
    match id {
        Some(id) => {
            name.push_str(";id=");
            id.iter().for_each(|byte| push_encoded(&mut name, *byte));
        }
        None => {
            name.push_str(";object=");
            name.push_str(&encoded(label));
        }
    }
    name
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            push_encoded(&mut encoded, byte);
        }
    }
    encoded
}

fn push_encoded(text: &mut String, byte: u8) {
    text.push('%');
    text.push_str(&hex::encode_upper([byte]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> Vec<Attribute> {
        vec![
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Private(true),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Id(vec![1, 0xab]),
        ]
    }

    #[test]
    fn only_a_key_that_stays_in_the_token_is_fit() {
        assert_eq!(flaw(&fit()), None);
        let others = [
            Attribute::KeyType(KeyType::DES3),
            Attribute::ValueLen(16.into()),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Private(false),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
        ];
        let mut flaws = std::collections::BTreeSet::new();
        for (at, other) in others.into_iter().enumerate() {
            let mut changed = fit();
            changed[at] = other;
            flaws.insert(flaw(&changed).unwrap());
            let mut untold = fit();
            untold.remove(at);
            assert_eq!(flaw(&untold), flaw(&changed));
        }
        assert_eq!(flaws.len(), 7);
    }

    #[test]
    fn a_key_is_named_by_its_id_or_else_by_its_label() {
        assert_eq!(id("prod hsm", "root", &fit()), "pkcs11:token=prod%20hsm;id=%01%AB");
        assert_eq!(id("prod", "a;b", &[Attribute::Id(vec![])]), "pkcs11:token=prod;object=a%3Bb");
    }
}
