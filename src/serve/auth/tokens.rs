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

/// Knows the holders of tokens.
#[derive(Default)]
pub(super) struct Tokens {
    good: Remembered<Principal>,
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
                let time =
                    left_ms.map_or(REMEMBERED_FOR, |left| REMEMBERED_FOR.min(Duration::from_millis(left)));
                self.good.keep(digest, principal.clone(), time);
                return Ok(Answer::Is(principal));
            }
            token::Verdict::Expired(name) => format!("token {name}, which has expired"),
            token::Verdict::Revoked(name) => format!("token {name}, which was revoked"),
            token::Verdict::Unknown => "a token that nobody has".to_owned(),
        };
        Ok(Answer::Wrong { why })
    }
}
