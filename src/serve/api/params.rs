//! Parameters of requests: read strictly, so that what is misspelt is refused and not ignored.

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use crate::serve::problem::Problem;

/// The query string of a request.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::<T>::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(|_| {
            let known = T::into_params(|| Some(ParameterIn::Query));
            let names: Vec<String> = known.iter().map(|one| format!("`{}`", one.name)).collect();
            Problem::new(StatusCode::BAD_REQUEST, "bad-request", "the query string cannot be taken")
                .with("help", format!("the parameters, each at most once, are {}", names.join(", ")))
        })
    }
}

/// A number of a query string, within bounds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u64")]
pub(super) struct Within<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Within<MIN, MAX> {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        (MIN..=MAX).contains(&number).then_some(Self(number)).ok_or("out of bounds")
    }
}

impl<const MIN: u64, const MAX: u64> Within<MIN, MAX> {
    pub(super) const fn get(self) -> u64 {
        self.0
    }
}

/// How many entries a page has at the most.
pub(super) type Limit = Within<1, 1000>;

/// Entries of a page that does not say how many.
const DEFAULT_LIMIT: usize = 50;

/// The number of entries that is asked for.
pub(super) fn entries(limit: Option<Limit>) -> usize {
    limit.and_then(|limit| usize::try_from(limit.get()).ok()).unwrap_or(DEFAULT_LIMIT)
}

/// Cuts what was read with one entry more than the page has; the key of the page's last entry where more follow.
pub(super) fn cut<T>(entries: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Option<String> {
    if entries.len() <= limit {
        return None;
    }
    entries.truncate(limit);
    entries.last().map(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_where_the_next_one_begins() {
        let key = |number: &u32| number.to_string();
        let mut all = vec![1, 2, 3];
        assert_eq!(cut(&mut all, 3, key), None);
        assert_eq!((cut(&mut all, 2, key), all), (Some("2".to_owned()), vec![1, 2]));
        assert!(
            Limit::try_from(0).is_err() && Limit::try_from(1001).is_err() && Limit::try_from(1000).is_ok()
        );
    }
}
