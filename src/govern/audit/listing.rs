//! The trail as it is read.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::{Action, Entry, Head, chain};
use crate::error::{Error, Result};
use crate::govern::store::{Store, fault};

/// Most entries one listing gives.
pub const MAX_LISTED: u32 = 1000;

/// Which entries are asked for; all of what is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only this actor's.
    pub actor: Option<String>,
    /// Only this action's word (`key.use`), or those of this kind (`key`).
    pub action: Option<String>,
    /// Only those of this time or later, in Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Only those before this number: the next page.
    pub before: Option<i64>,
    /// At most so many, and never more than [`MAX_LISTED`].
    pub limit: u32,
}

impl Filter {
    /// The newest entries, whatever they tell.
    #[must_use]
    pub const fn newest(limit: u32) -> Self {
        Self { actor: None, action: None, since_ms: None, before: None, limit }
    }
}

/// Up to where entries are shown: what has another number was slipped in, and [`super::verify`] tells of it. A trail
/// that has lost its end is shown as it is.
const END: &str =
    "seq > 0 AND seq <= coalesce((SELECT seq FROM audit_head WHERE id = 1), 9223372036854775807)";

/// The newest entries first, at most `limit`.
///
/// # Errors
/// `Temporary` or `Failed` when the store does not answer.
pub async fn entries(store: &(impl Store + ?Sized), limit: u32) -> Result<Vec<Entry>> {
    list(store, &Filter::newest(limit)).await
}

/// The entries that are asked for, newest first.
///
/// # Errors
/// As [`entries`].
pub async fn list(store: &(impl Store + ?Sized), filter: &Filter) -> Result<Vec<Entry>> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT seq, at_ms, actor, action, subject, outcome, prev, hash FROM audit
         WHERE {END} AND seq < $1 AND at_ms >= $2 AND ($3 = '' OR actor = $3)
           AND ($4 = '' OR action = $4 OR substr(action, 1, length($4) + 1) = $4 || '.')
         ORDER BY seq DESC LIMIT $5",
    )))
    .bind(filter.before.unwrap_or(i64::MAX))
    .bind(filter.since_ms.unwrap_or(i64::MIN))
    .bind(filter.actor.as_deref().unwrap_or_default())
    .bind(filter.action.as_deref().unwrap_or_default())
    .bind(i64::from(filter.limit.min(MAX_LISTED)))
    .fetch_all(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    rows.iter().map(entry).collect()
}

/// The newest entry of an action, however long ago that was.
///
/// # Errors
/// As [`entries`].
pub async fn newest_of(store: &(impl Store + ?Sized), action: Action) -> Result<Option<Entry>> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT seq, at_ms, actor, action, subject, outcome, prev, hash FROM audit
         WHERE {END} AND action = $1 ORDER BY seq DESC LIMIT 1",
    )))
    .bind(action.word())
    .fetch_optional(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    row.as_ref().map(entry).transpose()
}

/// The hash that the entry of this number has in the store; `None` where there is no such entry, or no hash.
///
/// # Errors
/// As [`entries`].
pub async fn hash_of(store: &(impl Store + ?Sized), seq: i64) -> Result<Option<String>> {
    let row =
        sqlx::query("SELECT hash FROM audit WHERE seq = $1").bind(seq).fetch_optional(store.pool()).await;
    Ok(row.map_err(|e| fault(&e))?.and_then(|row| row.try_get("hash").ok()))
}

/// The entries after this number, oldest first, at most `limit`: a page of the whole trail.
///
/// # Errors
/// As [`entries`]; `Failed` for an entry that cannot be read.
pub async fn after(store: &(impl Store + ?Sized), seq: i64, limit: u32) -> Result<Vec<Entry>> {
    let unreadable = || {
        Error::failed("an entry of the audit trail cannot be read").help("`sealift audit verify` tells which")
    };
    let rows = rows_after(store, seq, limit).await?;
    rows.into_iter().map(|row| row.entry.ok_or_else(unreadable)).collect()
}

/// An entry as it lies in the store, where anybody may have written anything.
pub(super) struct Row {
    /// Its number, where it is one.
    pub(super) seq: Option<i64>,
    /// All of it, where it can be read.
    pub(super) entry: Option<Entry>,
}

/// As [`after`], whatever the entries are.
pub(super) async fn rows_after(store: &(impl Store + ?Sized), seq: i64, limit: u32) -> Result<Vec<Row>> {
    let rows = sqlx::query(
        "SELECT seq, at_ms, actor, action, subject, outcome, prev, hash FROM audit
         WHERE seq > $1 ORDER BY seq LIMIT $2",
    )
    .bind(seq.max(0))
    .bind(i64::from(limit.min(MAX_LISTED)))
    .fetch_all(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    Ok(rows.iter().map(|row| Row { seq: row.try_get("seq").ok(), entry: entry(row).ok() }).collect())
}

/// How the entries lie in the store, by their numbers alone.
pub(super) struct Extent {
    /// How many there are.
    pub(super) entries: i64,
    /// The least number; `None` without entries.
    pub(super) first: Option<i64>,
    /// The greatest.
    pub(super) last: Option<i64>,
}

/// What numbers the entries have.
pub(super) async fn extent(store: &(impl Store + ?Sized)) -> Result<Extent> {
    let row = sqlx::query("SELECT COUNT(*) AS entries, MIN(seq) AS first, MAX(seq) AS last FROM audit")
        .fetch_one(store.pool())
        .await
        .map_err(|e| fault(&e))?;
    // Where one is no number, the walk tells of it.
    let end = |column: &str| row.try_get::<Option<i64>, _>(column).ok().flatten();
    let entries = row.try_get("entries").map_err(|e| fault(&e))?;
    Ok(Extent { entries, first: end("first"), last: end("last") })
}

/// The end of the trail; `None` where it was lost.
///
/// # Errors
/// As [`entries`].
pub async fn head(store: &(impl Store + ?Sized)) -> Result<Option<Head>> {
    let mut connection = store.pool().acquire().await.map_err(|e| fault(&e))?;
    chain::head(&mut connection).await
}

fn entry(row: &AnyRow) -> Result<Entry> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column);
    let read = || -> Result<Entry, sqlx::Error> {
        Ok(Entry {
            seq: number("seq")?,
            at_ms: number("at_ms")?,
            actor: text("actor")?,
            action: text("action")?,
            subject: text("subject")?,
            outcome: text("outcome")?,
            prev: text("prev")?,
            hash: text("hash")?,
        })
    };
    read().map_err(|e| fault(&e))
}
