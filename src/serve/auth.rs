//! Who a request comes from, and what they may do.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::api::Api;
use super::problem::Problem;
use crate::govern::{Principal, Role, token};

/// Lets a request through when its bearer token is known, and tells the handlers whose it is.
pub(super) async fn require_token(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(text) = bearer(request.headers()) else {
        return Err(unauthorized("this needs a token: send `Authorization: Bearer …`"));
    };
    let Some(principal) = token::verify(api.dispatcher.ledger(), text).await? else {
        return Err(unauthorized("the token is unknown or has expired"));
    };
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

/// Refuses a principal that may not start or stop runs.
pub(super) fn may_run(principal: &Principal) -> Result<(), Problem> {
    if principal.role.may_run() {
        return Ok(());
    }
    let detail = format!("role {} may not start or stop runs", principal.role);
    Err(Problem::new(StatusCode::FORBIDDEN, "denied", detail)
        .with("help", "use a token of role engineer, scheduler or admin"))
}

/// Refuses a principal that may not register and remove pipelines.
pub(super) fn may_write(principal: &Principal) -> Result<(), Problem> {
    only(principal, &[Role::Engineer, Role::Admin], "register or remove pipelines")
}

/// Refuses a principal that may not read the audit trail.
pub(super) fn may_audit(principal: &Principal) -> Result<(), Problem> {
    only(principal, &[Role::Infosec, Role::Auditor, Role::Admin], "read the audit trail")
}

fn only(principal: &Principal, roles: &[Role], deed: &str) -> Result<(), Problem> {
    if roles.contains(&principal.role) {
        return Ok(());
    }
    let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
    Err(Problem::new(StatusCode::FORBIDDEN, "denied", format!("role {} may not {deed}", principal.role))
        .with("help", format!("use a token of role {}", words.join(", "))))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        .with("help", "an operator makes one with `sealift token create NAME --role ROLE`")
}
