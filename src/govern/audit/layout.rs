//! The bytes that hashes and signatures of the trail are made of; `docs/audit.md` draws them.
//!
//! Every kind begins with a tag of its own, so that none can be taken for another, and every text with its length,
//! so that no two entries have the same bytes.

use sha2::{Digest as _, Sha256};

/// Begins the bytes that the first entry's `prev` is the hash of.
const TRAIL: &[u8] = b"sealift audit trail v1\0";
/// Begins the bytes of an entry.
const ENTRY: &[u8] = b"sealift audit entry v1\0";
/// Begins the bytes that are signed in a checkpoint.
const CHECKPOINT: &[u8] = b"sealift audit checkpoint v1\0";

/// A SHA-256, lower-case hexadecimal where it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let hash = Self(bytes);
        (hash.to_string() == text).then_some(hash)
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What an entry says, and what it comes after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) seq: i64,
    pub(super) at_ms: i64,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) subject: &'a str,
    pub(super) outcome: &'a str,
    pub(super) prev: Hash,
}

impl Said<'_> {
    /// The entry's hash.
    pub(super) fn hash(&self) -> Hash {
        let texts = [self.actor, self.action, self.subject, self.outcome];
        let mut digest = Sha256::new();
        digest.update(ENTRY);
        digest.update(self.seq.to_be_bytes());
        digest.update(self.at_ms.to_be_bytes());
        for text in texts {
            digest.update(length(text));
            digest.update(text.as_bytes());
        }
        digest.update(self.prev.0);
        Hash(digest.finalize().into())
    }
}

/// What the first entry of a trail comes after.
pub(super) fn beginning(trail: &str) -> Hash {
    let digest = Sha256::new().chain_update(TRAIL).chain_update(length(trail)).chain_update(trail);
    Hash(digest.finalize().into())
}

/// The bytes that a checkpoint's signature is of.
pub(super) fn checkpoint(trail: &str, seq: i64, hash: Hash, at_ms: i64, signer: &str) -> Vec<u8> {
    let parts: [&[u8]; 8] = [
        CHECKPOINT,
        &length(trail),
        trail.as_bytes(),
        &seq.to_be_bytes(),
        &hash.0,
        &at_ms.to_be_bytes(),
        &length(signer),
        signer.as_bytes(),
    ];
    parts.concat()
}

/// The bytes of a text, 32 bits big-endian. What is recorded is far shorter than 4 GiB.
fn length(text: &str) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said<'static> {
        Said {
            seq: 1,
            at_ms: 1_764_460_800_000,
            actor: "os:1000",
            action: "key.release",
            subject: "crm.people/ssn",
            outcome: "done",
            prev: beginning("0196a0b2-7c1d-7e2f-8a3b-4c5d6e7f8091"),
        }
    }

    #[test]
    fn the_bytes_are_those_that_the_page_draws() {
        let said = said();
        assert_eq!(said.prev.to_string(), "59e30f09f2f0a89bfa90e4a62c35bbb6b384a7d7ef2275754b7abb5a1b19555b");
        assert_eq!(
            said.hash().to_string(),
            "7f0b6e52d9fcf1be2b415c3f66fa8ac62699e908d22ae7efcf16373aac571da8"
        );
        let message = checkpoint(
            "0196a0b2-7c1d-7e2f-8a3b-4c5d6e7f8091",
            1,
            said.hash(),
            1_764_460_800_001,
            "sealift:audit#sign@1",
        );
        assert_eq!(
            Hash(Sha256::digest(&message).into()).to_string(),
            "6e447c62ebe29b160cb458bbd266b90dc695ad9c2f630b9778f02ff077b8b2d0"
        );
    }

    #[test]
    fn every_field_counts_and_none_flows_into_the_next() {
        let base = said().hash();
        let others = [
            Said { seq: 2, ..said() },
            Said { at_ms: 0, ..said() },
            Said { actor: "os:100", action: "0key.release", ..said() },
            Said { actor: "os:1000key", action: ".release", ..said() },
            Said { subject: "crm.people/ssn2", ..said() },
            Said { outcome: "denied", ..said() },
            Said { prev: Hash([0; 32]), ..said() },
        ];
        assert!(others.iter().all(|other| other.hash() != base));
    }

    #[test]
    fn a_hash_is_read_in_one_form_only() {
        let hash = said().hash();
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        for bad in ["", "00", &hash.to_string().to_uppercase(), &format!("{hash}0")] {
            assert_eq!(Hash::parse(bad), None, "{bad}");
        }
    }
}
