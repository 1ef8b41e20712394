//! Lets those read the metrics who could read them a moment ago, while the metadata store is away: it knows the tokens, and
//! just then somebody has to see that it does not answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::show;
use crate::serve::api::Api;

/// How long who was let in is let in without the store: so long a revocation may take then.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// Most that are remembered.
const MOST: usize = 64;

/// Who was let in, by the digest of what they sent.
#[derive(Debug, Default)]
pub(super) struct Scrapers(Mutex<BTreeMap<Vec<u8>, Instant>>);

impl Scrapers {
    fn keep(&self, digest: Vec<u8>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| now.duration_since(*at) < REMEMBERED_FOR);
        if known.len() < MOST {
            known.insert(digest, now);
        }
    }

    fn forget(&self, digest: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }

    fn knows(&self, digest: &[u8], now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).is_some_and(|at| now.duration_since(*at) < REMEMBERED_FOR)
    }
}

/// Around the way to the metrics: remembers who may read them, and answers those itself where it cannot be known.
pub(in crate::serve) async fn remembered(State(api): State<Api>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let digest = headers.get(AUTHORIZATION).map(|sent| Sha256::digest(sent.as_bytes()).to_vec());
    let answer = next.run(request).await;
    let Some(digest) = digest else { return answer };
    let scrapers = &api.dispatcher.metrics().scrapers;
    let status = answer.status();
    if status.is_success() {
        scrapers.keep(digest, Instant::now());
    } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        scrapers.forget(&digest);
    } else if status.is_server_error() && scrapers.knows(&digest, Instant::now()) {
        return show(&api, &headers).await.unwrap_or_else(|problem| problem.into_response());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_let_in_is_known_for_a_while_and_no_longer_once_refused() {
        let (scrapers, now) = (Scrapers::default(), Instant::now());
        scrapers.keep(vec![1], now);
        assert!(scrapers.knows(&[1], now + REMEMBERED_FOR / 2));
        assert!(!scrapers.knows(&[1], now + REMEMBERED_FOR) && !scrapers.knows(&[2], now));
        scrapers.forget(&[1]);
        assert!(!scrapers.knows(&[1], now));
        for number in 0..200 {
            scrapers.keep(vec![number], now);
        }
        assert_eq!(scrapers.0.lock().unwrap().len(), MOST);
    }
}
