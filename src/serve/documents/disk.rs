//! Document files: whether one was written since, and writing one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// For so long after a file was written, its times may not tell that it is written again: file systems keep them in
/// steps of up to two seconds.
const UNSURE_MS: i64 = 2000;

/// What changes when a file is written, or another one is put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    written: (i64, i64),
    changed: (i64, i64),
    size: u64,
    file: (u64, u64),
}

impl Stamp {
    /// Of the file behind a path, links followed; `None` where it is not to be relied on, and the file must be read to
    /// know.
    pub(super) fn of(path: &Path, now_ms: i64) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let newest_ms = file.mtime().max(file.ctime()).saturating_mul(1000);
        (newest_ms < now_ms - UNSURE_MS).then(|| Self {
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            size: file.size(),
            file: (file.dev(), file.ino()),
        })
    }
}

/// A text that is written beside the file whose place it is to take; it goes where it does not come to that.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    temporary: PathBuf,
}

/// Writes a text beside the file whose place it is to take.
///
/// # Errors
/// `Invalid` for a link, `Denied` where the folder may only be read, `Temporary` when the disk is full, `Failed` when it
/// cannot be written.
pub(super) fn stage(path: &Path, text: &str) -> Result<Staged> {
    expect_no_link(path)?;
    let staged = Staged { path: path.to_owned(), temporary: beside(path) };
    written(&staged.temporary, text).map_err(|error| unwritable(path, &error))?;
    Ok(staged)
}

impl Staged {
    /// Puts the text in the place of what is there: whoever reads it finds all of the old or all of the new, also after a
    /// power cut.
    ///
    /// # Errors
    /// As [`stage`].
    pub(super) fn place(self) -> Result<()> {
        expect_no_link(&self.path)?;
        let placed = fs::rename(&self.temporary, &self.path).and_then(|()| sync_folder(&self.path));
        placed.map_err(|error| unwritable(&self.path, &error))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Best effort: a leftover is hidden and never read.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Removes a file; one that is gone already is as good.
///
/// # Errors
/// `Failed` when it cannot be removed.
pub(super) fn remove(path: &Path) -> Result<()> {
    expect_no_link(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, &error)),
        _ => sync_folder(path).map_err(|error| unwritable(path, &error)),
    }
}

fn written(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A hidden file that is no document.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// What stands behind a link is kept elsewhere, and would be there again.
fn expect_no_link(path: &Path) -> Result<()> {
    if path.is_symlink() {
        return Err(Error::invalid(format!(
            "{} is a link to a document that is kept elsewhere",
            path.display()
        ))
        .help("change it where it is kept"));
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    let told = format!("cannot write {}: {}", path.display(), error.kind());
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Error::denied(told).help(
            "the daemon may only read this folder: change the document where it comes from, or let it write",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::temporary(told).help("free some space")
        }
        _ => Error::failed(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> Result<()> {
        stage(path, text)?.place()
    }

    #[test]
    fn a_file_just_written_has_no_stamp_and_an_old_one_another_when_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        write(&path, "one").unwrap();
        let now_ms = crate::govern::store::now_ms();
        assert_eq!(Stamp::of(&path, now_ms), None);
        let later_ms = now_ms + 60_000;
        let first = Stamp::of(&path, later_ms);
        assert!(first.is_some() && first == Stamp::of(&path, later_ms));
        write(&path, "two").unwrap();
        assert_ne!(Stamp::of(&path, later_ms), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(Stamp::of(&path, later_ms), None);
    }

    #[test]
    fn what_stands_behind_a_link_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, link) = (folder.path().join("kept"), folder.path().join("a.yaml"));
        fs::write(&kept, "one").unwrap();
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        assert!(write(&link, "two").is_err() && remove(&link).is_err());
        assert_eq!(fs::read_to_string(&link).unwrap(), "one");
    }
}
