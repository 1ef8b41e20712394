//! Putting one commit object in place, and finding out whether it is there.

use std::time::Duration;

use bytes::Bytes;
use object_store::{Error as StoreError, ObjectStore as _, ObjectStoreExt as _, PutMode};

use crate::error::{Error, Result};
use crate::publish::{ObjectPath, Store, fault};

/// Tries of one version and of reading it back, while the store answers nothing or contradicts itself.
const TRIES: u32 = 4;

/// Where a commit object stands. A conflict is a value, not an error.
#[derive(Debug)]
pub(super) enum Landing {
    /// The version holds our commit.
    Ours,
    /// The version holds another's commit, and ours can never land there.
    Taken,
    /// Nothing landed, and nothing will.
    Refused(Error),
    /// It cannot be told whether ours landed, or may yet land.
    Unknown(Error),
}

/// Creates the version's object. Any answer but a plain yes is checked by reading the version back:
/// `AlreadyExists` may be our own commit whose answer was lost, a 409 may mean that nothing landed,
/// and a timeout means neither.
pub(super) async fn land(store: &Store, path: &ObjectPath, commit: Vec<u8>, commit_id: &str) -> Landing {
    let doing = format!("write {path}");
    let location = path.location();
    let commit = Bytes::from(commit);
    let mut last = None;
    for attempt in 0..TRIES {
        let put = store.objects().put_opts(&location, commit.clone().into(), PutMode::Create.into());
        let Err(error) = put.await else { return Landing::Ours };
        let ambiguous = fault::is_ambiguous(&error);
        match read_back(store, path).await {
            Ok(Some(bytes)) if names(&bytes, commit_id) => return Landing::Ours,
            Ok(Some(_)) => return Landing::Taken,
            // A definite refusal, no earlier doubt, and nothing there.
            Ok(None) if !ambiguous && last.is_none() => return Landing::Refused(fault::of(&error, &doing)),
            Ok(None) => {}
            Err(read) if !ambiguous && last.is_none() && read.kind() == crate::error::Kind::Denied => {
                return Landing::Refused(fault::of(&error, &doing));
            }
            Err(read) => return Landing::Unknown(unknown(&read)),
        }
        last = Some(error);
        tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
    }
    let error = last.map_or_else(|| Error::temporary("the commit was not tried"), |e| fault::of(&e, &doing));
    Landing::Unknown(unknown(&error))
}

fn unknown(cause: &Error) -> Error {
    Error::temporary(format!("it is not known whether the version was published: {}", cause.message()))
        .help("run again: a version that did land is found by its run and not written twice")
}

/// What the version holds; `None` when there is no such object.
async fn read_back(store: &Store, path: &ObjectPath) -> Result<Option<Bytes>> {
    let doing = format!("read {path}");
    let mut last = Error::temporary("the version was not read back");
    for attempt in 0..TRIES {
        let read = async { store.objects().get(&path.location()).await?.bytes().await };
        match read.await {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => last = fault::of(&error, &doing),
        }
        tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
    }
    Err(last)
}

/// Whether a commit is the one of this id.
fn names(commit: &[u8], commit_id: &str) -> bool {
    super::actions::commit_info(commit)
        .is_some_and(|info| info["sealift"]["commit_id"].as_str() == Some(commit_id))
}
