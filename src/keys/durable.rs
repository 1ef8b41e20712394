//! Small private files that appear whole or not at all, and survive a power cut once they are there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Creates `path` (0600) with `content`, unless it is there already; tells whether this call created
/// it. Whoever loses a race finds the winner's whole content.
///
/// # Errors
/// `Temporary` when the disk is full, otherwise `Failed`.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".new-{}", hex::encode(super::aead::random::<8>()?)));
    let linked = write(&temporary, content).and_then(|()| match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    });
    // Best effort: a leftover is private and never read.
    let _ = fs::remove_file(&temporary);
    let created = linked.map_err(|error| unwritable(path, &error))?;
    // The loser too: it is about to rely on the winner's file.
    sync_folder(folder)?;
    Ok(created)
}

/// Writes `path` (0600) with `content` in the place of what is there: whoever reads it finds all of the old or all
/// of the new, also after a power cut.
///
/// # Errors
/// As [`create`].
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".new-{}", hex::encode(super::aead::random::<8>()?)));
    let renamed = write(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    renamed.map_err(|error| {
        // Best effort: a leftover is private and never read.
        let _ = fs::remove_file(&temporary);
        unwritable(path, &error)
    })?;
    sync_folder(folder)
}

/// Puts one file in the place of another, which is gone then.
///
/// # Errors
/// As [`create`].
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| unwritable(to, &error))?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// Removes a file, which may be gone already.
///
/// # Errors
/// As [`create`].
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, &error)),
        _ => sync_folder(path.parent().unwrap_or(Path::new("."))),
    }
}

/// The content of `path`, of at most `most` bytes; `None` when there is none.
///
/// # Errors
/// `Failed` when it cannot be read, or is longer.
pub(super) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let unreadable = |why: String| Error::failed(format!("cannot read {}: {why}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.kind().to_string())),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.kind().to_string()))?;
    if bytes.len() as u64 > most {
        return Err(unreadable("it is too long".to_owned()));
    }
    Ok(Some(bytes))
}

/// Overwrites `path` with zeros and removes it, if it is there. A disk may still hold what it held: a copy-on-write
/// file system, a snapshot or a flash translation layer keeps overwritten blocks until they are used again.
///
/// # Errors
/// As [`create`].
pub(super) fn destroy(path: &Path) -> Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let overwrite = || {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let mut left = file.metadata()?.len();
        while left > 0 {
            let part = ZEROS.get(..usize::try_from(left).unwrap_or(ZEROS.len())).unwrap_or(&ZEROS);
            file.write_all(part)?;
            left -= part.len() as u64;
        }
        file.sync_all()?;
        fs::remove_file(path)
    };
    match overwrite() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(path, &error)),
        Ok(()) => sync_folder(path.parent().unwrap_or(Path::new("."))),
    }
}

/// Creates a folder that only its owner may enter, with its parents, unless it is there already.
///
/// # Errors
/// As [`create`].
pub(super) fn private_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unwritable(path, &error)),
        _ => sync_folder(parent),
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Temporary,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("cannot write {}: {}", path.display(), error.kind()))
        .help("the keys folder must be on a local disk this user may write to")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_content_stays_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        assert!(create(&path, b"first").unwrap());
        assert!(!create(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn content_is_replaced_whole_and_destroyed_for_every_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        assert!(read(&path, 10).unwrap().is_none());
        replace(&path, b"first").unwrap();
        replace(&path, &[7; 70_000]).unwrap();
        assert_eq!(read(&path, 70_000).unwrap().unwrap(), [7; 70_000]);
        assert!(read(&path, 69_999).is_err());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.path().join("link");
        fs::hard_link(&path, &link).unwrap();
        destroy(&path).unwrap();
        destroy(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(&link).unwrap(), [0; 70_000]);
    }

    #[test]
    fn a_folder_that_is_missing_is_a_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = create(&folder.path().join("gone/record"), b"x").unwrap_err();
        assert!(error.message().starts_with("cannot write"), "{error}");
    }
}
