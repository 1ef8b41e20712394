//! Data keys and their PKMT1 key metadata.
//!
//! The metadata is JSON as parquet-java and pyarrow write it for internal storage and single
//! wrapping, so that their readers need only a KMS client that unwraps:
//!
//! ```text
//! {"keyMaterialType":"PKMT1","internalStorage":true,"isFooterKey":false,
//!  "masterKeyID":"sealift:crm.customers/ssn@1","wrappedDEK":"<base64>","doubleWrapping":false}
//!
//! footer keys also name  "kmsInstanceID":"DEFAULT","kmsInstanceURL":"DEFAULT"
//!
//! wrappedDEK = base64( nonce (12) | ciphertext (32) | tag (16) )
//!              AES-256-GCM under the dataset key, AAD = the UTF-8 bytes of masterKeyID
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{DatasetKey, aead};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// A fresh data key and the key metadata that lets a holder of the dataset key recover it.
#[derive(Debug)]
pub struct DataKey {
    /// 32 random bytes.
    pub secret: Secret,
    /// PKMT1 JSON.
    pub metadata: Vec<u8>,
}

impl DataKey {
    /// Draws a data key and wraps it.
    ///
    /// # Errors
    /// `Failed` when the system gives no randomness, or the dataset key is not made for wrapping.
    pub fn generate(dataset_key: &DatasetKey, footer: bool) -> Result<Self> {
        let secret = aead::random_secret(aead::KEY_BYTES)?;
        let metadata = wrap(&secret, dataset_key, footer, aead::random()?)?;
        Ok(Self { secret, metadata })
    }
}

/// The `masterKeyID` that key metadata names.
///
/// # Errors
/// `Failed` when the bytes are not PKMT1 JSON.
pub fn master_key_id(metadata: &[u8]) -> Result<String> {
    Ok(Material::parse(metadata)?.master_key_id)
}

/// Recovers a data key from its metadata.
///
/// # Errors
/// `Failed` when the metadata is not PKMT1, names another dataset key, or was altered.
pub fn unwrap(metadata: &[u8], dataset_key: &DatasetKey) -> Result<Secret> {
    let material = Material::parse(metadata)?;
    if material.master_key_id != dataset_key.id() {
        return Err(Error::failed(format!(
            "the data key is wrapped by {}, not by {}",
            material.master_key_id,
            dataset_key.id()
        )));
    }
    let wrapped = STANDARD
        .decode(&material.wrapped_dek)
        .map_err(|_| Error::failed("the wrapped data key in the key metadata is not base64"))?;
    let secret = aead::open(dataset_key.secret(), dataset_key.id().as_bytes(), &wrapped)?;
    if secret.expose().len() == aead::KEY_BYTES {
        Ok(secret)
    } else {
        Err(Error::failed("the data key is not 32 bytes long"))
    }
}

fn wrap(
    secret: &Secret,
    dataset_key: &DatasetKey,
    footer: bool,
    nonce: [u8; aead::NONCE_BYTES],
) -> Result<Vec<u8>> {
    let id = dataset_key.id();
    let wrapped = aead::seal_with(dataset_key.secret(), nonce, id.as_bytes(), secret.expose())?;
    let kms = || footer.then(|| DEFAULT.to_owned());
    let material = Material {
        key_material_type: TYPE.to_owned(),
        internal_storage: true,
        is_footer_key: footer,
        kms_instance_id: kms(),
        kms_instance_url: kms(),
        master_key_id: id.to_owned(),
        wrapped_dek: STANDARD.encode(wrapped),
        double_wrapping: false,
    };
    serde_json::to_vec(&material).map_err(|_| Error::failed("key metadata cannot be written as JSON"))
}

const TYPE: &str = "PKMT1";
const DEFAULT: &str = "DEFAULT";

