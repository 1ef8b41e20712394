//! Wrapped dataset keys on disk: one JSON file for each version of a key.
//!
//! ```text
//! <keys>/datasets/<id without version, percent-encoded>/<version>.json
//!
//! {"format":"sealift-dataset-key/1","id":"sealift:crm.customers/ssn@1","root":"file:2f9a…",
//!  "wrapped":"<base64 of nonce (12) | ciphertext (32 or 64) | tag (16)>","created":"2026-11-02T08:00:00Z"}
//!
//! {"format":"sealift-destroyed-key/1","id":"sealift:crm.customers/ssn@1","destroyed":"2026-12-02T08:00:00Z"}
//! ```
//!
//! A record changes twice at the most in what it says: another root key wraps its key, and the key is
//! destroyed, after which the record stands for it so that no other key ever gets its id. Losing the folder
//! loses the keys: back it up with the root key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::durable;
use super::purpose::split_id;
use crate::error::{Error, Result};

const FORMAT: &str = "sealift-dataset-key/1";
const DESTROYED: &str = "sealift-destroyed-key/1";
/// Longest encoded folder name that is used as it is; file systems stop at 255 bytes.
const NAME_BYTES: usize = 180;

/// What is known of a key id.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Record {
    /// A key.
    Wrapped(Wrapped),
    /// That there was a key.
    Destroyed(Destroyed),
}

/// One wrapped dataset key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wrapped {
    format: String,
    pub(super) id: String,
    pub(super) root: String,
    /// Base64.
    pub(super) wrapped: String,
    pub(super) created: String,
}

/// What stays of a key that was destroyed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destroyed {
    format: String,
    pub(super) id: String,
    pub(super) destroyed: String,
}

impl Wrapped {
    pub(super) fn new(id: &str, root: &str, wrapped: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            id: id.to_owned(),
            root: root.to_owned(),
            wrapped,
            created: written(now()),
        }
    }

    /// The same key, wrapped by another root.
    pub(super) fn rewrapped(&self, root: &str, wrapped: String) -> Self {
        Self { root: root.to_owned(), wrapped, ..self.clone() }
    }
}

impl Record {
    pub(super) fn destroyed(id: &str) -> Self {
        Self::Destroyed(Destroyed {
            format: DESTROYED.to_owned(),
            id: id.to_owned(),
            destroyed: written(now()),
        })
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Wrapped(wrapped) => &wrapped.id,
            Self::Destroyed(destroyed) => &destroyed.id,
        }
    }

    /// The id, where there is a key still.
    pub(super) fn into_id_of_key(self) -> Option<String> {
        match self {
            Self::Wrapped(wrapped) => Some(wrapped.id),
            Self::Destroyed(_) => None,
        }
    }

    fn is_of_its_format(&self) -> bool {
        match self {
            Self::Wrapped(wrapped) => wrapped.format == FORMAT,
            Self::Destroyed(destroyed) => destroyed.format == DESTROYED,
        }
    }
}

/// The folder of all records.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(keys: &Path) -> Self {
        Self(keys.join("datasets"))
    }

    /// Whether there is any record.
    pub(super) fn holds_any(&self) -> Result<bool> {
        Ok(!self.all()?.is_empty())
    }

    /// The newest version of a key.
    pub(super) fn newest(&self, base: &str) -> Result<Option<u32>> {
        Ok(versions(&self.0.join(encode(base)))?.into_iter().max())
    }

    /// The versions of a key that there are.
    pub(super) fn versions_of(&self, base: &str) -> Result<Vec<u32>> {
        versions(&self.0.join(encode(base)))
    }

    /// A file beside the records of a key.
    pub(super) fn beside(&self, base: &str, name: &str) -> PathBuf {
        self.0.join(encode(base)).join(name)
    }

    /// The record of an id; `None` when there is none.
    pub(super) fn read(&self, id: &str) -> Result<Option<Record>> {
        let Some((base, version)) = split_id(id) else { return Ok(None) };
        let path = self.0.join(encode(base)).join(format!("{version}.json"));
        let Some(record) = read(&path)? else { return Ok(None) };
        if record.id() == id { Ok(Some(record)) } else { Err(damaged(&path)) }
    }

    /// Writes a record, unless there is one of its id: the first stays. Tells whether it was written.
    pub(super) fn create(&self, record: &Wrapped) -> Result<bool> {
        let path = self.place(&record.id)?;
        durable::private_folder(&self.0)?;
        durable::private_folder(path.parent().unwrap_or(&self.0))?;
        durable::create(&path, &json(record)?)
    }

    /// Writes a record in the place of the one of its id.
    pub(super) fn replace(&self, record: &Record) -> Result<()> {
        durable::replace(&self.place(record.id())?, &json(record)?)
    }

    /// Every record, sorted by base and version.
    pub(super) fn all(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for folder in entries(&self.0)? {
            for version in versions(&folder)? {
                let path = folder.join(format!("{version}.json"));
                if let Some(record) = read(&path)? {
                    let (base, number) = split_id(record.id()).ok_or_else(|| damaged(&path))?;
                    records.push(((base.to_owned(), number), record));
                }
            }
        }
        records.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    pub(super) fn place(&self, id: &str) -> Result<PathBuf> {
        let (base, version) = split_id(id).ok_or_else(|| Error::failed(format!("{id} is not a key id")))?;
        Ok(self.0.join(encode(base)).join(format!("{version}.json")))
    }
}

