//! Every error of the API is an RFC 9457 problem.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::error::{Error, Kind};
use crate::spec::Problems;

/// Of every problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// Most problems of a document that are told.
const MOST_PROBLEMS: usize = 100;
/// What a client that may try again waits, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Marks an answer that denies somebody what they may not do, among its extensions. Nothing else is recorded as a denial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Denial;

/// One problem, to be answered with.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    is_denial: bool,
    detail: String,
    more: Box<Map<String, Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this status; `kind` names it for programs, `detail` tells people.
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        let (more, headers) = (Box::default(), Vec::new());
        Self { status, kind, is_denial: false, detail: detail.into(), more, headers }
    }

    /// That somebody may not do this; the answer is marked as a [`Denial`].
    pub(super) fn denied(detail: impl Into<String>) -> Self {
        Self { is_denial: true, ..Self::new(StatusCode::FORBIDDEN, "denied", detail) }
    }

    /// The same problem with one more member.
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    /// The same problem, answered with one more header.
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What a bare status means in this API.
    fn of_status(status: StatusCode) -> Self {
        let (kind, detail) = match status {
            StatusCode::BAD_REQUEST => ("bad-request", "the request cannot be read"),
            StatusCode::NOT_FOUND => ("not-found", "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "this path does not take this method"),
            StatusCode::REQUEST_TIMEOUT => ("timeout", "the request took too long to arrive"),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("too-large", "the body of the request is larger than 64 KiB, or a document than 1 MiB")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("media-type", "this path does not take this content type"),
            StatusCode::SERVICE_UNAVAILABLE => ("timeout", "the answer took too long"),
            _ if status.is_client_error() => ("refused", "the request was refused"),
            _ => ("failed", "the request failed"),
        };
        Self::new(status, kind, detail)
    }
}

/// An error of the daemon's own work. Where it is the daemon that is denied something, by a store or a folder, that says
/// nothing of who asked: only [`Problem::denied`] does.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let meaning = error.kind().meaning();
        let status = StatusCode::from_u16(meaning.http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (status, kind) = match error.kind() {
            Kind::Denied => (StatusCode::SERVICE_UNAVAILABLE, "no-access"),
            _ => (status, meaning.outcome),
        };
        let mut problem = Self::new(status, kind, error.message());
        if let Some(remedy) = error.remedy() {
            problem = problem.with("help", remedy);
        }
        problem
    }
}

/// The problems of a document, each with its place: the first 100 of them.
pub(super) fn listed(problems: &Problems) -> Value {
    let first = Problems::of(problems.iter().take(MOST_PROBLEMS).cloned().collect());
    first.to_json()["problems"].take()
}

/// What is wrong with a document that was sent ([`listed`]).
impl From<Problems> for Problem {
    fn from(problems: Problems) -> Self {
        let detail = format!("{} in the document", problems.summary());
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with("problems", listed(&problems))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:sealift:problem:{}", self.kind),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut body {
            members.extend(*self.more);
        }
        let mut response = (self.status, Body::from(body.to_string())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sealift\""));
        }
        headers.extend(self.headers);
        if self.is_denial {
            response.extensions_mut().insert(Denial);
        }
        response
    }
}

/// Turns error answers that the libraries make (unknown path, wrong method, too large, too slow)
/// into problems.
pub(super) async fn everywhere(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == MEDIA_TYPE);
    if !is_error || is_problem {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = Problem::of_status(status).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_may_not_do_is_no_denial_of_who_asks() {
        let answer = Problem::from(Error::denied("the store refuses the credentials")).into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.extensions().get::<Denial>().is_none());
        let answer = Problem::denied("not for you").into_response();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.extensions().get::<Denial>().is_some());
    }
}
