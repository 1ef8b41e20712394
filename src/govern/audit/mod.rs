//! The audit trail: who did what to what, and what was refused.
//!
//! Entries are numbered without a gap, and each holds the hash of the one before it ([`layout`] has the bytes), so
//! that an entry that is changed, removed, moved or slipped in shows. Signed checkpoints say which entry the trail
//! ended with at a time; those that lie outside the metadata store show that its end was cut off, or that the
//! whole was written anew.

mod action;
mod chain;
mod checkpoint;
mod denials;
pub mod layout;
mod listing;
mod sign_ins;
mod verify;

use std::borrow::{Borrow, Cow};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::AnyConnection as Connection;

pub use self::action::{Action, Outcome};
use self::chain::Deed;
pub use self::chain::{Head, Turn, prepare, turn};
pub use self::checkpoint::{Checkpoint, checkpoints, keep, newest_checkpoints};
pub use self::denials::Denials;
pub use self::listing::{Filter, MAX_LISTED, after, entries, hash_of, head, list, newest_of};
pub use self::sign_ins::SignIns;
pub use self::verify::{Fault, Findings, What, Witness, verify};
use super::batch::Batch;
use super::store::{Store, done_at, fault, is_postgres};
use crate::error::Result;

/// Begins the actor of a command run by hand.
const OPERATOR: &str = "os:";

/// One entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Who: `token:NAME`, `os:USER` or `os:USER@MACHINE`, `run:ID`, `schedule`, or where a stranger called from.
    pub actor: String,
    /// What was done, by its word.
    pub action: String,
    /// To what. Names and ids only, never a value.
    pub subject: String,
    /// Whether it was allowed, by its word.
    pub outcome: String,
    /// The hash of the entry before it, lower-case hexadecimal.
    pub prev: String,
    /// Its own hash.
    pub hash: String,
}

impl Entry {
    /// When.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.at_ms).unwrap_or_default()
    }

    /// The entry for programs: `{"seq","at","at_ms","actor","action","subject","outcome","prev","hash"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { seq, at_ms, actor, action, subject, outcome, prev, hash } = self;
        let at = self.at().to_rfc3339_opts(SecondsFormat::Millis, true);
        json!({
            "seq": seq, "at": at, "at_ms": at_ms, "actor": actor, "action": action, "subject": subject,
            "outcome": outcome, "prev": prev, "hash": hash,
        })
    }

    /// Gives the log a copy, which its collector keeps out of reach of who can write to the metadata store. Called
    /// once the entry is committed.
    fn announce(&self) {
        let Self { seq, at_ms, actor, action, subject, outcome, prev, hash } = self;
        tracing::info!(seq, at_ms, actor, action, subject, outcome, prev, hash, "audit");
    }
}

/// Most entries that are added by one commit: others wait for it.
const MOST_AT_ONCE: usize = 1000;

/// Adds an entry. Call it before the deed: what cannot be recorded must not be done. An [`operator`] is told with the
/// machine, where several share the store.
///
/// # Errors
/// `Temporary` when the store is busy, `Failed` when it cannot be written, or the trail has lost its end.
pub async fn record(store: &(impl Store + ?Sized), actor: &str, action: Action, subject: &str) -> Result<()> {
    add(store, actor, action, &[subject], Outcome::Done).await
}

/// Adds an entry of a deed that was refused.
///
/// # Errors
/// As [`record`]; what was refused stays so.
pub async fn denied(store: &(impl Store + ?Sized), actor: &str, action: Action, subject: &str) -> Result<()> {
    add(store, actor, action, &[subject], Outcome::Denied).await
}

/// Adds an entry for each of these subjects, 1,000 by one commit.
///
/// # Errors
/// As [`record`]; those of commits before stay.
pub async fn record_each<S: AsRef<str>>(
    store: &(impl Store + ?Sized),
    actor: &str,
    action: Action,
    subjects: &[S],
) -> Result<()> {
    for some in subjects.chunks(MOST_AT_ONCE) {
        add(store, actor, action, some, Outcome::Done).await?;
    }
    Ok(())
}

/// Adds an entry for each of these pairs of an actor and a subject within the caller's own [`turn`], so that entries and
/// deeds are committed together or not at all, by [`commit`].
///
/// # Errors
/// As [`record`].
pub async fn record_within<'a>(
    turn: &mut Connection,
    action: Action,
    done: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Entry>> {
    record_with(turn, Batch::default(), action, done).await
}

/// As [`record_within`], after a batch of statements: what is done, and that it is.
///
/// # Errors
/// As [`record`].
pub(crate) async fn record_with<'a>(
    turn: &mut Connection,
    batch: Batch,
    action: Action,
    done: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Entry>> {
    let is_shared = turn.backend_name() == "PostgreSQL";
    let done: Vec<(Cow<'a, str>, &'a str)> =
        done.into_iter().map(|(actor, subject)| (placed(actor, is_shared), subject)).collect();
    let deeds: Vec<Deed<'_>> =
        done.iter().map(|(actor, subject)| Deed::now(actor, action, subject, Outcome::Done)).collect();
    chain::append(turn, batch, &deeds).await
}

/// Commits a [`turn`], and lets the log have a copy of the entries that were added within it.
///
/// # Errors
/// As [`record`].
pub async fn commit(turn: Turn, entries: &[Entry]) -> Result<()> {
    turn.commit().await.map_err(|e| fault(&e))?;
    entries.iter().for_each(Entry::announce);
    Ok(())
}

/// Adds an entry that tells which keys a deed uses (`seal crm.people`), likewise before it.
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

async fn add<S: AsRef<str>>(
    store: &(impl Store + ?Sized),
    actor: &str,
    action: Action,
    subjects: &[S],
    outcome: Outcome,
) -> Result<()> {
    let pool = store.pool().clone();
    let actor = placed(actor, is_postgres(&pool)).into_owned();
    let subjects: Vec<String> = subjects.iter().map(|subject| subject.as_ref().to_owned()).collect();
    let adding = async move {
        let deeds: Vec<Deed<'_>> =
            subjects.iter().map(|subject| Deed::now(&actor, action, subject, outcome)).collect();
        add_all(&pool, &deeds).await
    };
    done_at(store.home(), adding).await
}

/// Adds entries of deeds of one or more actors: all or none.
async fn add_all(store: &(impl Store + ?Sized), deeds: &[Deed<'_>]) -> Result<()> {
    let mut turn = turn(store).await?;
    let added = chain::append(&mut turn, Batch::default(), deeds).await?;
    commit(turn, &added).await
}

/// The actor of a command run by hand: `os:` and the numeric id of the user of this process.
#[must_use]
pub fn operator() -> String {
    format!("{OPERATOR}{}", rustix::process::getuid().as_raw())
}

/// An actor as entries have it: in a store that several machines share, a user's number says little without the machine.
fn placed(actor: &str, is_shared: bool) -> Cow<'_, str> {
    if is_shared && actor.starts_with(OPERATOR) {
        Cow::Owned(format!("{actor}@{}", machine()))
    } else {
        Cow::Borrowed(actor)
    }
}

/// The name of this machine; empty where it has none.
#[must_use]
pub fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests;
