//! How one encrypted value is laid out: see the parent module for the drawing.

use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keys::subject::Digest;

/// Bytes of a writer's salt.
pub(super) const SALT_BYTES: usize = 16;
/// Bytes of a nonce: a counter, big-endian.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes of the tag of GCM.
pub(super) const TAG_BYTES: usize = 16;
/// In the first byte: the digest of a subject follows the nonce.
pub(super) const BY_SUBJECT: u8 = 0x80;

/// The type that a text is the canonical form of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text = 1,
    Binary = 2,
    Integer = 3,
    Decimal = 4,
    Date = 5,
    Timestamp = 6,
    TimestampTz = 7,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Text,
        Self::Binary,
        Self::Integer,
        Self::Decimal,
        Self::Date,
        Self::Timestamp,
        Self::TimestampTz,
    ];

    /// `None` for a type without a canonical form.
    pub(super) const fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Utf8 => Self::Text,
            DataType::Binary => Self::Binary,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Integer,
            DataType::Decimal128(..) => Self::Decimal,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            _ => return None,
        })
    }

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The word that is bound to a cell.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
        }
    }
}

/// A cell taken apart. Nothing of it is true before it was opened.
pub(super) struct Parts {
    /// Of its key.
    pub(super) version: u32,
    pub(super) kind: Kind,
    /// Its writer's.
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) nonce: [u8; NONCE_BYTES],
    /// The masked digest of its subject.
    pub(super) masked: Option<[u8; Digest::BYTES]>,
    /// Ciphertext and tag.
    pub(super) sealed: Vec<u8>,
}

impl Parts {
    /// `None` for a text that is no cell.
    pub(super) fn of(cell: &str) -> Option<Self> {
        let (version, encoded) = cell.strip_prefix('e')?.split_once(':')?;
        let number: u32 = version.parse().ok().filter(|number: &u32| number.to_string() == version)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (form, rest) = bytes.split_first()?;
        let kind = Kind::of_code(form & !BY_SUBJECT)?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (masked, sealed) = match form & BY_SUBJECT {
            0 => (None, rest),
            _ => rest.split_first_chunk().map(|(masked, rest)| (Some(*masked), rest))?,
        };
        Some(Self { version: number, kind, salt: *salt, nonce: *nonce, masked, sealed: sealed.to_vec() })
    }
}
