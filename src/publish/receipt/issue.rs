//! A receipt on its way into the store.

use chrono::{DateTime, SecondsFormat};
use object_store::ObjectStoreExt as _;
use sha2::{Digest as _, Sha256};

use super::found::digest_place;
use super::{Added, Digested, FORMAT, Files, Link, Policy, Receipt, Source, UNNAMED, Values};
use crate::error::{Error, Result};
use crate::keys::Signer;
use crate::publish::commit::Attempt;
use crate::publish::path::file_name;
use crate::publish::{ObjectPath, Provenance, Store, Written, fault, table};
use crate::spec::DatasetName;

/// Commits looked back over for the receipt before: those of other writers in between have none.
const COMMITS_BACK: u64 = 1_000;

/// A signed receipt.
#[derive(Debug)]
pub(in crate::publish) struct Issued {
    path: ObjectPath,
    bytes: Vec<u8>,
    sha256: String,
}

/// What a commit does, beside making written files visible.
#[derive(Debug)]
pub(in crate::publish) struct Deed {
    /// The receipt's word for it.
    pub(in crate::publish) operation: &'static str,
    /// The names of the files that it removes.
    pub(in crate::publish) removed: Vec<String>,
    /// SHA-256 of its bytes, in which no receipt is named yet.
    pub(in crate::publish) commit_sha256: String,
}

/// The receipt of an attempt to make `written` visible.
///
/// # Errors
/// As the store answers.
pub(in crate::publish) async fn issue(
    store: &Store,
    dataset: &DatasetName,
    provenance: &Provenance,
    signer: &Signer,
    written: &Written,
    attempt: &Attempt<'_>,
    deed: Deed,
) -> Result<Issued> {
    let receipt = Receipt {
        format: FORMAT.to_owned(),
        dataset: dataset.to_string(),
        version: attempt.version,
        commit_id: attempt.commit_id.to_owned(),
        run_id: provenance.run_id.clone(),
        trigger: provenance.trigger.clone(),
        stream: provenance.stream.clone(),
        operation: deed.operation.to_owned(),
        source: Source { connection: provenance.connection.clone(), snapshot: provenance.snapshot.clone() },
        spec_digest: provenance.spec_digest.clone(),
        policy: Policy { name: provenance.policy.clone(), digest: provenance.policy_digest.clone() },
        columns: provenance.columns.clone(),
        rows: provenance.rows,
        values: values(written, attempt.commit_id),
        files: Files { added: added(written), removed: deed.removed },
        commit_sha256: deed.commit_sha256,
        started_at: rfc_3339(provenance.started_ms),
        committed_at: rfc_3339(attempt.now_ms),
        approvals: Vec::new(),
        previous: previous(store, dataset, attempt.version).await?,
        signer: signer.id().to_owned(),
    };
    let bytes = receipt.sign(signer)?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Ok(Issued { path: ObjectPath::receipt(dataset, attempt.version, attempt.commit_id), bytes, sha256 })
}

impl Issued {
    /// SHA-256 of its bytes, as the commit holds it.
    pub(in crate::publish) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Puts its digest into the commit, where [`UNNAMED`] stands.
    ///
    /// # Errors
    /// `Failed` for a commit that has no place for it.
    pub(in crate::publish) fn name_in(&self, mut commit: Vec<u8>) -> Result<Vec<u8>> {
        let place = digest_place(&commit, UNNAMED).and_then(|place| commit.get_mut(place));
        let place = place.ok_or_else(|| Error::failed("a commit has no place for its receipt"))?;
        place.copy_from_slice(self.sha256.as_bytes());
        Ok(commit)
    }

    /// Writes it. Its name is its own, so that nothing is replaced.
    ///
    /// # Errors
    /// As the store answers.
    pub(in crate::publish) async fn put(&self, store: &Store) -> Result<()> {
        let put = store.objects().put(&self.path.location(), self.bytes.clone().into()).await;
        put.map(drop).map_err(|error| fault::of(&error, &format!("write {}", self.path)))
    }

    /// Removes it, where its commit did not land and never will. One that stays matches no commit.
    pub(in crate::publish) async fn withdraw(&self, store: &Store) {
        if let Err(error) = store.objects().delete(&self.path.location()).await {
            let error = fault::of(&error, &format!("remove {}", self.path));
            tracing::debug!(%error, "the receipt of an attempt that did not land stays behind");
        }
    }
}

fn values(written: &Written, nonce: &str) -> Values {
    let digested = written.digests.columns().iter().map(|digest| Digested {
        column: digest.column().to_owned(),
        kind: digest.kind().to_owned(),
        nulls: digest.nulls(),
        digest: digest.masked(nonce),
    });
    Values { key: written.digests.key_id().to_owned(), columns: digested.collect() }
}

fn added(written: &Written) -> Vec<Added> {
    let added = written.files.iter().map(|file| Added {
        name: file_name(&file.path).to_owned(),
        bytes: file.bytes,
        rows: file.rows,
        sha256: file.sha256.clone(),
    });
    added.collect()
}

/// The receipt before `version`, as its commit names it.
async fn previous(store: &Store, dataset: &DatasetName, version: u64) -> Result<Option<Link>> {
    for version in (version.saturating_sub(COMMITS_BACK)..version).rev() {
        let Some(commit) = table::read_commit(store, dataset, version).await? else { break };
        if let Some(sha256) = super::found::named(&commit).and_then(|named| named.sha256) {
            return Ok(Some(Link { version, sha256 }));
        }
    }
    Ok(None)
}

fn rfc_3339(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