/// The JSON document. Nothing in it but the wrapped key is authenticated, so reading accepts only
/// the one form that is ever written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    key_material_type: String,
    internal_storage: bool,
    is_footer_key: bool,
    #[serde(rename = "kmsInstanceID", default, skip_serializing_if = "Option::is_none")]
    kms_instance_id: Option<String>,
    #[serde(rename = "kmsInstanceURL", default, skip_serializing_if = "Option::is_none")]
    kms_instance_url: Option<String>,
    #[serde(rename = "masterKeyID")]
    master_key_id: String,
    #[serde(rename = "wrappedDEK")]
    wrapped_dek: String,
    double_wrapping: bool,
}

impl Material {
    fn parse(metadata: &[u8]) -> Result<Self> {
        let foreign = || {
            Error::failed("the key metadata is not single-wrapped PKMT1 in internal storage")
                .help("the file was altered, or was not written by Sealift")
        };
        let material: Self = serde_json::from_slice(metadata).map_err(|_| foreign())?;
        let kms = material.is_footer_key.then_some(DEFAULT);
        let is_ours = material.key_material_type == TYPE
            && material.internal_storage
            && !material.double_wrapping
            && material.kms_instance_id.as_deref() == kms
            && material.kms_instance_url.as_deref() == kms;
        if is_ours { Ok(material) } else { Err(foreign()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset_key() -> DatasetKey {
        DatasetKey::for_tests("sealift:crm.customers/ssn@1", &(0..32).collect::<Vec<u8>>())
    }

    /// Computed with Python's `cryptography`: `AESGCM(bytes(range(32))).encrypt(bytes(range(100, 112)),
    /// bytes(range(32, 64)), b"sealift:crm.customers/ssn@1")`.
    const VECTOR: &str = "ZGVmZ2hpamtsbW5vaDr8RV3McLkWS3XD9khE0nLzNDm/WcVFn+iWc8eem3dGYQqkOADSqOxBYqRXF75L";

    #[test]
    fn the_bytes_are_those_an_independent_client_computes() {
        let nonce = std::array::from_fn(|i| 100 + u8::try_from(i).unwrap());
        let secret = Secret::new((32..64).collect());
        let column = wrap(&secret, &dataset_key(), false, nonce).unwrap();
        assert_eq!(
            String::from_utf8(column).unwrap(),
            format!(
                r#"{{"keyMaterialType":"PKMT1","internalStorage":true,"isFooterKey":false,"masterKeyID":"sealift:crm.customers/ssn@1","wrappedDEK":"{VECTOR}","doubleWrapping":false}}"#
            )
        );
        let footer = wrap(&secret, &dataset_key(), true, nonce).unwrap();
        assert_eq!(
            String::from_utf8(footer.clone()).unwrap(),
            format!(
                r#"{{"keyMaterialType":"PKMT1","internalStorage":true,"isFooterKey":true,"kmsInstanceID":"DEFAULT","kmsInstanceURL":"DEFAULT","masterKeyID":"sealift:crm.customers/ssn@1","wrappedDEK":"{VECTOR}","doubleWrapping":false}}"#
            )
        );
        assert_eq!(unwrap(&footer, &dataset_key()).unwrap().expose(), secret.expose());
        assert_eq!(master_key_id(&footer).unwrap(), "sealift:crm.customers/ssn@1");
    }

    #[test]
    fn trap_gcm_one_data_key_per_file_and_column() {
        let key = dataset_key();
        let drawn: Vec<_> = (0..200).map(|_| DataKey::generate(&key, false).unwrap()).collect();
        let secrets: std::collections::BTreeSet<_> = drawn.iter().map(|k| k.secret.expose()).collect();
        let metadata: std::collections::BTreeSet<_> = drawn.iter().map(|k| &k.metadata).collect();
        assert_eq!((secrets.len(), metadata.len()), (drawn.len(), drawn.len()));
        for data_key in &drawn {
            assert_eq!(unwrap(&data_key.metadata, &key).unwrap().expose(), data_key.secret.expose());
        }
    }

    #[test]
    fn every_altered_byte_of_the_metadata_is_refused() {
        for footer in [false, true] {
            let metadata = DataKey::generate(&dataset_key(), footer).unwrap().metadata;
            for at in 0..metadata.len() {
                for bit in 0..8 {
                    let mut altered = metadata.clone();
                    altered[at] ^= 1 << bit;
                    assert!(unwrap(&altered, &dataset_key()).is_err(), "byte {at} bit {bit}");
                }
                assert!(unwrap(&metadata[..at], &dataset_key()).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn another_dataset_key_or_id_does_not_unwrap() {
        let metadata = DataKey::generate(&dataset_key(), false).unwrap().metadata;
        let renamed = DatasetKey::for_tests("sealift:crm.customers/dob@1", dataset_key().secret().expose());
        let error = unwrap(&metadata, &renamed).unwrap_err();
        assert!(error.message().contains("is wrapped by sealift:crm.customers/ssn@1"), "{error}");
        let other = DatasetKey::for_tests(dataset_key().id(), &[9; 32]);
        assert!(unwrap(&metadata, &other).is_err());
    }

    #[test]
    fn metadata_that_pyarrow_wrote_is_read() {
        // pyarrow 26 through a KMS client of the same wire form, dataset key bytes 1 to 32.
        let metadata = br#"{"keyMaterialType":"PKMT1","internalStorage":true,"isFooterKey":true,"kmsInstanceID":"DEFAULT","kmsInstanceURL":"DEFAULT","masterKeyID":"sealift:crm.customers/_footer@1","wrappedDEK":"bLWLciIP2JU/9qmYPi4SxOELYN7Blyn9ZEWU2bamuzsOs1Q+/uHXLMutl+o4M9NwTjh312dsmacXNL4m","doubleWrapping":false}"#;
        let key = DatasetKey::for_tests("sealift:crm.customers/_footer@1", &(1..33).collect::<Vec<u8>>());
        assert_eq!(unwrap(metadata, &key).unwrap().expose().len(), 32);
    }

    #[test]
    fn other_forms_of_key_material_are_refused() {
        let ours = String::from_utf8(DataKey::generate(&dataset_key(), false).unwrap().metadata).unwrap();
        for (this, that) in [
            (r#""doubleWrapping":false"#, r#""doubleWrapping":true"#),
            (r#""internalStorage":true"#, r#""internalStorage":false"#),
            ("PKMT1", "PKMT2"),
            (r#""isFooterKey":false"#, r#""isFooterKey":true"#),
        ] {
            let other = ours.replace(this, that);
            assert_ne!(other, ours);
            assert!(unwrap(other.as_bytes(), &dataset_key()).is_err(), "{that}");
        }
    }

    /// Whoever can write a file could name a service of his own in it, and be told what is asked there.
    #[test]
    fn trap_kms_url_of_a_file_is_refused() {
        let ours = String::from_utf8(DataKey::generate(&dataset_key(), true).unwrap().metadata).unwrap();
        for part in [r#""kmsInstanceURL":"DEFAULT""#, r#""kmsInstanceID":"DEFAULT""#] {
            let other = ours.replace(part, &part.replace("DEFAULT", "http://127.0.0.1:9/"));
            assert_ne!(other, ours);
            assert!(
                master_key_id(other.as_bytes()).is_err() && unwrap(other.as_bytes(), &dataset_key()).is_err()
            );
        }
        // Nor may a column's key name one at all.
        let column = String::from_utf8(DataKey::generate(&dataset_key(), false).unwrap().metadata).unwrap();
        let named = column.replace('}', r#","kmsInstanceURL":"http://127.0.0.1:9/"}"#);
        assert!(master_key_id(named.as_bytes()).is_err());
    }

    #[test]
    fn a_token_key_wraps_nothing() {
        assert!(
            DataKey::generate(&DatasetKey::for_tests("sealift:a.b/c#tokenize@1", &[1; 64]), false).is_err()
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let data_key = DataKey::generate(&dataset_key(), false).unwrap();
        let shown = format!("{data_key:?} {:?}", dataset_key());
        for bytes in [data_key.secret.expose(), dataset_key().secret().expose()] {
            let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            assert!(!shown.contains(&list) && !shown.contains(&hex::encode(bytes)), "{shown}");
        }
    }
}
