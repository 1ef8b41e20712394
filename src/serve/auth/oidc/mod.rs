//! Holders of tokens that an identity provider signed: JWT (RFC 7519) as an access token for us (RFC 9068) or an ID
//! token. Keys are those that the provider publishes; a token says which, and never how it is to be checked.

mod fetch;
mod keys;

use std::collections::BTreeSet;

use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};
use tokio_util::task::TaskTracker;

use self::keys::Keys;
use super::Answer;
use crate::error::Result;
use crate::govern::{Principal, Source};
use crate::spec::Role;
use crate::spec::access::Oidc;

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 60;
/// Most groups of one token that are looked at.
const MOST_GROUPS: usize = 1000;
/// What a token that is meant for us may say it is (RFC 7519, section 5.1; RFC 9068, section 2.1).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// An identity provider.
pub(super) struct Issuer {
    given: Oidc,
    keys: Keys,
}

impl Issuer {
    /// Nothing is contacted yet. What is, is among `tasks`.
    ///
    /// # Errors
    /// `Invalid` when its authorities cannot be read.
    pub(super) fn new(given: Oidc, tasks: TaskTracker) -> Result<Self> {
        Ok(Self { keys: Keys::new(&given, tasks)?, given })
    }

    /// Who holds the token.
    ///
    /// # Errors
    /// `Temporary` when the provider's keys cannot be had.
    pub(super) async fn judge(&self, token: &str) -> Result<Answer> {
        let wrong = |why: &str| Ok(Answer::Wrong { why: format!("a token of an identity provider: {why}") });
        // An algorithm that is no signature of a known kind, `none` among them, cannot be read.
        let Ok(header) = decode_header(token) else { return wrong("it cannot be read") };
        let is_type = |kind: &String| TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known));
        if !header.typ.as_ref().is_none_or(is_type) {
            return wrong("it is of another type");
        }
        if !keys::is_asymmetric(header.alg) {
            return wrong("its algorithm is not allowed");
        }
        let Some(key) = self.keys.find(header.kid.as_deref(), header.alg).await? else {
            return wrong("its key is unknown");
        };
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.given.issuer]);
        validation.set_audience(&[&self.given.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = match decode::<Map<String, Value>>(token, &key, &validation) {
            Ok(decoded) => decoded.claims,
            Err(error) => return wrong(fault(error.kind())),
        };
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        match Principal::new(Source::Oidc, subject, self.roles(&claims)) {
            Some(principal) => Ok(Answer::Is(principal)),
            None => wrong("its subject cannot be used"),
        }
    }

    /// What the groups in the claim mean.
    fn roles(&self, claims: &Map<String, Value>) -> BTreeSet<Role> {
        let groups: Vec<&str> = match claim(claims, &self.given.roles_claim) {
            Some(Value::String(group)) => vec![group],
            Some(Value::Array(groups)) => groups.iter().take(MOST_GROUPS).filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        groups.iter().filter_map(|group| self.given.roles.get(*group)).flatten().copied().collect()
    }
}

/// A claim by its name, or by the names that lead to it.
fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// What is wrong with a token, in our own words.
const fn fault(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind as Fault;
    match kind {
        Fault::InvalidSignature => "its signature is wrong",
        Fault::ExpiredSignature => "it has expired",
        Fault::ImmatureSignature => "it is not valid yet",
        Fault::InvalidIssuer => "it is of another issuer",
        Fault::InvalidAudience => "it is for another audience",
        Fault::MissingRequiredClaim(_) | Fault::InvalidClaimFormat(_) => "a claim is missing or wrong",
        _ => "it cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_its_name_or_by_the_way_to_it() {
        let Value::Object(claims) = json!({"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}) else { panic!() };
        assert_eq!(claim(&claims, "a.b"), Some(&json!(1)));
        assert_eq!(claim(&claims, "a.c.d"), Some(&json!(3)));
        for nothing in ["", "b", "a.x", "a.b.c", "a.c.d.e"] {
            assert_eq!(claim(&claims, nothing), None, "{nothing}");
        }
    }
}
