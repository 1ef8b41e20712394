//! The signed evidence of one published version.
//!
//! A receipt lies beside the table, at `_sealift/receipts/<version>-<commit id>.json`. It is written before
//! the commit of its version is tried, and the commit holds its SHA-256; it holds that of the receipt before
//! it. So a commit of ours without a receipt cannot come to be, and none can be altered or taken away
//! without another one telling. `docs/evidence.md` describes the bytes.

pub mod canonical;
mod found;
mod issue;
mod original;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::keys::{PublicKey, Signer};
use crate::spec::Action;
use crate::spec::action::Options;

pub use self::found::{Named, Place, all, commit_sha256, named, read};
pub(super) use self::issue::{Deed, Issued, issue};
pub use self::original::check as check_originals;
pub use super::commit::{actions_of, files_of};

/// What the first field of every receipt says.
pub const FORMAT: &str = "sealift-receipt/1";

/// What stands in a commit in the place of its receipt's digest, when the commit's own digest is made.
pub const UNNAMED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`FORMAT`].
    pub format: String,
    /// The dataset, `namespace.name`.
    pub dataset: String,
    /// The version.
    pub version: u64,
    /// The id inside its commit; also the nonce of `values`.
    pub commit_id: String,
    /// The run that published it.
    pub run_id: String,
    /// Who asked for the run: `cli`, `api` or `schedule`.
    pub trigger: String,
    /// `pipeline/stream`.
    pub stream: String,
    /// What the version did to the table: `overwrite` (no row of an older one stays), `append`, `merge`,
    /// `reshape`, `compact` or `erase`.
    pub operation: String,
    /// Where the rows come from.
    pub source: Source,
    /// SHA-256 of the pipeline document.
    pub spec_digest: String,
    /// The policy in force.
    pub policy: Policy,
    /// What happened to each leaf column.
    pub columns: Vec<Decided>,
    /// How many rows went where.
    pub rows: Rows,
    /// The values that the added files were made from.
    pub values: Values,
    /// The data files that the version adds and removes.
    pub files: Files,
    /// SHA-256 of the commit, in which [`UNNAMED`] stands in the place of this receipt's own digest.
    pub commit_sha256: String,
    /// When the run began with the stream, RFC 3339.
    pub started_at: String,
    /// When the commit was tried, RFC 3339.
    pub committed_at: String,
    /// Who approved; nobody has to yet.
    pub approvals: Vec<Value>,
    /// The receipt before this one; `None` for the table's first.
    pub previous: Option<Link>,
    /// Id of the key that signed.
    pub signer: String,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The connection's name.
    pub connection: String,
    /// The source's name for the instant, where it has one.
    pub snapshot: Option<String>,
}

/// A version of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// SHA-256 of the document.
    pub digest: String,
}

/// What happened to one leaf column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The leaf path.
    pub column: String,
    /// The tag that decided, if any.
    pub tag: Option<String>,
    /// The action's word.
    pub action: String,
    /// Id of the key it used, if any.
    pub key: Option<String>,
    /// The action's options that decide what becomes of a value; empty where it has none, and where rows stay whose
    /// action was recorded before.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    pub options: Options,
}

impl Decided {
    /// The same of rows that stay, for a commit that writes their files anew or not at all. Encrypted ones may then
    /// have a newer key.
    #[must_use]
    pub fn of_rows_that_stay(&self) -> Self {
        let key = self.key.clone().filter(|_| self.action != Action::Encrypt.word());
        Self { key, ..self.clone() }
    }
}

/// How many rows a run brought, and what became of them: `read = filtered + quarantined + written`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// Rows that the source gave.
    pub read: u64,
    /// Rows that the transform left out; negative where it makes more than it is given.
    pub filtered: i64,
    /// Rows that went to the quarantine.
    pub quarantined: u64,
    /// Rows that were written.
    pub written: u64,
}

impl Rows {
    /// The rows of a run; what is missing was filtered.
    #[must_use]
    pub const fn of(read: u64, quarantined: u64, written: u64) -> Self {
        let gone = quarantined.saturating_add(written);
        Self { read, filtered: read.wrapping_sub(gone).cast_signed(), quarantined, written }
    }
}

/// Digests of the values before any action, as [`crate::protect::digest`] makes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// Id of the dataset's digest key.
    pub key: String,
    /// One for each top-level column.
    pub columns: Vec<Digested>,
}

/// The digest of one top-level column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digested {
    /// The column.
    pub column: String,
    /// The kind of its values: `integer`, `decimal.2`, `text` …
    pub kind: String,
    /// Its NULLs.
    pub nulls: u64,
    /// The digest, hexadecimal.
    pub digest: String,
}

/// The data files that a version adds and removes, each by its name without the folders: a folder is called
/// by a value of a partition column, and receipts stay when rows are erased. No two data files share a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// In the order of the commit.
    pub added: Vec<Added>,
    /// Their names.
    pub removed: Vec<String>,
}

/// A data file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Added {
    /// Its name.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Points at another receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its version.
    pub version: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl Receipt {
    /// Its bytes, signed: the canonical form with one more field, `signature`, which is base64 of the
    /// Ed25519 signature of the canonical form without it.
    ///
    /// # Errors
    /// `Failed` when it cannot be written as JSON.
    pub fn sign(&self, signer: &Signer) -> Result<Vec<u8>> {
        use base64::Engine as _;
        let unwritable = |_| Error::failed("a receipt cannot be written as JSON");
        let mut receipt = serde_json::to_value(self).map_err(unwritable)?;
        let signature = signer.sign(&canonical::bytes(&receipt));
        receipt["signature"] = Value::String(base64::prelude::BASE64_STANDARD.encode(signature));
        Ok(canonical::bytes(&receipt))
    }

    /// Reads a receipt's bytes.
    ///
    /// # Errors
    /// `Failed` for what is not a receipt of this format, or not in canonical form.
    pub fn parse(bytes: &[u8]) -> Result<Signed> {
        use base64::Engine as _;
        let broken = || Error::failed("it is no receipt of the format that this release knows");
        let mut fields: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(|_| broken())?;
        if canonical::bytes(&serde_json::json!(fields)) != bytes {
            return Err(Error::failed("it is not in canonical form"));
        }
        let signature = fields.remove("signature").ok_or_else(broken)?;
        let signature = signature.as_str().ok_or_else(broken)?;
        let signature = base64::prelude::BASE64_STANDARD.decode(signature).map_err(|_| broken())?;
        let unsigned = serde_json::json!(fields);
        let message = canonical::bytes(&unsigned);
        let receipt: Self = serde_json::from_value(unsigned).map_err(|_| broken())?;
        if receipt.format != FORMAT {
            return Err(broken());
        }
        Ok(Signed { receipt, message, signature })
    }
}

/// A receipt as it was found, whose signature nobody has checked yet.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What it says.
    pub receipt: Receipt,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Whether the owner of this key signed it.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        self.receipt.signer == key.id() && key.verifies(&self.message, &self.signature)
    }
}
