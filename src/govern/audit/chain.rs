//! The chain as it lies in the metadata store: how it begins, and how an entry is added.
//!
//! Whoever adds an entry first has the head to themselves, among all processes: so numbers have no gap, and every
//! entry comes after exactly one other.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection as Connection, Row as _};

use super::layout::{self, Hash, Said};
use super::{Action, Entry, Outcome};
use crate::error::{Error, Result};
use crate::govern::batch::{Batch, Statement};
use crate::govern::store::{Alone, ROWS_AT_ONCE, Store, begin_alone, fault, is_postgres, now_ms};

/// Most bytes of an entry's subject, far above what any deed names.
const SUBJECT_BYTES: usize = 1 << 20;

/// The statements by which the store itself refuses to change or remove what was recorded, or to take what has no place
/// in the trail.
const SQLITE_GUARDS: [&str; 5] = [
    "CREATE TRIGGER audit_entry_is_numbered_from_one BEFORE INSERT ON audit WHEN NEW.seq < 1
     BEGIN SELECT RAISE(ABORT, 'audit entries are numbered from 1'); END",
    "CREATE TRIGGER audit_entry_is_never_changed BEFORE UPDATE ON audit
     BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END",
    "CREATE TRIGGER audit_entry_is_never_removed BEFORE DELETE ON audit
     BEGIN SELECT RAISE(ABORT, 'audit entries are never removed'); END",
    "CREATE TRIGGER audit_checkpoint_is_never_changed BEFORE UPDATE ON audit_checkpoints
     BEGIN SELECT RAISE(ABORT, 'audit checkpoints are never changed'); END",
    "CREATE TRIGGER audit_checkpoint_is_never_removed BEFORE DELETE ON audit_checkpoints
     BEGIN SELECT RAISE(ABORT, 'audit checkpoints are never removed'); END",
];
/// The same for PostgreSQL, by the function that guards entries of before the chain.
const POSTGRES_GUARDS: [&str; 5] = [
    "ALTER TABLE audit ADD CONSTRAINT audit_entry_is_numbered_from_one CHECK (seq > 0)",
    "CREATE TRIGGER audit_entry_is_never_changed BEFORE UPDATE OR DELETE ON audit
     FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_entry_is_never_removed BEFORE TRUNCATE ON audit
     FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_checkpoint_is_never_changed BEFORE UPDATE OR DELETE ON audit_checkpoints
     FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_checkpoint_is_never_removed BEFORE TRUNCATE ON audit_checkpoints
     FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
];

/// A transaction in which nobody else adds an entry.
pub type Turn = Alone;

/// The newest entry of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The trail, by the name it was given when it began.
    pub trail: String,
    /// The entry's number; 0 of a trail without any.
    pub seq: i64,
    /// Its hash, or what the first one comes after.
    pub hash: String,
}

/// What is to be recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed<'a> {
    pub(super) at_ms: i64,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) subject: &'a str,
    pub(super) outcome: &'a str,
}

impl<'a> Deed<'a> {
    /// A deed of this moment.
    pub(super) fn now(actor: &'a str, action: Action, subject: &'a str, outcome: Outcome) -> Self {
        Self { at_ms: now_ms(), actor, action: action.word(), subject, outcome: outcome.word() }
    }
}

/// Waits until nobody else adds an entry.
///
/// # Errors
/// `Temporary` when the store is busy, `Failed` when it cannot be written.
pub async fn turn(store: &(impl Store + ?Sized)) -> Result<Turn> {
    begin_alone(store.pool(), "audit").await
}

/// Begins the trail where there is none, takes entries over that were there before it, and has the store guard both.
/// Called once the tables are there.
///
/// # Errors
/// As [`turn`].
pub async fn prepare(store: &(impl Store + ?Sized)) -> Result<()> {
    if head(&mut *store.pool().acquire().await.map_err(|e| fault(&e))?).await?.is_some() {
        return Ok(());
    }
    let mut turn = turn(store).await?;
    let (is_begun, is_written) = (head(&mut turn).await?.is_some(), count(&mut turn).await? > 0);
    // Entries without a head are no beginning: the trail was tampered with, and nothing more is recorded.
    if is_begun || is_written {
        return Ok(());
    }
    let trail = uuid::Uuid::now_v7().to_string();
    sqlx::query("INSERT INTO audit_head (id, trail, seq, hash) VALUES (1, $1, 0, $2)")
        .bind(&trail)
        .bind(layout::beginning(&trail).to_string())
        .execute(&mut *turn)
        .await
        .map_err(|e| fault(&e))?;
    take_over(&mut turn).await?;
    let guards = if is_postgres(store.pool()) { POSTGRES_GUARDS } else { SQLITE_GUARDS };
    for guard in guards {
        sqlx::query(guard).execute(&mut *turn).await.map_err(|e| fault(&e))?;
    }
    turn.commit().await.map_err(|e| fault(&e))
}

