//! What a dataset key is for, and how that names it.

use std::fmt;

use crate::spec::DatasetName;

/// What a dataset key is for; each purpose has a key of its own.
///
/// In ids the characters `%`, `#`, `@` and `/` of a column or domain name, control characters, and
/// the first character of a column called `_footer` are percent-encoded, so that no two purposes
/// share an id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Wraps the data keys of a column (32 bytes): `sealift:<ns>.<name>/<column>@<version>`.
    Column {
        /// The dataset.
        dataset: DatasetName,
        /// Leaf path.
        column: String,
    },
    /// Wraps the footer keys of a dataset (32 bytes): `sealift:<ns>.<name>/_footer@<version>`.
    Footer(DatasetName),
    /// Makes tokens (AES-SIV, 64 bytes): `sealift:<domain>#tokenize@<version>`, the domain being
    /// `join/<name>` or `<ns>.<name>/<column>`.
    Tokenize(Domain),
    /// Makes hashes (HMAC-SHA-256, 32 bytes): `sealift:<domain>#hash@<version>`.
    Hash(Domain),
    /// Makes format-preserving tokens (FF1 with AES-256, 32 bytes): `sealift:<domain>#fpe@<version>`.
    Fpe(Domain),
    /// Encrypts a column's cells (32 bytes): `sealift:<ns>.<name>/<column>#value@<version>`. It is used inside
    /// Sealift alone, so that its id is not among those of the dataset's reading keys.
    Value {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
    },
    /// Derives the keys of the subjects that a column's cells are encrypted by (32 bytes), see [`super::subject`]:
    /// `sealift:<ns>.<name>/<column>#subject@<generation>`. It is used inside Sealift alone, too.
    Subject {
        /// The dataset.
        dataset: DatasetName,
        /// The column.
        column: String,
    },
    /// Decides by how many days dates are moved (HMAC-SHA-256, 32 bytes): `sealift:<ns>.<name>#shift@<version>`, or
    /// `sealift:join/<name>#shift@<version>` across datasets.
    Shift {
        /// The dataset.
        dataset: DatasetName,
        /// The domain, where there is one; the dataset's name does not count then.
        join_domain: Option<String>,
    },
    /// Makes the digests of a dataset's columns in its receipts (32 bytes):
    /// `sealift:<ns>.<name>#digest@<version>`. It reads nothing, so that its id is not among those of
    /// the dataset's reading keys.
    Digest(DatasetName),
    /// Seals what a dataset's commits tell of values of rows, such as how far a source is read (32 bytes):
    /// `sealift:<ns>.<name>#note@<version>`. It is for Sealift alone, so that its id is not among those of the
    /// dataset's reading keys.
    Notes(DatasetName),
    /// Signs receipts (the seed of an Ed25519 key, 32 bytes): `sealift:receipts#sign@<version>`.
    Receipts,
    /// Signs checkpoints of the audit trail (the seed of an Ed25519 key, 32 bytes): `sealift:audit#sign@<version>`.
    Checkpoints,
}

/// Where equal values give equal tokens or hashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Across every column that names this join domain.
    Join(String),
    /// Inside one column of one dataset.
    Column {
        /// The dataset.
        dataset: DatasetName,
        /// Leaf path.
        column: String,
    },
}

impl Purpose {
    /// The key's id without `@<version>`.
    #[must_use]
    pub fn base_id(&self) -> String {
        match self {
            Self::Column { dataset, column } => format!("sealift:{dataset}/{}", escape(column)),
            Self::Footer(dataset) => format!("sealift:{dataset}/_footer"),
            Self::Tokenize(domain) => format!("sealift:{domain}#tokenize"),
            Self::Hash(domain) => format!("sealift:{domain}#hash"),
            Self::Fpe(domain) => format!("sealift:{domain}#fpe"),
            Self::Value { dataset, column } => format!("sealift:{dataset}/{}#value", escape(column)),
            Self::Subject { dataset, column } => format!("sealift:{dataset}/{}#subject", escape(column)),
            Self::Shift { join_domain: Some(name), .. } => {
                format!("sealift:{}#shift", Domain::Join(name.clone()))
            }
            Self::Shift { dataset, join_domain: None } => format!("sealift:{dataset}#shift"),
            Self::Digest(dataset) => format!("sealift:{dataset}#digest"),
            Self::Notes(dataset) => format!("sealift:{dataset}#note"),
            Self::Receipts => "sealift:receipts#sign".to_owned(),
            Self::Checkpoints => "sealift:audit#sign".to_owned(),
        }
    }

    /// Bytes of a key for this purpose.
    pub(super) const fn key_bytes(&self) -> usize {
        match self {
            // AES-SIV splits its key in two AES-256 keys.
            Self::Tokenize(_) => 64,
            Self::Column { .. }
            | Self::Footer(_)
            | Self::Hash(_)
            | Self::Fpe(_)
            | Self::Value { .. }
            | Self::Subject { .. }
            | Self::Shift { .. }
            | Self::Digest(_)
            | Self::Notes(_)
            | Self::Receipts
            | Self::Checkpoints => 32,
        }
    }
}

/// As it stands in key ids, and as AES-SIV associated data.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(name) => write!(f, "join/{}", escape(name)),
            Self::Column { dataset, column } => write!(f, "{dataset}/{}", escape(column)),
        }
    }
}

