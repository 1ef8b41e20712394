//! What is fuzzed, compiled by itself, without the rest of Sealift: the detectors of `src/classify/values`, the key
//! metadata of files in `src/keys/material.rs`, the tree of subjects' keys in `src/keys/subject/tree.rs`, what is in
//! backups of keys in `src/keys/backup/contents.rs`, and tokens and cells in `src/protect/kernel`.

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

/// The part of `sealift::spec` that says what tokens are like.
#[path = "../../../src/spec"]
pub mod spec {
    pub mod action;
}

/// The part of `sealift::protect` that makes and opens tokens, and takes cells apart.
#[path = "."]
pub mod protect {
    #[path = "../../../src/protect/kernel/cache.rs"]
    mod cache;
    #[path = "../../../src/protect/kernel/calendar.rs"]
    mod calendar;
    #[path = "../../../src/protect/kernel/canonical.rs"]
    mod canonical;
    #[path = "../../../src/protect/kernel/form.rs"]
    mod form;
    #[path = "../../../src/protect/kernel/encrypt_value/layout.rs"]
    mod layout;
    #[path = "../../../src/protect/kernel/siv.rs"]
    mod siv;
    #[path = "../../../src/protect/kernel/text.rs"]
    mod text;
    #[path = "../../../src/protect/kernel/tokenize.rs"]
    pub mod tokenize;
    #[path = "../../../src/protect/kernel/tokenize_fpe.rs"]
    pub mod tokenize_fpe;

    use arrow::array::{ArrayRef, AsArray as _, StringArray};

    use crate::error::Result;
    use crate::keys::{DatasetKey, Domain};
    use crate::spec::action::{Canonical, Fpe};

    trait Kernel {
        fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef>;
    }

    fn prefix(letter: char, key: &DatasetKey) -> String {
        format!("{letter}{}:", key.version())
    }

    fn of_one(kernel: &mut dyn Kernel, value: &str) -> Option<String> {
        let column: ArrayRef = std::sync::Arc::new(StringArray::from(vec![value]));
        kernel.apply(&column).ok().map(|tokens| tokens.as_string::<i32>().value(0).to_owned())
    }

    /// The token of a value.
    pub fn token(key: &DatasetKey, domain: &Domain, canonical: Canonical, value: &str) -> Option<String> {
        of_one(&mut tokenize::Kernel::new(key, domain).ok()?.of_form(canonical), value)
    }

    /// The token of a value that keeps its format; `None` where the value does not fit.
    pub fn fpe_token(key: &DatasetKey, domain: &Domain, how: &Fpe, value: &str) -> Option<String> {
        of_one(&mut tokenize_fpe::Kernel::new(key, domain, how, "column").ok()?, value)
    }

    /// Version of the key and bytes of ciphertext and tag of a cell; `None` for what is none.
    pub fn cell(text: &str) -> Option<(u32, usize)> {
        layout::Parts::of(text).map(|parts| {
            let _ = (parts.kind, parts.salt, parts.nonce, parts.masked);
            (parts.version, parts.sealed.len())
        })
    }
}

/// The part of `sealift::keys` that reads key metadata.
#[path = "."]
pub mod keys {
    #[path = "../../../src/keys/aead.rs"]
    pub mod aead;
    #[path = "../../../src/keys/material.rs"]
    pub mod material;

    /// The part of `sealift::keys::backup` that takes backups apart.
    #[path = "."]
    pub mod backup {
        #[path = "../../../src/keys/backup/contents.rs"]
        mod contents;

        /// The files that these bytes hold, and how they are written again.
        pub fn decode(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
            let files = contents::decode(bytes)?;
            Some((files.len(), contents::encode(&files)?.to_vec()))
        }
    }

    use crate::secret::Secret;

    /// The domain of tokens.
    pub struct Domain(pub String);

    impl std::fmt::Display for Domain {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

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
            /// How many they are.
            pub const BYTES: usize = 12;

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

        /// Its version.
        pub fn version(&self) -> u32 {
            self.id.rsplit_once('@').and_then(|(_, version)| version.parse().ok()).unwrap_or(1)
        }

        /// The key bytes.
        pub fn secret(&self) -> &Secret {
            &self.secret
        }
    }
}