/// Chains the entries of before there was a chain.
async fn take_over(turn: &mut Connection) -> Result<()> {
    let mut last = i64::MIN;
    loop {
        let rows = sqlx::query(
            "SELECT id, at_ms, actor, action, subject FROM audit_unchained WHERE id > $1 ORDER BY id LIMIT 1000",
        )
        .bind(last)
        .fetch_all(&mut *turn)
        .await
        .map_err(|e| fault(&e))?;
        for row in &rows {
            let text = |column: &str| row.try_get::<String, _>(column);
            let number = |column: &str| row.try_get::<i64, _>(column);
            let read = || -> Result<_, sqlx::Error> {
                Ok((number("id")?, number("at_ms")?, text("actor")?, text("action")?, text("subject")?))
            };
            let (id, at_ms, actor, action, subject) = read().map_err(|e| fault(&e))?;
            let outcome = Outcome::Done.word();
            append(
                turn,
                Batch::default(),
                &[Deed { at_ms, actor: &actor, action: &action, subject: &subject, outcome }],
            )
            .await?;
            last = id;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// Carries out a batch and adds entries. The connection is in a transaction of [`turn`], and whoever owns that commits it.
///
/// # Errors
/// As [`turn`]; `Failed` when the trail has lost its head, or a subject is far too long.
pub(super) async fn append(
    turn: &mut Connection,
    mut batch: Batch,
    deeds: &[Deed<'_>],
) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(deeds.len());
    if !deeds.is_empty() {
        let head = head(turn).await?.ok_or_else(headless)?;
        let mut prev = Hash::parse(&head.hash).ok_or_else(headless)?;
        let first = head.seq.checked_add(1).filter(|seq| *seq > 0).ok_or_else(headless)?;
        for (seq, deed) in (first..).zip(deeds) {
            let (entry, hash) = follow(seq, prev, deed)?;
            entries.push(entry);
            prev = hash;
        }
        entries.chunks(ROWS_AT_ONCE).map(inserted).for_each(|statement| batch.add(statement));
        let added = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let moved = Statement::new("UPDATE audit_head SET seq = seq + ").value(added);
        batch.add(moved.sql(", hash = ").value(prev.to_string()).sql(" WHERE id = 1"));
    }
    batch.run(turn).await?;
    Ok(entries)
}

/// The entry of a deed that comes after the one whose hash this is.
fn follow(seq: i64, prev: Hash, deed: &Deed<'_>) -> Result<(Entry, Hash)> {
    let Deed { at_ms, actor, action, subject, outcome } = *deed;
    if subject.len() > SUBJECT_BYTES {
        return Err(Error::failed("this names more than one entry of the audit trail can hold")
            .help("name fewer things at once"));
    }
    let hash = Said { seq, at_ms, actor, action, subject, outcome, prev }.hash();
    let entry = Entry {
        seq,
        at_ms,
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        outcome: outcome.to_owned(),
        prev: prev.to_string(),
        hash: hash.to_string(),
    };
    Ok((entry, hash))
}

fn inserted(entries: &[Entry]) -> Statement {
    let row = |entry: &Entry| {
        let Entry { seq, at_ms, actor, action, subject, outcome, prev, hash } = entry;
        let [actor, action, subject, outcome, prev, hash] =
            [actor, action, subject, outcome, prev, hash].map(|text| text.as_str().into());
        [(*seq).into(), (*at_ms).into(), actor, action, subject, outcome, prev, hash]
    };
    Statement::new("INSERT INTO audit (seq, at_ms, actor, action, subject, outcome, prev, hash) VALUES ")
        .rows(entries.iter().map(row))
}

/// The head; `None` where the trail has not begun, or has lost it.
pub(super) async fn head(connection: &mut Connection) -> Result<Option<Head>> {
    let row = sqlx::query("SELECT trail, seq, hash FROM audit_head WHERE id = 1")
        .fetch_optional(connection)
        .await
        .map_err(|e| fault(&e))?;
    let read = |row: AnyRow| -> Result<Head, sqlx::Error> {
        Ok(Head { trail: row.try_get("trail")?, seq: row.try_get("seq")?, hash: row.try_get("hash")? })
    };
    row.map(read).transpose().map_err(|e| fault(&e))
}

async fn count(connection: &mut Connection) -> Result<i64> {
    let row = sqlx::query("SELECT COUNT(*) AS entries FROM audit").fetch_one(connection).await;
    row.and_then(|row| row.try_get("entries")).map_err(|e| fault(&e))
}

fn headless() -> Error {
    Error::failed("the audit trail has lost its end, and what cannot be recorded is not done")
        .help("`sealift audit verify` tells what was done to it; restore the metadata store from a backup")
}