/// The id of a key that makes pseudonyms, taken apart: `sealift:<domain>#<use>@<version>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainKey<'a> {
    /// The id without the version.
    pub base: &'a str,
    /// The domain, as [`Domain`] is displayed.
    pub domain: &'a str,
    /// What the key is for: `tokenize`, `fpe` or `hash`.
    pub purpose: &'a str,
    /// Its version, from 1.
    pub version: u32,
}

impl<'a> DomainKey<'a> {
    /// `None` for the id of another key.
    #[must_use]
    pub fn of(id: &'a str) -> Option<Self> {
        let (base, version) = split_id(id)?;
        let (domain, purpose) = base.strip_prefix("sealift:")?.rsplit_once('#')?;
        let is_of_domain = domain.contains('/') && matches!(purpose, "tokenize" | "fpe" | "hash");
        is_of_domain.then_some(Self { base, domain, purpose, version })
    }
}

/// An id taken apart into base and version; `None` when the text is no key id.
#[must_use]
pub fn split_id(id: &str) -> Option<(&str, u32)> {
    let (base, version) = id.rsplit_once('@')?;
    let number: u32 = version.parse().ok()?;
    let is_canonical = number > 0 && number.to_string() == version;
    (is_canonical && base.starts_with("sealift:")).then_some((base, number))
}

fn escape(name: &str) -> String {
    if name == "_footer" {
        return "%5ffooter".to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '%' | '#' | '@' | '/') || c.is_control() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push('%');
                out.push_str(&hex::encode([byte]));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn column(name: &str) -> Purpose {
        Purpose::Column { dataset: DatasetName::parse("crm.customers").unwrap(), column: name.to_owned() }
    }

    #[test]
    fn ids_are_those_of_the_design() {
        let dataset = DatasetName::parse("crm.customers").unwrap();
        assert_eq!(column("address.city").base_id(), "sealift:crm.customers/address.city");
        assert_eq!(Purpose::Footer(dataset.clone()).base_id(), "sealift:crm.customers/_footer");
        let (of, name) = (dataset.clone(), "email".to_owned());
        let value = Purpose::Value { dataset: of.clone(), column: name.clone() };
        assert_eq!(value.base_id(), "sealift:crm.customers/email#value");
        let subject = Purpose::Subject { dataset: of, column: name };
        assert_eq!(subject.base_id(), "sealift:crm.customers/email#subject");
        let own = Domain::Column { dataset, column: "email".to_owned() };
        assert_eq!(Purpose::Tokenize(own.clone()).base_id(), "sealift:crm.customers/email#tokenize");
        assert_eq!(Purpose::Hash(own).base_id(), "sealift:crm.customers/email#hash");
        let join = Domain::Join("customer".to_owned());
        assert_eq!(Purpose::Tokenize(join).base_id(), "sealift:join/customer#tokenize");
    }

    #[test]
    fn ids_of_pseudonyms_come_apart() {
        let own =
            Domain::Column { dataset: DatasetName::parse("crm.a").unwrap(), column: "a#b/c@d".to_owned() };
        for domain in [own, Domain::Join("customer".to_owned())] {
            let base = Purpose::Fpe(domain.clone()).base_id();
            let id = format!("{base}@12");
            let text = domain.to_string();
            let apart = DomainKey { base: &base, domain: &text, purpose: "fpe", version: 12 };
            assert_eq!(DomainKey::of(&id), Some(apart));
            assert_eq!(DomainKey::of(&base), None);
        }
        for other in
            ["sealift:crm.a/email@1", "sealift:crm.a#note@1", "sealift:join/x#shift@1", "join/x#fpe@1"]
        {
            assert_eq!(DomainKey::of(other), None, "{other}");
        }
    }

    #[test]
    fn no_column_name_can_take_the_id_of_another_purpose() {
        let dataset = DatasetName::parse("crm.customers").unwrap();
        let own = Domain::Column { dataset: dataset.clone(), column: "email".to_owned() };
        let purposes = [
            column("email"),
            column("_footer"),
            column("%5ffooter"),
            column("email#tokenize"),
            column("email#hash"),
            column("email#value"),
            column("email#subject"),
            column("email@2"),
            column("a/b"),
            column("a%2fb"),
            Purpose::Footer(dataset.clone()),
            Purpose::Digest(dataset.clone()),
            Purpose::Shift { dataset: dataset.clone(), join_domain: None },
            Purpose::Shift { dataset: dataset.clone(), join_domain: Some("email".to_owned()) },
            Purpose::Value { dataset: dataset.clone(), column: "email".to_owned() },
            Purpose::Subject { dataset: dataset.clone(), column: "email".to_owned() },
            Purpose::Notes(dataset),
            Purpose::Receipts,
            Purpose::Checkpoints,
            Purpose::Tokenize(own.clone()),
            Purpose::Fpe(own.clone()),
            Purpose::Hash(own),
        ];
        let ids: BTreeSet<_> = purposes.iter().map(Purpose::base_id).collect();
        assert_eq!(ids.len(), purposes.len(), "{ids:?}");
    }

    #[test]
    fn an_id_is_split_at_its_version() {
        assert_eq!(split_id("sealift:a.b/c@12"), Some(("sealift:a.b/c", 12)));
        for bad in
            ["sealift:a.b/c", "sealift:a.b/c@0", "sealift:a.b/c@01", "sealift:a.b/c@+1", "x@1", "@1", ""]
        {
            assert_eq!(split_id(bad), None, "{bad}");
        }
    }
}
