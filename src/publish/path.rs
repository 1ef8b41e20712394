//! Object paths as a type: the only way to name an object that is written.

use std::fmt;
use std::fmt::Write as _;

use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::spec::DatasetName;

/// Most bytes of one partition folder's name; file systems stop at 255.
const FOLDER_BYTES: usize = 200;

/// The folder name's value for NULL, as Hive and Delta write it.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// One object of a dataset's table. Made only of a dataset name (slugs) and a relative name this
/// module built or checked, so no value can climb out of the table's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath {
    table: String,
    relative: String,
}

impl ObjectPath {
    /// A new data file's path: `part-<uuid v7>.parquet`, below one `column=value` folder per
    /// partition value.
    #[must_use]
    pub fn data_file(dataset: &DatasetName, partition: &[(String, Option<String>)]) -> Self {
        let mut relative = String::new();
        for (column, value) in partition {
            relative.push_str(&folder(column, value.as_deref()));
            relative.push('/');
        }
        // Writing to a String cannot fail.
        let _ = write!(relative, "part-{}.parquet", uuid::Uuid::now_v7());
        Self { table: table(dataset), relative }
    }

    /// The commit of a version: `_delta_log/<20 digits>.json`.
    #[must_use]
    pub fn commit(dataset: &DatasetName, version: u64) -> Self {
        Self { table: table(dataset), relative: format!("_delta_log/{version:020}.json") }
    }

    /// The receipt of an attempt at a version: `_sealift/receipts/<20 digits>-<commit id>.json`. Delta
    /// readers, and vacuum, leave folders alone whose names begin with `_`.
    #[must_use]
    pub fn receipt(dataset: &DatasetName, version: u64, commit_id: &str) -> Self {
        let id = encode(commit_id, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        Self { table: table(dataset), relative: format!("_sealift/receipts/{version:020}-{id}.json") }
    }

    /// An object that the table's log names, by its decoded relative path.
    ///
    /// # Errors
    /// `Failed` when the path would leave the table's folder.
    pub fn existing(dataset: &DatasetName, relative: &str) -> Result<Self> {
        let path = Self { table: table(dataset), relative: relative.to_owned() };
        match Path::parse(relative) {
            Ok(parsed) if parsed.as_ref() == relative && !relative.is_empty() => Ok(path),
            _ => Err(Error::failed(format!(
                "the table {dataset} names a file outside its own folder, or under no valid path"
            ))),
        }
    }

    /// An object by its path as a Delta log writes it; `None` for one outside the table's folder.
    #[must_use]
    pub fn of_log(dataset: &DatasetName, text: &str) -> Option<Self> {
        Self::existing(dataset, &decode(text)?).ok()
    }

    /// The path below the table's folder.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// The key within the store.
    #[must_use]
    pub fn location(&self) -> Path {
        // Valid by construction; were it not, the encoding `from` would name an object that does
        // not exist, never one elsewhere.
        let text = format!("{}/{}", self.table, self.relative);
        Path::parse(&text).unwrap_or_else(|_| Path::from(text))
    }

    /// The relative path as a Delta log writes it: percent-encoded as a URI.
    #[must_use]
    pub fn in_log(&self) -> String {
        encode(&self.relative, |byte| byte.is_ascii_alphanumeric() || b"-_.~/=".contains(&byte))
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.relative)
    }
}

/// The last part of a path below a table: the name of a data file, without the folders.
#[must_use]
pub fn file_name(relative: &str) -> &str {
    relative.rsplit_once('/').map_or(relative, |(_, name)| name)
}

/// The id in the name of a data file of ours, `part-<uuid>.parquet`; `None` for any other name.
#[must_use]
pub fn file_id(name: &str) -> Option<uuid::Uuid> {
    let id = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    uuid::Uuid::try_parse(id).ok().filter(|uuid| uuid.as_hyphenated().to_string() == id)
}

/// The folder of a dataset's table.
fn table(dataset: &DatasetName) -> String {
    format!("{}/{}", dataset.namespace(), dataset.name())
}

/// The AAD prefix of a data file: binds its encrypted modules to their place, so that a file put in
/// another's place is refused by a reader that expects the right prefix.
#[must_use]
pub fn aad_prefix(dataset: &DatasetName, relative: &str) -> Vec<u8> {
    format!("{dataset}/{relative}").into_bytes()
}

/// `column=value`, escaped as Hive does. Only open columns partition, so the value may be seen.
/// A value too long for a folder name is cut and told apart by its digest; the log holds it whole.
fn folder(column: &str, value: Option<&str>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let column = encode(column, plain);
    let text = value.map_or_else(|| NULL_FOLDER.to_owned(), |value| encode(value, plain));
    let whole = format!("{column}={text}");
    if whole.len() <= FOLDER_BYTES {
        return whole;
    }
    let digest = hex::encode(Sha256::digest(whole.as_bytes()));
    // Pure ASCII: characters are bytes.
    let start: String = whole.chars().take(FOLDER_BYTES - 17).collect();
    let end: String = digest.chars().take(16).collect();
    format!("{start}~{end}")
}

/// Percent-encodes every byte that `plain` does not name.
fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The text that was percent-encoded; `None` where it was not.
fn decode(text: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        if let (b'%', Some((digits, after))) = (first, after.split_first_chunk::<2>()) {
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset() -> DatasetName {
        DatasetName::parse("crm.people").unwrap()
    }

    #[test]
    fn odd_partition_values_stay_inside_the_table() {
        for value in ["../../etc", "a/b", "a b", "ü%2F", ".", "..", "x=y", "\u{0}\n", "#1"] {
            let path = ObjectPath::data_file(&dataset(), &[("k".into(), Some(value.into()))]);
            let location = path.location();
            let parts: Vec<_> = location.parts().collect();
            assert_eq!(parts.len(), 4, "{location}");
            assert!(location.as_ref().starts_with("crm/people/k="), "{location}");
            assert_eq!(ObjectPath::existing(&dataset(), path.relative()).unwrap(), path);
        }
    }

    #[test]
    fn the_log_form_decodes_to_the_relative_path() {
        let path = ObjectPath::data_file(&dataset(), &[("k".into(), Some("a b/c".into()))]);
        assert!(path.relative().starts_with("k=a%20b%2Fc/part-"));
        assert!(path.in_log().starts_with("k=a%2520b%252Fc/part-"));
        assert_eq!(ObjectPath::of_log(&dataset(), &path.in_log()), Some(path));
        for outside in ["s3://bucket/x", "%2E%2E/x", "%zz", "/x"] {
            assert_eq!(ObjectPath::of_log(&dataset(), outside), None, "{outside}");
        }
    }

    #[test]
    fn null_and_long_values_have_folders() {
        let null = ObjectPath::data_file(&dataset(), &[("k".into(), None)]);
        assert!(null.relative().starts_with("k=__HIVE_DEFAULT_PARTITION__/"));
        let long = |end: &str| folder("k", Some(&format!("{}{end}", "é".repeat(300))));
        assert!(long("a").len() <= FOLDER_BYTES);
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn a_log_cannot_name_a_file_elsewhere() {
        for relative in ["../other/part.parquet", "/etc/passwd", "", "a//b", "s3://bucket/x"] {
            assert!(ObjectPath::existing(&dataset(), relative).is_err(), "{relative}");
        }
    }
}
