//! The audit trail.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::params::{Limit, Params, Within, entries};
use super::{Answer, Api};
use crate::govern::audit::{self, Entry, Filter};
use crate::govern::{Permission, Principal};
use crate::serve::auth::require;
use crate::serve::problem::Problem;

/// One row of the trail.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditEntry {
    /// Its number; numbers rise.
    seq: i64,
    /// When.
    #[schema(format = "date-time")]
    at: String,
    /// When, in Unix milliseconds: what the hash is of.
    at_ms: i64,
    /// Who: `token:NAME`, `os:USER`, or `schedule`.
    actor: String,
    /// What was done: `run.trigger`, `key.use` …
    action: String,
    /// To what: names and ids, never a value.
    subject: String,
    /// `done` (allowed, and about to be done) or `denied`.
    outcome: String,
    /// The hash of the entry before it: 64 hexadecimal digits.
    prev: String,
    /// Its own hash, likewise.
    hash: String,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let at = entry.at().to_rfc3339_opts(SecondsFormat::Millis, true);
        let Entry { seq, at_ms, actor, action, subject, outcome, prev, hash } = entry;
        Self { seq, at, at_ms, actor, action, subject, outcome, prev, hash }
    }
}

/// Some rows, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    entries: Vec<AuditEntry>,
    /// `after` of the next page; null at the end.
    #[schema(required)]
    next: Option<i64>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Rows of this actor only.
    #[param(pattern = "^[ -~]{1,255}$")]
    actor: Option<String>,
    /// Rows of this action (`key.use`), or of this kind (`key`), only.
    #[param(pattern = "^[a-z]+(\\.[a-z]+)?$", max_length = 64)]
    action: Option<String>,
    /// Rows of this time or later, RFC 3339.
    #[param(value_type = Option<String>, format = "date-time")]
    since: Option<DateTime<Utc>>,
    /// Most rows of the answer.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 50)]
    limit: Option<Limit>,
    /// What the page before gave as `next`: older rows come.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    after: Option<Within<0, 9_007_199_254_740_991>>,
}

/// Read the audit trail
///
/// The newest rows come first. For the roles infosec, auditor and admin.
#[utoipa::path(
    get, path = "/audit", operation_id = "listAudit", tag = "audit",
    params(Listing),
    responses((status = 200, description = "Some rows.", body = AuditPage)),
)]
pub(super) async fn list_audit(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Params(listing): Params<Listing>,
) -> Answer {
    require(&principal, Permission::AuditRead, None)?;
    let bad = |what: &str| Err(Problem::new(StatusCode::BAD_REQUEST, "bad-request", what));
    if !listing.action.as_deref().is_none_or(is_word) {
        return bad("`action` is a word such as run.trigger, or its first part");
    }
    let is_actor =
        |actor: &String| (1..=255).contains(&actor.len()) && actor.bytes().all(|b| matches!(b, b' '..=b'~'));
    if !listing.actor.as_ref().is_none_or(is_actor) {
        return bad("`actor` is of 1 to 255 printable ASCII characters");
    }
    let limit = entries(listing.limit);
    let filter = Filter {
        actor: listing.actor,
        action: listing.action,
        since_ms: listing.since.map(|since| since.timestamp_millis()),
        before: listing.after.and_then(|after| i64::try_from(after.get()).ok()),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let found = audit::list(api.dispatcher.ledger(), &filter).await?;
    // A page that is full may have a next one.
    let next = found.last().filter(|_| found.len() >= limit).map(|last| last.seq);
    let entries = found.into_iter().map(AuditEntry::from).collect();
    Ok(Json(AuditPage { entries, next }).into_response())
}

fn is_word(action: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    action.len() <= 64 && action.split('.').count() <= 2 && action.split('.').all(is_part)
}
