//! Which tokens there are, and the end of one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::scope_of;
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Action};
use crate::govern::principal::Scope;
use crate::govern::store::{Store, fault, now_ms, write};
use crate::spec::Role;

/// Most tokens one listing gives.
const MAX_LISTED: i64 = 10_000;
/// How long a request waits for the note that its token was used.
const NOTE_LIMIT: Duration = Duration::from_millis(500);

/// A token as it is listed; nothing of it can be sent.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What its holder is.
    pub role: Role,
    /// The pipelines it is limited to.
    pub scope: Scope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Every token by its name, also those that are good no longer.
///
/// # Errors
/// `Temporary` or `Failed` when the store does not answer.
pub async fn list(store: &impl Store) -> Result<Vec<Listed>> {
    let rows = sqlx::query(
        "SELECT tokens.name, role, created_ms, expires_ms, pipelines, last_used_ms, revoked_ms FROM tokens
         LEFT JOIN token_terms ON token_terms.name = tokens.name ORDER BY tokens.name LIMIT $1",
    )
    .bind(MAX_LISTED)
    .fetch_all(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    rows.into_iter()
        .map(|row| {
            let text = |column| row.try_get::<Option<String>, _>(column).map_err(|e| fault(&e));
            let number = |column| row.try_get::<Option<i64>, _>(column).map_err(|e| fault(&e));
            let at = |column| Ok::<_, Error>(number(column)?.and_then(DateTime::from_timestamp_millis));
            Ok(Listed {
                name: text("name")?.unwrap_or_default(),
                role: text("role")?.unwrap_or_default().parse()?,
                scope: scope_of(&text("pipelines")?.unwrap_or_default())?,
                created_at: at("created_ms")?.unwrap_or_default(),
                expires_at: at("expires_ms")?,
                last_used_at: at("last_used_ms")?,
                revoked_at: at("revoked_ms")?,
            })
        })
        .collect()
}

/// Ends a token, from now on and for good; one that is ended already stays so.
///
/// # Errors
/// `Usage` when there is no token of this name; `Temporary` or `Failed` when the store cannot be written.
pub async fn revoke(store: &impl Store, actor: &str, name: &str) -> Result<()> {
    // Entry and end are there together or not at all.
    let mut turn = audit::turn(store).await?;
    let known = sqlx::query("SELECT name FROM tokens WHERE name = $1")
        .bind(name)
        .fetch_optional(&mut *turn)
        .await
        .map_err(|e| fault(&e))?;
    if known.is_none() {
        return Err(
            Error::new(Kind::Usage, "there is no token of this name").help("`sealift token list` shows them")
        );
    }
    let entries = audit::record_within(&mut turn, Action::TokenRevoke, [(actor, name)]).await?;
    sqlx::query(
        "INSERT INTO token_terms (name, pipelines, revoked_ms) VALUES ($1, '', $2)
         ON CONFLICT (name) DO UPDATE SET revoked_ms = COALESCE(token_terms.revoked_ms, excluded.revoked_ms)",
    )
    .bind(name)
    .bind(now_ms())
    .execute(&mut *turn)
    .await
    .map_err(|e| fault(&e))?;
    audit::commit(turn, &entries).await
}

/// Notes that a token was used. A store that cannot be written now hears of it another time.
pub(super) async fn note_use(store: &impl Store, name: &str, at_ms: i64) {
    let noted = sqlx::query(
        "INSERT INTO token_terms (name, pipelines, last_used_ms) VALUES ($1, '', $2)
         ON CONFLICT (name) DO UPDATE SET last_used_ms = excluded.last_used_ms",
    );
    let noted = write(store.pool(), noted.bind(name).bind(at_ms));
    if !matches!(tokio::time::timeout(NOTE_LIMIT, noted).await, Ok(Ok(_))) {
        tracing::debug!(token = name, "its use could not be noted");
    }
}
