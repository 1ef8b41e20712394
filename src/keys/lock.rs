//! Who may change the keys folder, among the processes of one machine.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

const FILE_NAME: &str = ".lock";
/// Longer than any other command holds it, but for the change of a root key with very many records.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A right to the keys folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing the file gives the right back")] File);

/// To add keys: any number at once.
///
/// # Errors
/// `Temporary` when another process changes the keys for long, `Failed` when the folder cannot be written.
pub(super) fn to_add(keys: &Path) -> Result<Lock> {
    wait(keys, File::try_lock_shared)
}

/// To change or remove keys: one process alone.
///
/// # Errors
/// As [`to_add`].
pub(super) fn to_change(keys: &Path) -> Result<Lock> {
    wait(keys, File::try_lock)
}

fn wait(keys: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Lock> {
    let path = keys.join(FILE_NAME);
    let unlockable = |error: &std::io::Error| {
        Error::failed(format!("cannot lock {}: {}", path.display(), error.kind()))
            .help("the keys folder must be on a local disk this user may write to")
    };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| unlockable(&error))?;
    let begun = Instant::now();
    loop {
        match lock(&file) {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(error)) => return Err(unlockable(&error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::temporary("the keys are being changed by another process")
                    .help("wait for it, then run again"));
            }
        }
    }
}
