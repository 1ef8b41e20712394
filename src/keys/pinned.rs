//! The name of the audit trail that the keys belong to.
//!
//! Who may write to the metadata store can put another trail there, under another name. Here they cannot.

use std::path::{Path, PathBuf};

use super::dataset::blocking;
use super::{Keyring, durable};
use crate::error::{Error, Result};

/// The file in the keys folder. A backup leaves it out, as everything whose name begins so: keys that are restored may
/// serve another metadata store.
const FILE: &str = ".audit-trail";
/// Most bytes of it.
const MOST_BYTES: u64 = 200;

impl Keyring {
    /// The name of the trail that these keys belong to: `first`, where there was none until now.
    ///
    /// # Errors
    /// `Failed` when the keys folder cannot be read or written (`Temporary` when the disk is full).
    pub async fn trail(&self, first: &str) -> Result<String> {
        let (path, first) = (self.trail_file(), first.to_owned());
        blocking(move || {
            if let Some(name) = read(&path)? {
                return Ok(name);
            }
            durable::create(&path, format!("{first}\n").as_bytes())?;
            read(&path)?.ok_or_else(|| Error::failed(format!("{} was removed meanwhile", path.display())))
        })
        .await
    }

    /// The file that has the name.
    #[must_use]
    pub fn trail_file(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

/// The name of the trail that the keys of a folder belong to; `None` where there is none yet.
///
/// # Errors
/// `Failed` when it cannot be read.
pub fn pinned_trail(keys: &Path) -> Result<Option<String>> {
    read(&keys.join(FILE))
}

fn read(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = durable::read(path, MOST_BYTES)? else { return Ok(None) };
    let name = String::from_utf8(bytes).map_err(|_| {
        Error::failed(format!("{} does not hold the name of an audit trail", path.display()))
            .help("`sealift audit verify` tells more; removed, it is made again")
    })?;
    Ok(Some(name.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::config;

    #[tokio::test]
    async fn the_first_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        assert_eq!(pinned_trail(&keys).unwrap(), None);
        let settings = config::Keys::File { path: keys.clone(), passphrase: None };
        let keyring = Keyring::open(&settings, &|_| {}).await.unwrap();
        for other in ["first", "second"] {
            assert_eq!(keyring.trail(other).await.unwrap(), "first");
        }
        assert_eq!(pinned_trail(&keys).unwrap().as_deref(), Some("first"));
    }
}
