//! What the API takes at once and from one caller; what is more is refused at once.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;

use super::{Answer, Api, unavailable};
use crate::govern::Principal;
use crate::serve::door::Bounds;
use crate::serve::problem::Problem;

/// Callers that are remembered; those that rested are forgotten first.
const MOST_CALLERS: usize = 10_000;
/// Most characters of path and query.
const MOST_URI_CHARS: usize = 8 << 10;

/// `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limits of one daemon.
pub(super) struct Limits {
    places: Semaphore,
    callers: RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>,
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

/// What is left to a caller, or how long it has to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Requests(u32),
    Rest(Duration),
}

impl Limits {
    pub(super) fn of(bounds: &Bounds) -> Self {
        let Bounds { requests, per_second, burst, .. } = *bounds;
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let callers = RateLimiter::keyed(quota).with_middleware();
        Self { places: Semaphore::new(requests), callers, per_second, burst }
    }

    /// What one caller may ask, and in how many seconds.
    fn policy(&self) -> HeaderValue {
        let Self { per_second, burst, .. } = self;
        text(&format!("\"caller\";q={burst};w={}", burst.get().div_ceil(per_second.get())))
    }

    fn refusal(&self) -> Problem {
        let Self { per_second, burst, .. } = self;
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "this caller asks too often")
            .with("help", format!("at most {burst} requests at once, and {per_second} a second"))
    }

    fn take(&self, caller: &str) -> Left {
        if self.callers.len() > MOST_CALLERS {
            self.callers.retain_recent();
        }
        match self.callers.check_key(&caller.to_owned()) {
            Ok(state) => Left::Requests(state.remaining_burst_capacity()),
            Err(too_early) => Left::Rest(too_early.wait_time_from(DefaultClock::default().now())),
        }
    }
}

/// Refuses what is too long, and what comes while as many requests are answered as can be.
pub(super) async fn admitted(State(api): State<Api>, request: Request, next: Next) -> Answer {
    let length = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    if length > MOST_URI_CHARS {
        let detail = format!("path and query are longer than {MOST_URI_CHARS} characters");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "too-long", detail));
    }
    let Ok(_place) = api.limits.places.try_acquire() else {
        return Err(unavailable("busy", "too many requests are being answered"));
    };
    api.pulse.quicken();
    Ok(next.run(request).await)
}

/// Refuses a caller that asks too often.
pub(super) async fn paced(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    request: Request,
    next: Next,
) -> Response {
    let limits = &api.limits;
    let left = limits.take(&principal.actor());
    let mut answer = match left {
        Left::Requests(_) => next.run(request).await,
        Left::Rest(_) => limits.refusal().header(header::RETRY_AFTER, left.seconds()).into_response(),
    };
    answer.headers_mut().insert(RATE_LIMIT, left.told());
    answer.headers_mut().insert(RATE_LIMIT_POLICY, limits.policy());
    answer
}

impl Left {
    /// After how many seconds there are more.
    const fn seconds(self) -> u64 {
        match self {
            Self::Requests(_) => 1,
            Self::Rest(rest) => rest.as_secs() + 1,
        }
    }

    fn told(self) -> HeaderValue {
        let requests = match self {
            Self::Requests(requests) => requests,
            Self::Rest(_) => 0,
        };
        text(&format!("\"caller\";r={requests};t={}", self.seconds()))
    }
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_asks_too_often_rests_and_others_do_not() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let limits = Limits::of(&Bounds { per_second: number(1), burst: number(2), ..Bounds::default() });
        assert_eq!(limits.take("token:a"), Left::Requests(1));
        assert_eq!(limits.take("token:a"), Left::Requests(0));
        assert!(matches!(limits.take("token:a"), Left::Rest(_)));
        assert_eq!(limits.take("token:b"), Left::Requests(1));
    }
}
