//! What the API takes at once and from one caller; what is more is refused at once.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;

use super::{Answer, Api, unavailable};
use crate::govern::Principal;
use crate::serve::problem::Problem;

/// Requests that are answered at the same time, those that wait among them.
const AT_ONCE: usize = 1_024;
/// Requests of one caller in a second, for as long as it likes.
const PER_SECOND: NonZeroU32 = number(1_000);
/// Requests of one caller at once after a rest.
const BURST: NonZeroU32 = number(2_000);
/// Callers that are remembered; those that rested are forgotten first.
const MOST_CALLERS: usize = 10_000;
/// Most characters of path and query.
const MOST_URI_CHARS: usize = 8 << 10;

/// `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// The limits of one daemon.
pub(super) struct Limits {
    places: Semaphore,
    callers: RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(AT_ONCE, Quota::per_second(PER_SECOND).allow_burst(BURST))
    }
}

/// What is left to a caller, or how long it has to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Requests(u32),
    Rest(Duration),
}

impl Limits {
    fn of(at_once: usize, quota: Quota) -> Self {
        let callers = RateLimiter::keyed(quota).with_middleware();
        Self { places: Semaphore::new(at_once), callers }
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
    Ok(next.run(request).await)
}

/// Refuses a caller that asks too often.
pub(super) async fn paced(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    request: Request,
    next: Next,
) -> Answer {
    match api.limits.take(&principal.actor()) {
        Left::Requests(left) => {
            let mut answer = next.run(request).await;
            answer.headers_mut().insert(RATE_LIMIT, rate_limit(left, 1));
            Ok(answer)
        }
        Left::Rest(rest) => {
            let seconds = rest.as_secs() + 1;
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "this caller asks too often")
                .with("help", format!("at most {BURST} requests at once, and {PER_SECOND} a second"))
                .header(header::RETRY_AFTER, seconds)
                .header(RATE_LIMIT, rate_limit(0, seconds)))
        }
    }
    .map(|mut answer: Response| {
        let policy = format!("\"caller\";q={BURST};w={}", BURST.get().div_ceil(PER_SECOND.get()));
        if let Ok(policy) = HeaderValue::try_from(policy) {
            answer.headers_mut().insert(RATE_LIMIT_POLICY, policy);
        }
        answer
    })
}

/// How many requests are left, and after how many seconds there are more.
fn rate_limit(left: u32, seconds: u64) -> HeaderValue {
    let text = format!("\"caller\";r={left};t={seconds}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_asks_too_often_rests_and_others_do_not() {
        let quota = Quota::per_hour(NonZeroU32::new(60).unwrap()).allow_burst(NonZeroU32::new(2).unwrap());
        let limits = Limits::of(1, quota);
        assert_eq!(limits.take("token:a"), Left::Requests(1));
        assert_eq!(limits.take("token:a"), Left::Requests(0));
        assert!(matches!(limits.take("token:a"), Left::Rest(rest) if rest > Duration::from_secs(1)));
        assert_eq!(limits.take("token:b"), Left::Requests(1));
    }
}
