//! Bearer tokens of the API: drawn at random, shown once, kept only as a hash.

mod listing;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use sqlx::Row;
use zeroize::Zeroizing;

pub use self::listing::{Listed, list, revoke};
use super::audit::{self, Action};
use super::principal::{Principal, Scope, Source};
use super::store::{Store, fault, now_ms};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::spec::Role;

/// What every token begins with, so that scanners for leaked secrets can find one.
pub const PREFIX: &str = "sl_";
/// Random bytes in a token.
const RANDOM_BYTES: usize = 32;
/// Uses of a token within this time are noted once.
const NOTED_EVERY_MS: i64 = 60 * 60 * 1000;

/// What a token is good for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What its holder is.
    pub role: Role,
    /// The pipelines it is limited to.
    pub scope: Scope,
    /// Until when; `None` until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is known of a token that somebody sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good, until then if it expires.
    Good {
        /// Whose it is.
        principal: Principal,
        /// Epoch milliseconds.
        expires_ms: Option<i64>,
    },
    /// The token of this name, which has expired.
    Expired(String),
    /// The token of this name, which was revoked.
    Revoked(String),
    /// Nobody's.
    Unknown,
}

/// Makes a token for every pipeline: [`create_with`].
///
/// # Errors
/// As [`create_with`].
pub async fn create(
    store: &impl Store,
    actor: &str,
    name: &str,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Secret> {
    create_with(store, actor, name, &Terms { role, scope: Scope::All, expires_at }).await
}

/// Makes a token and records it under `name`; `actor` is who asked ([`audit::operator`]). The
/// answer is the only copy.
///
/// # Errors
/// `Usage` when the name is no slug or taken; `Failed` when the system gives no randomness or the
/// store cannot be written.
#[expect(clippy::disallowed_methods, reason = "a token's secret is drawn where it is made")]
pub async fn create_with(store: &impl Store, actor: &str, name: &str, terms: &Terms) -> Result<Secret> {
    check_name(name)?;
    let mut random = Zeroizing::new([0_u8; RANDOM_BYTES]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|_| Error::failed("the system gives no random bytes for a token"))?;
    let token = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random.as_slice())).into_bytes());
    let hash = digest(token.expose());
    let pipelines = terms.scope.patterns().join("\n");

    // Entry and token are there together or not at all.
    let mut turn = audit::turn(store).await?;
    let inserted = sqlx::query(
        "INSERT INTO tokens (name, role, selector, hash, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .bind(terms.role.word())
    .bind(selector(&hash))
    .bind(hash.as_slice())
    .bind(now_ms())
    .bind(terms.expires_at.map(|at| at.timestamp_millis()))
    .execute(&mut *turn)
    .await
    .map_err(|e| fault(&e))?;
    if inserted.rows_affected() == 0 {
        return Err(Error::new(Kind::Usage, format!("there is a token named `{name}` already"))
            .help("choose another name"));
    }
    sqlx::query("INSERT INTO token_terms (name, pipelines) VALUES ($1, $2)")
        .bind(name)
        .bind(pipelines)
        .execute(&mut *turn)
        .await
        .map_err(|e| fault(&e))?;
    let subject = subject(name, terms);
    let entries = audit::record_within(&mut turn, Action::TokenCreate, [(actor, subject.as_str())]).await?;
    audit::commit(turn, &entries).await?;
    Ok(token)
}

/// How the audit trail tells of a new token: `airflow (scheduler) crm_* until 2027-02-28T12:00:00Z`.
fn subject(name: &str, terms: &Terms) -> String {
    let role = terms.role;
    let limits: String = terms.scope.patterns().iter().map(|pattern| format!(" {pattern}")).collect();
    let end = match terms.expires_at {
        Some(at) => format!("until {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        None => "until it is revoked".to_owned(),
    };
    format!("{name} ({role}){limits} {end}")
}

/// Whose token this is; `None` for one that is unknown, malformed, expired or revoked, which are not told
/// apart.
///
/// # Errors
/// `Temporary` or `Failed` when the store does not answer.
pub async fn verify(store: &impl Store, token: &str) -> Result<Option<Principal>> {
    match judge(store, token).await? {
        Verdict::Good { principal, .. } => Ok(Some(principal)),
        Verdict::Expired(_) | Verdict::Revoked(_) | Verdict::Unknown => Ok(None),
    }
}

/// What is known of this token, for the record; whoever sent it is told no more than [`verify`] tells. Its use is noted,
/// at most once an hour, where the store can be written.
///
/// # Errors
/// As [`verify`].
pub async fn judge(store: &impl Store, token: &str) -> Result<Verdict> {
    if !token.starts_with(PREFIX) {
        return Ok(Verdict::Unknown);
    }
    let hash = digest(token.as_bytes());
    let rows = sqlx::query(
        "SELECT tokens.name, role, hash, expires_ms, pipelines, last_used_ms, revoked_ms FROM tokens
         LEFT JOIN token_terms ON token_terms.name = tokens.name WHERE selector = $1 LIMIT 16",
    )
    .bind(selector(&hash))
    .fetch_all(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    for row in rows {
        let stored: Vec<u8> = row.try_get("hash").map_err(|e| fault(&e))?;
        if is_same(&stored, &hash) {
            let name: String = row.try_get("name").map_err(|e| fault(&e))?;
            let role: String = row.try_get("role").map_err(|e| fault(&e))?;
            let pipelines: Option<String> = row.try_get("pipelines").map_err(|e| fault(&e))?;
            let expires_ms: Option<i64> = row.try_get("expires_ms").map_err(|e| fault(&e))?;
            let used_ms: Option<i64> = row.try_get("last_used_ms").map_err(|e| fault(&e))?;
            let revoked_ms: Option<i64> = row.try_get("revoked_ms").map_err(|e| fault(&e))?;
            let now_ms = now_ms();
            if revoked_ms.is_some() {
                return Ok(Verdict::Revoked(name));
            }
            if expires_ms.is_some_and(|at| now_ms >= at) {
                return Ok(Verdict::Expired(name));
            }
            if used_ms.is_none_or(|at| now_ms.saturating_sub(at) >= NOTED_EVERY_MS) {
                listing::note_use(store, &name, now_ms).await;
            }
            let scope = scope_of(pipelines.as_deref().unwrap_or_default())?;
            let principal = Principal::new(Source::Token, &name, [role.parse()?]);
            let principal =
                principal.ok_or_else(|| Error::failed("a token's name cannot be used"))?.within(scope);
            return Ok(Verdict::Good { principal, expires_ms });
        }
    }
    Ok(Verdict::Unknown)
}

/// Reads the patterns as they are kept.
fn scope_of(pipelines: &str) -> Result<Scope> {
    Scope::of(&pipelines.lines().collect::<Vec<_>>())
}

fn check_name(name: &str) -> Result<()> {
    let is_slug = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if is_slug {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, "this is not a valid token name").help("use 1 to 63 of a-z, 0-9, _ and -"))
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn selector(hash: &[u8; 32]) -> String {
    hex::encode(&hash[..4])
}

/// Compares without telling by its duration where the first difference is.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let differs = left.iter().zip(right).fold(0_u8, |seen, (a, b)| std::hint::black_box(seen | (a ^ b)));
    left.len() == right.len() && differs == 0
}

#[cfg(test)]
mod tests;
