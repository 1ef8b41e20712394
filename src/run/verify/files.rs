//! Every byte of every live file, compared with its receipt.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{Error as StoreError, ObjectStoreExt as _};
use ring::digest::{Context, SHA256};

use super::chain::{Chain, Replay};
use super::{Counter, Fault, Question, What};
use crate::error::Result;
use crate::publish::path::file_name;
use crate::publish::table::LiveFile;
use crate::publish::{ObjectPath, Table, fault};

/// Files read at once.
const AT_ONCE: usize = 4;

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Bytes of an object as they are.
struct Actual {
    bytes: u64,
    sha256: String,
}

/// Compares the live files of a table with the receipts that name them.
///
/// # Errors
/// As the store answers; a file that is gone is a fault.
pub(super) async fn compare(
    question: &Question<'_>,
    table: &Table,
    chain: &Chain,
    replay: &Replay<'_>,
    counter: Counter<'_>,
    faults: &mut Vec<Fault>,
) -> Result<Read> {
    let added = chain.receipts.values().flat_map(|receipt| &receipt.files.added);
    let by_content: HashMap<&str, &str> =
        added.map(|file| (file.sha256.as_str(), file.name.as_str())).collect();
    let mut named = Vec::with_capacity(table.files.len());
    for file in &table.files {
        match replay.expected.get(file_name(&file.path)) {
            Some((version, expected)) => named.push((file, *version, *expected)),
            None => faults.push(unexpected(chain, replay, file)),
        }
    }
    let mut read = Read::default();
    let mut compared = futures::stream::iter(named)
        .map(|(file, version, expected)| async move {
            Ok::<_, crate::error::Error>((file, version, expected, hash(question, file, counter).await?))
        })
        .buffered(AT_ONCE);
    while let Some((file, version, expected, actual)) = compared.try_next().await? {
        let path = &file.path;
        let Some(actual) = actual else {
            let message = format!("the file {path} of version {version} is gone");
            faults.push(Fault::at(What::MissingFile, Some(version), path, message));
            continue;
        };
        read.files += 1;
        read.bytes += actual.bytes;
        if actual.sha256 == expected.sha256 && actual.bytes == expected.bytes {
            continue;
        }
        faults.push(match by_content.get(actual.sha256.as_str()) {
            Some(other) => {
                let message = format!("the file {path} of version {version} was swapped: it has the content of {other}");
                Fault::at(What::SwappedFile, Some(version), path, message)
            }
            None => {
                let message = format!("the file {path} of version {version} was altered: its bytes are not those that were published");
                Fault::at(What::AlteredFile, Some(version), path, message)
            }
        });
    }
    Ok(read)
}

/// A live file that should not be.
fn unexpected(chain: &Chain, replay: &Replay<'_>, file: &LiveFile) -> Fault {
    let path = &file.path;
    if let Some(version) = replay.gone.get(file_name(path)) {
        let message = format!("the file {path} was taken away by version {version} and is live again");
        return Fault::at(What::RevivedFile, Some(*version), path, message);
    }
    let by = if chain.is_foreign(path) { " by another writer" } else { "" };
    let message = format!("the file {path} was added{by}, and no receipt that holds names it");
    Fault::at(What::UnknownFile, None, path, message)
}

/// Size and digest of a file; `None` where it is gone.
async fn hash(question: &Question<'_>, file: &LiveFile, counter: Counter<'_>) -> Result<Option<Actual>> {
    let path = ObjectPath::existing(question.dataset, &file.path)?;
    let doing = format!("read {path}");
    let got = match question.store.objects().get(&path.location()).await {
        Ok(got) => got,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(fault::of(&error, &doing)),
    };
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0);
    let mut chunks = got.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(|error| fault::of(&error, &doing))? {
        hash.update(&chunk);
        bytes += chunk.len() as u64;
        counter(chunk.len() as u64);
    }
    Ok(Some(Actual { bytes, sha256: hex::encode(hash.finish()) }))
}
