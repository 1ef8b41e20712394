//! What publishing relies on, tried out on the store itself.

use std::collections::BTreeSet;

use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use super::fault;
use crate::error::{Error, Result};

/// Writers that contend for one object, and how often.
const WRITERS: usize = 16;
const ROUNDS: usize = 4;

/// Runs the whole check below `_sealift_check/` and removes what it wrote, whatever came of it.
pub(super) async fn run(objects: &dyn ObjectStore) -> Result<()> {
    let folder = Path::from(format!("_sealift_check/{}", uuid::Uuid::now_v7()));
    let result = probe(objects, &folder).await;
    for round in 0..=ROUNDS {
        // An object that was never written is as good as removed.
        let _ = objects.delete(&folder.clone().join(round.to_string())).await;
    }
    result
}

async fn probe(objects: &dyn ObjectStore, folder: &Path) -> Result<()> {
    let first = folder.clone().join("0");
    objects.put(&first, payload(0)).await.map_err(|error| fault::of(&error, "write to the store"))?;
    if read(objects, &first).await? != text(0) {
        return Err(Error::failed("the store does not give back what was written"));
    }
    // An uncontested put over an existing object: a store that ignores the condition always fails.
    if claim(objects, &first, 1).await? {
        return Err(ignores_condition());
    }
    for round in 1..=ROUNDS {
        contest(objects, &folder.clone().join(round.to_string())).await?;
    }
    Ok(())
}

/// All writers create the same object at once: exactly one may win, and its bytes must be there.
async fn contest(objects: &dyn ObjectStore, path: &Path) -> Result<()> {
    let claims = (0..WRITERS).map(|writer| claim(objects, path, writer));
    let mut winners = BTreeSet::new();
    for (writer, won) in join_all(claims).await.into_iter().enumerate() {
        if won? {
            winners.insert(writer);
        }
    }
    let stored = read(objects, path).await?;
    match winners.first() {
        Some(winner) if winners.len() == 1 && stored == text(*winner) => Ok(()),
        // The winner's answer was lost and its retry refused: one of them won all the same.
        None if (0..WRITERS).any(|writer| stored == text(writer)) => Ok(()),
        _ => Err(ignores_condition()),
    }
}

/// Whether this writer created the object; `false` when another was first.
async fn claim(objects: &dyn ObjectStore, path: &Path, writer: usize) -> Result<bool> {
    match objects.put_opts(path, payload(writer), PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
        Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => Err(ignores_condition()),
        Err(error) => Err(fault::of(&error, "create an object in the store")),
    }
}

async fn read(objects: &dyn ObjectStore, path: &Path) -> Result<Vec<u8>> {
    let doing = "read back from the store";
    let object = objects.get(path).await.map_err(|error| fault::of(&error, doing))?;
    Ok(object.bytes().await.map_err(|error| fault::of(&error, doing))?.to_vec())
}

fn text(writer: usize) -> Vec<u8> {
    format!("sealift check, writer {writer}").into_bytes()
}

fn payload(writer: usize) -> PutPayload {
    text(writer).into()
}

fn ignores_condition() -> Error {
    Error::failed("the store lets several writers create one object: it ignores If-None-Match").help(
        "publish to a store with conditional writes (S3, MinIO, Ceph of recent versions); on this one \
         two runs could both believe that they published the same version",
    )
}

#[cfg(test)]
mod tests {
    use crate::error::Kind;
    use crate::publish::fixture::objects;
    use crate::publish::scripted::Scripted;

    #[tokio::test]
    async fn trap_a_store_that_ignores_if_none_match_is_refused() {
        let mut scripted = Scripted::new([]);
        scripted.ignores_condition = true;
        let store = scripted.store();
        let error = store.check().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.message().contains("If-None-Match"), "{error}");
        assert_eq!(objects(&store).await, [""; 0], "the check leaves nothing behind");
    }

    #[tokio::test]
    async fn a_store_that_answers_twice_under_contention_is_refused() {
        let mut scripted = Scripted::new([]);
        // The store's own racing check-then-write: sequential puts are refused, contested ones not.
        scripted.ignores_condition_of = Some("/3");
        let error = scripted.store().check().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
    }

    #[tokio::test]
    async fn an_honest_store_passes_and_is_left_clean() {
        let store = Scripted::new([]).store();
        store.check().await.unwrap();
        assert_eq!(objects(&store).await, [""; 0]);
    }
}
