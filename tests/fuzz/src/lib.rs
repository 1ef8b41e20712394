//! What is fuzzed, compiled by itself, without the rest of Sealift: the detectors of `src/classify/values`, the key
//! metadata of files in `src/keys/material.rs`, and the tree of subjects' keys in `src/keys/subject/tree.rs`.

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

    /// The part of `sealift::keys::subject` that keeps and forgets.
    #[path = "."]
    pub mod subject {
        #[path = "../../../src/keys/subject/tree.rs"]
        mod tree;

        use zeroize::Zeroizing;

        /// A subject.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct Digest([u8; 12]);

        impl Digest {
            /// Of these bytes.
            pub const fn new(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn bytes(&self) -> &[u8; 12] {
                &self.0
            }
        }

        /// The tree, whose own names are private.
        pub struct Tree(tree::Tree);

        impl Tree {
            /// One that has forgotten nobody.
            pub fn whole() -> Self {
                Self(tree::Tree::new(Zeroizing::new([7; 32])))
            }

            /// What these bytes say.
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                tree::Tree::decode(bytes).map(Self)
            }

            /// As it is written.
            pub fn encode(&self) -> Vec<u8> {
                self.0.encode().expose().to_vec()
            }

            /// Forgets a subject.
            pub fn forget(&mut self, digest: Digest) -> bool {
                self.0.forget(digest)
            }

            /// A subject's key.
            pub fn leaf(&self, digest: Digest) -> Option<[u8; 32]> {
                self.0.leaf(digest).map(|leaf| *leaf)
            }
        }
    }

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
