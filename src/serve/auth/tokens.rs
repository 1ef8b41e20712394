//! Tokens of ours.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Answer;
use super::remembered::Remembered;
use crate::error::Result;
use crate::govern::store::now_ms;
use crate::govern::{Principal, Store, token};

/// How long a token that was good is taken for good: so long a revocation may take.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// How long it may read metrics while nobody can tell.
const MISSED_FOR: Duration = Duration::from_secs(60 * 60);

/// Knows the holders of tokens.
#[derive(Default)]
pub(super) struct Tokens {
    good: Remembered<Principal>,
    /// Those that were good when they were last asked about.
    lately: Remembered<Principal>,
}

impl Tokens {
    /// # Errors
    /// `Temporary` or `Failed` when the store does not answer.
    pub(super) async fn judge(&self, store: &impl Store, text: &str) -> Result<Answer> {
        let digest = Sha256::digest(text.as_bytes()).to_vec();
        if let Some(principal) = self.good.get(&digest) {
            return Ok(Answer::Is(principal));
        }
        let why = match token::judge(store, text).await? {
            token::Verdict::Good { principal, expires_ms } => {
                let left_ms = expires_ms.map(|at| u64::try_from(at.saturating_sub(now_ms())).unwrap_or(0));
                let left = left_ms.map_or(Duration::MAX, Duration::from_millis);
                self.good.keep(digest.clone(), principal.clone(), REMEMBERED_FOR.min(left));
                self.lately.keep(digest, principal.clone(), MISSED_FOR.min(left));
                return Ok(Answer::Is(principal));
            }
            token::Verdict::Expired(name) => format!("token {name}, which has expired"),
            token::Verdict::Revoked(name) => format!("token {name}, which was revoked"),
            token::Verdict::Unknown => "a token that nobody has".to_owned(),
        };
        self.lately.forget(&digest);
        Ok(Answer::Wrong { why })
    }

    /// Who held the token when that was last known, within the hour; for what tells that the store is away.
    pub(super) fn lately(&self, text: &str) -> Option<Principal> {
        self.lately.get(&Sha256::digest(text.as_bytes()))
    }
}
