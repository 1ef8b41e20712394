//! Who a request comes from, and what they may do.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::api::Api;
use super::problem::Problem;
use crate::govern::{Permission, Principal, token};
use crate::spec::PipelineName;

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

/// Refuses a principal that may not do this with the pipeline, or, where it is `None`, with what belongs to no one
/// pipeline ([`Principal::may`]).
pub(super) fn require(
    principal: &Principal,
    permission: Permission,
    pipeline: Option<&PipelineName>,
) -> Result<(), Problem> {
    if principal.may(permission, pipeline) {
        return Ok(());
    }
    let roles = permission.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join(", ");
    let (detail, help) = if principal.may_some(permission) {
        (
            format!("{principal} may not do this here ({permission}): it is limited to some pipelines"),
            "ask for a token of a wider scope".to_owned(),
        )
    } else {
        (format!("{principal} may not do this ({permission})"), format!("this is for the roles {roles}"))
    };
    Err(Problem::new(StatusCode::FORBIDDEN, "denied", detail).with("help", help))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        .with("help", "an operator makes one with `sealift token create NAME --role ROLE`")
}
