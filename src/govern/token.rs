//! Bearer tokens of the API: drawn at random, shown once, kept only as a hash.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::Row;
use zeroize::Zeroizing;

use super::audit::{self, Action};
use super::store::{Store, fault, now_ms};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What every token begins with, so that scanners for leaked secrets can find one.
const PREFIX: &str = "sl_";
/// Random bytes in a token.
const RANDOM_BYTES: usize = 32;

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Writes pipelines; triggers and cancels runs.
    Engineer,
    /// A job scheduler; triggers and cancels runs.
    Scheduler,
    /// Reads datasets.
    Modeler,
    /// Writes the policy, holds the keys.
    Infosec,
    /// Reads everything that was recorded.
    Auditor,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Engineer, Self::Scheduler, Self::Modeler, Self::Infosec, Self::Auditor, Self::Admin];

    /// The word people write for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Engineer => "engineer",
            Self::Scheduler => "scheduler",
            Self::Modeler => "modeler",
            Self::Infosec => "infosec",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// Whether the role may start and stop runs.
    #[must_use]
    pub const fn may_run(self) -> bool {
        matches!(self, Self::Engineer | Self::Scheduler | Self::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or_else(|| {
            let roles = Self::ALL.map(Self::word).join(", ");
            Error::new(crate::error::Kind::Usage, format!("there is no role `{text}`"))
                .help(format!("the roles are {roles}"))
        })
    }
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name.
    pub name: String,
    /// Its role.
    pub role: Role,
}

impl Principal {
    /// How the audit trail names it.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("token:{}", self.name)
    }
}

/// Makes a token and records it under `name`; `actor` is who asked ([`audit::operator`]). The
/// answer is the only copy.
///
/// # Errors
/// `Usage` when the name is no slug or taken; `Failed` when the system gives no randomness or the
/// store cannot be written.
#[expect(clippy::disallowed_methods, reason = "a token's secret is drawn where it is made")]
pub async fn create(
    store: &impl Store,
    actor: &str,
    name: &str,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Secret> {
    check_name(name)?;
    let mut random = Zeroizing::new([0_u8; RANDOM_BYTES]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|_| Error::failed("the system gives no random bytes for a token"))?;
    let token = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random.as_slice())).into_bytes());
    let hash = digest(token.expose());

    audit::record(store, actor, Action::TokenCreate, &format!("{name} ({role})")).await?;
    let inserted = sqlx::query(
        "INSERT INTO tokens (name, role, selector, hash, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .bind(role.word())
    .bind(selector(&hash))
    .bind(hash.as_slice())
    .bind(now_ms())
    .bind(expires_at.map(|at| at.timestamp_millis()))
    .execute(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    if inserted.rows_affected() == 0 {
        return Err(Error::new(
            crate::error::Kind::Usage,
            format!("there is a token named `{name}` already"),
        )
        .help("choose another name"));
    }
    Ok(token)
}

/// Whose token this is; `None` for one that is unknown, malformed or expired, which are not told
/// apart.
///
/// # Errors
/// `Temporary` or `Failed` when the store does not answer.
pub async fn verify(store: &impl Store, token: &str) -> Result<Option<Principal>> {
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    let hash = digest(token.as_bytes());
    let rows = sqlx::query("SELECT name, role, hash, expires_ms FROM tokens WHERE selector = $1 LIMIT 16")
        .bind(selector(&hash))
        .fetch_all(store.pool())
        .await
        .map_err(|e| fault(&e))?;
    for row in rows {
        let stored: Vec<u8> = row.try_get("hash").map_err(|e| fault(&e))?;
        let expires_ms: Option<i64> = row.try_get("expires_ms").map_err(|e| fault(&e))?;
        if is_same(&stored, &hash) && expires_ms.is_none_or(|at| now_ms() < at) {
            let role: String = row.try_get("role").map_err(|e| fault(&e))?;
            let name = row.try_get("name").map_err(|e| fault(&e))?;
            return Ok(Some(Principal { name, role: role.parse()? }));
        }
    }
    Ok(None)
}

fn check_name(name: &str) -> Result<()> {
    let is_slug = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if is_slug {
        return Ok(());
    }
    Err(Error::new(crate::error::Kind::Usage, "this is not a valid token name")
        .help("use 1 to 63 of a-z, 0-9, _ and -"))
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
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::run::ledger::Ledger;
    use crate::spec::config::Metadata;

    async fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        (folder, ledger)
    }

    #[tokio::test]
    async fn a_token_is_known_by_itself_and_by_nothing_near_it() {
        let (_folder, ledger) = ledger().await;
        let token = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
        let text = token.expose_str().unwrap();
        assert_eq!(text.len(), 3 + 43);
        let principal = Principal { name: "airflow".into(), role: Role::Scheduler };
        assert_eq!(verify(&ledger, text).await.unwrap(), Some(principal));

        let mut other = text.to_owned();
        other.push('A');
        for wrong in [other.as_str(), text.get(..45).unwrap(), text.get(3..).unwrap(), "", "sl_"] {
            assert_eq!(verify(&ledger, wrong).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_stored_hash_that_shares_the_selector_only_is_no_match() {
        let (_folder, ledger) = ledger().await;
        let token = create(&ledger, "os:0", "a", Role::Admin, None).await.unwrap();
        sqlx::query("UPDATE tokens SET hash = $1").bind(vec![0_u8; 32]).execute(ledger.pool()).await.unwrap();
        assert_eq!(verify(&ledger, token.expose_str().unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_expired_token_is_unknown() {
        let (_folder, ledger) = ledger().await;
        let past = Some(DateTime::UNIX_EPOCH);
        let token = create(&ledger, "os:0", "old", Role::Admin, past).await.unwrap();
        assert_eq!(verify(&ledger, token.expose_str().unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_name_is_used_once_and_the_first_token_stays_good() {
        let (_folder, ledger) = ledger().await;
        let first = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
        let error = create(&ledger, "os:0", "airflow", Role::Admin, None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let principal = verify(&ledger, first.expose_str().unwrap()).await.unwrap().unwrap();
        assert_eq!(principal.role, Role::Scheduler);
    }

    #[tokio::test]
    async fn the_store_holds_no_token() {
        let (folder, ledger) = ledger().await;
        let token = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
        let random = &token.expose()[3..];
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let Ok(bytes) = std::fs::read(file.unwrap().path()) else { continue };
            assert!(!bytes.windows(random.len()).any(|window| window == random));
        }
    }
}
