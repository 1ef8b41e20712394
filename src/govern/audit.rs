//! The audit trail: who did what to what. Rows are only ever added; the store itself refuses to
//! change or remove one.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::store::{Store, fault, now_ms};
use crate::error::Result;

/// Most rows one listing gives.
const MAX_LISTED: u32 = 1000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dataset keys were handed out; the subject is the dataset, or its column.
    KeyRelease,
    /// New versions of keys were made, or a new root key; the subject is their ids.
    KeyRotate,
    /// Keys are to be destroyed; the subject is when, and their ids.
    KeyDestroy,
    /// The destruction of keys was called off; the subject is their ids.
    KeyKeep,
    /// The keys were written to a backup; the subject is the file.
    KeyBackup,
    /// Keys were put back from a backup; the subject is the file.
    KeyRestore,
    /// Keys were used to read or to write; the subject is what for, and their ids.
    KeyUse,
    /// An API token was made; the subject is its name and role.
    TokenCreate,
    /// A run was asked for; the subject is the pipeline and the run.
    RunTrigger,
    /// A run was told to stop; the subject is the run.
    RunCancel,
    /// The schedule of a pipeline rests from now on; the subject is the pipeline.
    PipelinePause,
    /// It goes on.
    PipelineResume,
    /// Published columns were sealed otherwise; the subject is the dataset and what each column becomes.
    ColumnReseal,
    /// Rows were erased; the subject is the dataset and a keyed digest of the condition they met.
    RowErase,
    /// Pseudonyms are about to be turned back into values; the subject is the function, the purpose, a keyed digest
    /// of the statement, and the column.
    ValueReveal,
    /// They were; the subject also has their number.
    ValueRevealed,
    /// A subject's key is destroyed; the subject is the dataset, the column and the keyed digest of who it was.
    SubjectShred,
}

impl Action {
    /// The word it is stored and shown as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::KeyRelease => "key.release",
            Self::KeyRotate => "key.rotate",
            Self::KeyDestroy => "key.destroy",
            Self::KeyKeep => "key.keep",
            Self::KeyBackup => "key.backup",
            Self::KeyRestore => "key.restore",
            Self::KeyUse => "key.use",
            Self::TokenCreate => "token.create",
            Self::RunTrigger => "run.trigger",
            Self::RunCancel => "run.cancel",
            Self::PipelinePause => "pipeline.pause",
            Self::PipelineResume => "pipeline.resume",
            Self::ColumnReseal => "column.reseal",
            Self::RowErase => "row.erase",
            Self::ValueReveal => "value.reveal",
            Self::ValueRevealed => "value.revealed",
            Self::SubjectShred => "subject.shred",
        }
    }
}

/// One row of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: `token:NAME`, `os:USER`, or `schedule`.
    pub actor: String,
    /// What was done, by its word.
    pub action: String,
    /// To what. Names and ids only, never a value.
    pub subject: String,
}

/// Adds a row. Call it before the deed: what cannot be recorded must not be done.
///
/// # Errors
/// `Temporary` when the store is busy, `Failed` when it cannot be written.
pub async fn record(store: &(impl Store + ?Sized), actor: &str, action: Action, subject: &str) -> Result<()> {
    sqlx::query("INSERT INTO audit (at_ms, actor, action, subject) VALUES ($1, $2, $3, $4)")
        .bind(now_ms())
        .bind(actor)
        .bind(action.word())
        .bind(subject)
        .execute(store.pool())
        .await
        .map_err(|e| fault(&e))?;
    Ok(())
}

/// Adds a row that tells which keys a deed uses (`seal crm.people`), likewise before it.
///
/// # Errors
/// As [`record`].
pub async fn key_use<K: Borrow<str>>(
    store: &(impl Store + ?Sized),
    actor: &str,
    deed: &str,
    keys: &[K],
) -> Result<()> {
    let subject = format!("{deed} {}", keys.join(" "));
    record(store, actor, Action::KeyUse, subject.trim_end()).await
}

/// The newest rows first, at most `limit`.
///
/// # Errors
/// As [`record`].
pub async fn entries(store: &impl Store, limit: u32) -> Result<Vec<Entry>> {
    let rows = sqlx::query("SELECT at_ms, actor, action, subject FROM audit ORDER BY id DESC LIMIT $1")
        .bind(i64::from(limit.min(MAX_LISTED)))
        .fetch_all(store.pool())
        .await
        .map_err(|e| fault(&e))?;
    rows.iter()
        .map(|row| {
            let at_ms: i64 = row.try_get("at_ms")?;
            Ok(Entry {
                at: DateTime::from_timestamp_millis(at_ms).unwrap_or_default(),
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|e| fault(&e))
}

/// The actor of a command run by hand: `os:` and the numeric id of the user of this process.
#[must_use]
pub fn operator() -> String {
    format!("os:{}", rustix::process::getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ledger::Ledger;
    use crate::spec::config::Metadata;

    #[tokio::test]
    async fn rows_are_added_and_never_changed_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        record(&ledger, "os:0", Action::KeyRelease, "crm.people/ssn").await.unwrap();
        record(&ledger, "token:airflow", Action::RunTrigger, "crm").await.unwrap();

        assert!(sqlx::query("DELETE FROM audit").execute(ledger.pool()).await.is_err());
        assert!(sqlx::query("UPDATE audit SET actor = 'x'").execute(ledger.pool()).await.is_err());

        let rows = entries(&ledger, 10).await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.actor.as_str(), row.action.as_str())).collect();
        assert_eq!(told, [("token:airflow", "run.trigger"), ("os:0", "key.release")]);
    }
}
