//! The keys that sign receipts, and checkpoints of the audit trail: Ed25519 (RFC 8032), their seeds wrapped by the
//! root like every dataset key.
//!
//! Whoever checks a signature needs the public key only, which is no secret.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::{DatasetKey, Keyring, Purpose};
use crate::error::{Error, Result};

/// What comes before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs receipts, or checkpoints.
#[derive(Clone)]
pub struct Signer {
    id: String,
    pair: Arc<Ed25519KeyPair>,
}

/// Checks what a [`Signer`] signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    id: String,
    bytes: Vec<u8>,
}

/// A public key as somebody was given it, who may not know its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenKey {
    id: Option<String>,
    bytes: Vec<u8>,
}

impl Keyring {
    /// The signer of receipts, its key made on first use.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn signer(&self) -> Result<Signer> {
        Signer::of(&self.current(&Purpose::Receipts).await?)
    }

    /// The public key of this id, which a receipt names as its signer.
    ///
    /// # Errors
    /// `Denied` when it is no key of ours, or none that signs receipts; else as [`Keyring::by_id`].
    pub async fn public_key(&self, id: &str) -> Result<PublicKey> {
        if !signs(&Purpose::Receipts, id) {
            return Err(Error::denied("this is not the id of a key that signs receipts"));
        }
        Ok(Signer::of(&self.by_id(id).await?)?.public())
    }

    /// The signer of the audit trail's checkpoints, its key made on first use.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn checkpoint_signer(&self) -> Result<Signer> {
        Signer::of(&self.current(&Purpose::Checkpoints).await?)
    }

    /// The public key of this id, which a checkpoint names as its signer.
    ///
    /// # Errors
    /// `Denied` when it is no key of ours, or none that signs checkpoints; else as [`Keyring::by_id`].
    pub async fn checkpoint_key(&self, id: &str) -> Result<PublicKey> {
        if !signs(&Purpose::Checkpoints, id) {
            return Err(Error::denied("this is not the id of a key that signs checkpoints"));
        }
        Ok(Signer::of(&self.by_id(id).await?)?.public())
    }
}

/// Whether the id is of a key for this purpose.
fn signs(purpose: &Purpose, id: &str) -> bool {
    id.rsplit_once('@').is_some_and(|(base, _)| base == purpose.base_id())
}

impl Signer {
    fn of(key: &DatasetKey) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(key.secret().expose())
            .map_err(|_| Error::failed(format!("the key {} cannot sign", key.id())))?;
        Ok(Self { id: key.id().to_owned(), pair: Arc::new(pair) })
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature of these bytes: 64 bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }

    /// What checks its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { id: self.id.clone(), bytes: self.pair.public_key().as_ref().to_vec() }
    }

    /// A signer of which everybody knows the seed.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::of(&DatasetKey::for_tests("sealift:receipts#sign@1", &[7; 32])).unwrap()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// The key's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether this key's signer signed these bytes.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(bytes, signature).is_ok()
    }

    /// The 32 bytes of the key in base64.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    /// The key as OpenSSL and others read it.
    #[must_use]
    pub fn pem(&self) -> String {
        let der = STANDARD.encode([&SPKI[..], &self.bytes].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    }
}

impl GivenKey {
    /// Reads public keys as `sealift keys public` prints them: each in PEM, or its 32 bytes in base64 on a line
    /// of their own, with or without the key's id on the line before.
    ///
    /// # Errors
    /// `Invalid` for anything else, or for no key at all.
    pub fn read(text: &str) -> Result<Vec<Self>> {
        let mut keys = Vec::new();
        let (mut id, mut pem) = (None, None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line {
                "-----BEGIN PUBLIC KEY-----" => pem = Some(String::new()),
                "-----END PUBLIC KEY-----" => {
                    let bytes = bytes_of(&pem.take().unwrap_or_default())?;
                    keys.push(Self { id: id.take(), bytes });
                }
                _ => match &mut pem {
                    Some(pem) => pem.push_str(line),
                    None if line.starts_with("sealift:") => id = Some(line.to_owned()),
                    None => keys.push(Self { id: id.take(), bytes: bytes_of(line)? }),
                },
            }
        }
        if keys.is_empty() || pem.is_some() { Err(no_key()) } else { Ok(keys) }
    }

    /// The key under the id of one that signs checkpoints; `None` where it has another one, or the id is another's.
    #[must_use]
    pub fn of_checkpoints(&self, id: &str) -> Option<PublicKey> {
        self.named(id).filter(|_| signs(&Purpose::Checkpoints, id))
    }

    /// The key under an id; `None` where it has another one.
    #[must_use]
    pub fn named(&self, id: &str) -> Option<PublicKey> {
        let is_its = self.id.as_ref().is_none_or(|own| own == id);
        is_its.then(|| PublicKey { id: id.to_owned(), bytes: self.bytes.clone() })
    }
}

/// The 32 bytes of a key, which may stand in a `SubjectPublicKeyInfo`.
fn bytes_of(base64: &str) -> Result<Vec<u8>> {
    let bytes = STANDARD.decode(base64).map_err(|_| no_key())?;
    let bytes = bytes.strip_prefix(&SPKI).unwrap_or(&bytes);
    if bytes.len() == 32 { Ok(bytes.to_vec()) } else { Err(no_key()) }
}

fn no_key() -> Error {
    Error::invalid("it holds no public key of Ed25519, in PEM or base64")
        .help("`sealift keys public`, where the keys are, prints what is asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_8032() {
        // Section 7.1, test 2.
        let seed = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let signer = Signer::of(&DatasetKey::for_tests("sealift:receipts#sign@1", &seed)).unwrap();
        let public = signer.public();
        assert_eq!(
            hex::encode(&public.bytes),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        let signature = signer.sign(&[0x72]);
        assert!(hex::encode(&signature).starts_with("92a009a9f0d4cab8720e820b5f642540"));
        assert!(public.verifies(&[0x72], &signature));
        assert!(!public.verifies(&[0x73], &signature) && !public.verifies(&[0x72], &signature[1..]));
    }

    #[test]
    fn public_keys_are_read_as_they_are_printed() {
        let key = Signer::for_tests().public();
        let id = key.id().to_owned();
        let pem = GivenKey::read(&format!("{id}\n{}", key.pem())).unwrap();
        assert_eq!(pem[0].named(&id), Some(key.clone()));
        assert_eq!(pem[0].named("sealift:receipts#sign@2"), None);
        let both = GivenKey::read(&format!("{}{}\n", key.pem(), key.base64())).unwrap();
        assert!(both.len() == 2 && both.iter().all(|given| given.named(&id) == Some(key.clone())));
        for bad in ["", "c2hvcnQ=", "-----BEGIN PUBLIC KEY-----\nAAAA", "{}"] {
            assert_eq!(GivenKey::read(bad).unwrap_err().kind(), crate::error::Kind::Invalid, "{bad}");
        }
    }
}
