//! Who signs in. Each request proves anew who sends it: one entry an hour tells of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::chain::Deed;
use super::{Action, Outcome, add_all};
use crate::error::Result;
use crate::govern::store::Store;

/// How long the same is told once.
const WINDOW: Duration = Duration::from_hours(1);
/// Most sign-ins that are remembered; beyond, one may be told again before its hour is over.
const MOST: usize = 1024;

/// Records who signs in, and how, once an hour.
#[derive(Debug, Default)]
pub struct SignIns {
    seen: Mutex<HashMap<SignIn, Seen>>,
    /// Whoever records has it, so that nothing is recorded twice.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SignIn {
    actor: String,
    subject: String,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Instant,
    is_told: bool,
}

impl Seen {
    /// Whether it is recorded, or about to be.
    fn is_known(&self) -> bool {
        !self.is_told || self.since.elapsed() < WINDOW
    }
}

impl SignIns {
    /// Takes note of a sign-in, and says whether it is to be recorded ([`SignIns::tell`]).
    #[must_use]
    pub fn see(&self, actor: &str, subject: &str) -> bool {
        let sign_in = SignIn { actor: actor.to_owned(), subject: subject.to_owned() };
        let mut seen = self.seen();
        if seen.get(&sign_in).is_some_and(Seen::is_known) {
            return false;
        }
        if seen.len() >= MOST {
            seen.retain(|_, one| one.is_known());
        }
        if seen.len() >= MOST {
            seen.retain(|_, one| !one.is_told);
        }
        // Where none of so many can be recorded, the next request tells of it.
        let has_room = seen.len() < MOST;
        if has_room {
            seen.insert(sign_in, Seen { since: Instant::now(), is_told: false });
        }
        has_room
    }

    /// Records what is not recorded yet. To be called now and then.
    ///
    /// # Errors
    /// As [`super::record`]; what was not recorded is still to be.
    pub async fn tell(&self, store: &(impl Store + ?Sized)) -> Result<()> {
        let _telling = self.telling.lock().await;
        let due: Vec<SignIn> =
            self.seen().iter().filter(|(_, one)| !one.is_told).map(|(sign_in, _)| sign_in.clone()).collect();
        if due.is_empty() {
            return Ok(());
        }
        let deeds: Vec<Deed<'_>> =
            due.iter().map(|one| Deed::now(&one.actor, Action::Login, &one.subject, Outcome::Done)).collect();
        add_all(store, &deeds).await?;
        let mut seen = self.seen();
        for sign_in in &due {
            if let Some(one) = seen.get_mut(sign_in) {
                one.is_told = true;
            }
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<SignIn, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_too_many() {
        let sign_ins = SignIns::default();
        for number in 0..5000 {
            let _ = sign_ins.see(&format!("ldap:{number}"), "auditor from 10.0.0.1");
            assert!(sign_ins.seen().len() <= MOST);
        }
    }
}
