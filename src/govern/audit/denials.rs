//! Denials that strangers can cause as fast as they like, and that must not fill the trail.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Action, denied};
use crate::error::Result;
use crate::govern::store::Store;

/// How long the same denial is only counted, once it is recorded.
const WINDOW: Duration = Duration::from_mins(1);
/// Most denials that are told apart within a window.
const MOST: usize = 64;
/// Most characters of what is recorded of one: all of it may be a stranger's words.
const MOST_CHARS: usize = 200;
/// Who denials are told of that are too many to be told apart.
const OTHERS: &str = "many";

/// Records the first of equal denials at once, and how many more there were when its minute is over. Of any number
/// of denials the trail so gets at most some 130 entries a minute.
#[derive(Debug, Default)]
pub struct Denials {
    recent: Mutex<BTreeMap<Denial, Recent>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Denial {
    actor: String,
    action: Action,
    subject: String,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    since: Instant,
    /// How many were not recorded yet.
    more: u64,
}

impl Denials {
    /// Takes note of a denial: as [`denied`] for the first of its kind, else it is counted. What actor and subject
    /// hold beyond 200 characters, and control characters, are left out.
    ///
    /// # Errors
    /// As [`denied`]; what was refused stays so.
    pub async fn note(
        &self,
        store: &(impl Store + ?Sized),
        actor: &str,
        action: Action,
        subject: &str,
    ) -> Result<()> {
        self.tell(store, false).await?;
        let mut denial = Denial { actor: harmless(actor), action, subject: harmless(subject) };
        {
            let mut recent = self.recent.lock().await;
            if recent.len() >= MOST && !recent.contains_key(&denial) {
                denial = Denial { actor: OTHERS.to_owned(), action: Action::Request, subject: String::new() };
            }
            if let Some(known) = recent.get_mut(&denial) {
                known.more += 1;
                return Ok(());
            }
            recent.insert(denial.clone(), Recent { since: Instant::now(), more: 0 });
        }
        denied(store, &denial.actor, denial.action, &denial.subject).await
    }

    /// Records how many denials were counted in minutes that are over; `all` also of those that are not, when the
    /// process ends. To be called now and then: [`Denials::note`] alone would keep the last counts to itself.
    ///
    /// # Errors
    /// As [`denied`]; what was not recorded is counted on.
    pub async fn tell(&self, store: &(impl Store + ?Sized), all: bool) -> Result<()> {
        let mut recent = self.recent.lock().await;
        let is_over = |one: &Recent| all || one.since.elapsed() >= WINDOW;
        let over: Vec<Denial> =
            recent.iter().filter(|(_, one)| is_over(one)).map(|(denial, _)| denial.clone()).collect();
        for denial in over {
            let more = recent.get(&denial).map_or(0, |one| one.more);
            if more > 0 {
                let subject = format!("{} and {more} more within a minute", denial.subject);
                denied(store, &denial.actor, denial.action, subject.trim_start()).await?;
            }
            recent.remove(&denial);
        }
        Ok(())
    }
}

fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect()
}
