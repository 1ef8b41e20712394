//! What is fuzzed, compiled by itself, without the rest of Sealift: the detectors of `src/classify/values`, and the key
//! metadata of files in `src/keys/material.rs`.

/// The part of `sealift::classify` that looks at values.
#[path = "."]
pub mod classify {
    #[path = "../../../src/classify/values/mod.rs"]
    pub mod values;
}

#[path = "../../../src/error.rs"]
pub mod error;
#[path = "../../../src/secret.rs"]
pub mod secret;

/// The part of `sealift::keys` that reads key metadata.
#[path = "."]
pub mod keys {
    #[path = "../../../src/keys/aead.rs"]
    pub mod aead;
    #[path = "../../../src/keys/material.rs"]
    pub mod material;

    use crate::secret::Secret;

    /// A dataset key that nobody keeps.
    pub struct DatasetKey {
        id: String,
        secret: Secret,
    }

    impl DatasetKey {
        /// A key of these bytes.
        pub fn new(id: &str, bytes: Vec<u8>) -> Self {
            Self { id: id.to_owned(), secret: Secret::new(bytes) }
        }

        /// Its id.
        pub fn id(&self) -> &str {
            &self.id
        }

        /// The key bytes.
        pub fn secret(&self) -> &Secret {
            &self.secret
        }
    }
}