fn json(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|_| Error::failed("a key record cannot be written as JSON"))
}

fn versions(folder: &Path) -> Result<Vec<u32>> {
    let names = entries(folder)?;
    let version = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok();
    Ok(names.iter().filter_map(version).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect());
    match listed {
        Ok(paths) => Ok(paths),
        Err(error) if absent(&error) => Ok(Vec::new()),
        Err(error) => Err(unreadable(folder, &error)),
    }
}

fn read(path: &Path) -> Result<Option<Record>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let record: Record = serde_json::from_slice(&bytes).map_err(|_| damaged(path))?;
    if record.is_of_its_format() { Ok(Some(record)) } else { Err(damaged(path)) }
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("cannot read {}: {}", path.display(), error.kind()))
        .help("the keys folder must belong to the user that runs sealift")
}

fn damaged(path: &Path) -> Error {
    Error::failed(format!("the key record {} is damaged", path.display())).help("restore it from a backup")
}

/// An injective file name, lower case so that `SSN` and `ssn` stay apart on file systems that
/// ignore case. Very long names end in their SHA-256.
pub(super) fn encode(base: &str) -> String {
    let mut name = String::with_capacity(base.len() + 8);
    for byte in base.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&hex::encode([byte]));
        }
    }
    if name.len() > NAME_BYTES {
        name.truncate(100);
        name.push('~');
        name.push_str(&hex::encode(Sha256::digest(base.as_bytes())));
    }
    name
}

/// RFC 3339, to the second, in UTC.
pub(super) fn written(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[expect(clippy::disallowed_methods, reason = "a record owns the time of its making")]
pub(super) fn now() -> chrono::DateTime<chrono::Utc> {
    std::time::SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_apart_and_fit_every_file_system() {
        assert_eq!(encode("sealift:crm.customers/ssn"), "sealift%3acrm.customers%2fssn");
        assert_ne!(encode("sealift:a.b/SSN").to_lowercase(), encode("sealift:a.b/ssn").to_lowercase());
        let long = format!("sealift:a.b/{}", "é".repeat(300));
        assert!(encode(&long).len() <= NAME_BYTES);
        assert_ne!(encode(&long), encode(&format!("{long}x")));
    }

    #[test]
    fn a_record_moved_to_another_id_is_damage() {
        let keys = tempfile::tempdir().unwrap();
        let folder = Folder::new(keys.path());
        folder.create(&Wrapped::new("sealift:a.b/c@1", "file:0", String::new())).unwrap();
        let at = |base: &str| keys.path().join("datasets").join(encode(base));
        fs::rename(at("sealift:a.b/c"), at("sealift:a.b/d")).unwrap();
        assert!(folder.read("sealift:a.b/c@1").unwrap().is_none());
        assert!(folder.read("sealift:a.b/d@1").is_err_and(|e| e.message().ends_with("is damaged")));
    }

    #[test]
    fn ids_that_point_elsewhere_find_nothing() {
        let keys = tempfile::tempdir().unwrap();
        let folder = Folder::new(keys.path());
        for id in ["", "sealift:../../x@1", "/etc/passwd", "sealift:a.b/c@99999999999"] {
            assert!(folder.read(id).unwrap().is_none(), "{id}");
        }
    }
}
