//! What becomes of a request: let through once it is known who sends it, or answered at once.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::sleep;

use super::foreign::is_of_another_site;
use super::{Asked, Gate, Peer, Refusal};
use crate::error::Error;
use crate::govern::audit::Action;
use crate::govern::{Permission, Principal, Source};
use crate::serve::problem::{Denial, Problem};
use crate::spec::PipelineName;

/// Where metrics are read.
const METRICS: &str = "/metrics";
/// How often who asked for something that lasts is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Lets a request through when it is known who sends it, and tells the handlers. What they deny is recorded.
pub(in crate::serve) async fn require_principal(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Problem::from(Error::failed("the connection is unknown")).into_response();
    };
    let is_scrape = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == METRICS);
    let admitted = match is_scrape {
        true => gate.admit_to_metrics(&peer, request.headers()).await,
        false => gate.admit(&peer, request.headers()).await,
    };
    let principal = match admitted {
        Ok(principal) => principal,
        Err(refusal) => return answer(refusal),
    };
    let actor = principal.actor();
    let subject = subject(&request);
    // A token is sent by who has it; these a browser adds by itself.
    let is_added = matches!(principal.source(), Source::Certificate | Source::Ldap);
    if is_added && is_of_another_site(request.method(), request.headers()) {
        gate.note(&actor, Action::Request, &format!("{subject} for a page of another site")).await;
        return Problem::denied("a browser sends this for a page of another site")
            .with("help", "a page of this address may, or a program; or send a token")
            .into_response();
    }
    request.extensions_mut().insert(gate.clone());
    request.extensions_mut().insert(principal);
    let response = next.run(request).await;
    if response.extensions().get::<Denial>().is_some() {
        gate.note(&actor, Action::Request, &subject).await;
    }
    response
}

/// What a request is called in the audit trail.
fn subject(request: &Request) -> String {
    // A path that leads somewhere names pipelines and runs; another may hold anything.
    let leads_somewhere = request.extensions().get::<MatchedPath>().is_some();
    let asked = request.extensions().get::<Asked>().filter(|_| leads_somewhere);
    format!("{} {}", request.method(), asked.map_or("?", |asked| asked.0.as_str()))
}

/// Refuses a principal that may not do this with the pipeline, or, where it is `None`, with what belongs to no one
/// pipeline ([`Principal::may`]).
pub(in crate::serve) fn require(
    principal: &Principal,
    permission: Permission,
    pipeline: Option<&PipelineName>,
) -> Result<(), Problem> {
    if principal.may(permission, pipeline) {
        return Ok(());
    }
    let (detail, help) = if principal.may_some(permission) {
        let detail =
            format!("{principal} is limited to some pipelines, and this is beyond them ({permission})");
        (detail, "use a token of a wider scope".to_owned())
    } else {
        let roles = permission.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join(", ");
        (format!("{principal} may not do this ({permission})"), format!("it is for the roles {roles}"))
    };
    Err(Problem::denied(detail).with("help", help))
}

/// Ends once whoever sent `headers` may do this no longer: a token was revoked, a certificate has expired, a user has left
/// a group. While that cannot be known, it goes on.
pub(in crate::serve) async fn lost(
    gate: Gate,
    peer: Peer,
    headers: HeaderMap,
    permission: Permission,
    pipeline: Option<PipelineName>,
) {
    loop {
        sleep(AGAIN).await;
        match gate.admit(&peer, &headers).await {
            Ok(principal) if principal.may(permission, pipeline.as_ref()) => {}
            Err(Refusal::Unknown(_) | Refusal::Throttled(_)) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// What somebody is told who is not let in.
fn answer(refusal: Refusal) -> Response {
    let unauthorized = |detail: &str| {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with("help", "an operator makes a token with `sealift token create NAME --role ROLE`")
            .into_response()
    };
    match refusal {
        Refusal::Nobody => unauthorized("this needs a token: send `Authorization: Bearer …`"),
        // One answer for all that is wrong: what exactly would help those who guess.
        Refusal::Wrong { .. } => unauthorized("what was sent is not, or no longer, a way in"),
        Refusal::Throttled(wait) => {
            let problem =
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "too many attempts were wrong");
            let seconds = wait.as_secs().saturating_add(1);
            problem
                .with("help", "wait as long as `Retry-After` says")
                .header(header::RETRY_AFTER, HeaderValue::from(seconds))
                .into_response()
        }
        Refusal::NoRole(principal) => Problem::denied(format!("{principal} has no role here"))
            .with("help", "`access` and `listen` of the configuration say which groups and names have one")
            .into_response(),
        Refusal::Unknown(error) => Problem::from(error).into_response(),
    }
}
