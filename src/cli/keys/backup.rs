//! `sealift keys backup` and `restore`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::args::KeysFile;
use crate::cli::{Context, Done, show};
use crate::error::{Error, Result};
use crate::govern::audit;
use crate::keys::backup;
use crate::run::Ledger;
use crate::secret::{Reference, Secret};
use crate::spec::Config;
use crate::spec::config::Keys;

/// Most bytes of a backup that are read.
const MAX_BYTES: u64 = 300 << 20;

pub(super) async fn write(context: &Context, config: &Config, ledger: &Ledger, file: &KeysFile) -> Done {
    let passphrase = passphrase(file)?;
    audit::record(ledger, &audit::operator(), audit::Action::KeyBackup, &file.file.display().to_string())
        .await?;
    let folder = folder(config);
    let bytes = blocking(move || backup::seal(&folder, &passphrase)).await?;
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.file);
    let written = created.and_then(|mut out| out.write_all(&bytes).and_then(|()| out.sync_all()));
    written.map_err(|error| {
        let error = Error::failed(format!("cannot write {}: {}", file.file.display(), error.kind()));
        error.help("name a file that is not there yet, in a folder this user may write to")
    })?;
    if context.json {
        show::json(&json!({"file": file.file, "bytes": bytes.len()}));
    } else {
        println!("The keys are in {}, sealed by the passphrase: keep the two apart.", file.file.display());
        if !matches!(config.keys, Keys::File { .. }) {
            println!("The root key is not in it: it is the provider's to back up.");
        }
    }
    Ok(())
}

pub(super) async fn restore(context: &Context, config: &Config, ledger: &Ledger, file: &KeysFile) -> Done {
    let passphrase = passphrase(file)?;
    let bytes = read(&file.file)?;
    audit::record(ledger, &audit::operator(), audit::Action::KeyRestore, &file.file.display().to_string())
        .await?;
    let folder = folder(config);
    let restored = blocking(move || backup::restore(&folder, &bytes, &passphrase)).await?;
    if context.json {
        let backup::Restored { written, same, destroyed } = &restored;
        show::json(&json!({"written": written, "same": same, "destroyed": destroyed}));
        return Ok(());
    }
    println!("{} files were put back, {} were there as they are.", restored.written, restored.same);
    for id in &restored.destroyed {
        println!("{id} was destroyed and stays so.");
    }
    println!("`{} keys check` tells whether they open.", show::command());
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |kind: ErrorKind| Error::invalid(format!("cannot read {}: {kind}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.kind()))?.len();
    if size > MAX_BYTES {
        return Err(Error::invalid(format!("{} is too large for a backup of keys", path.display())));
    }
    std::fs::read(path).map_err(|error| unreadable(error.kind()))
}

fn passphrase(file: &KeysFile) -> Result<Secret> {
    Reference::parse(&file.passphrase, Path::new("."))?.resolve()
}

fn folder(config: &Config) -> PathBuf {
    config.keys.path().to_owned()
}

/// The slow derivation of the passphrase, off the threads that wait for others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::failed("the backup was interrupted"))?
}
