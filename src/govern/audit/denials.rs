//! Denials that strangers can cause as fast as they like, and that must not fill the trail.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::chain::Deed;
use super::{Action, Outcome, add_all};
use crate::error::Result;
use crate::govern::store::Store;

/// How long the same denial is only counted, once it is recorded.
const WINDOW: Duration = Duration::from_mins(1);
/// Most denials that are told apart within a window: so many of strangers, and so many of those that are known.
const MOST: usize = 64;
/// Most of one actor that are told apart.
const MOST_OF_ONE: usize = 8;
/// Most characters of what is recorded of one: all of it may be a stranger's words.
const MOST_CHARS: usize = 200;
/// What a stranger's actor begins with.
const STRANGER: &str = "address:";
/// Who denials are told of that are too many to be told apart: of those that are known, and of strangers.
const OTHERS: [&str; 2] = ["many", "address:many"];
/// Their subject.
const REST: &str = "others";

/// Records the first of equal denials at once, and how many more there were when its minute is over. Of any number
/// of denials the trail so gets at most some 270 entries a minute; and as few are told apart of one actor, and strangers
/// take no place of those that are known, nobody hides the denials of somebody else behind their own.
#[derive(Debug, Default)]
pub struct Denials {
    counted: Mutex<BTreeMap<Denial, Counted>>,
    /// Whoever records has it, so that nothing is recorded twice.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Denial {
    actor: String,
    action: Action,
    subject: String,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: Instant,
    /// Whether the first is recorded.
    is_told: bool,
    /// How many are not recorded yet.
    left: u64,
}

impl Counted {
    fn is_over(&self) -> bool {
        self.since.elapsed() >= WINDOW
    }
}

/// An entry that is due.
struct Due {
    denial: Denial,
    subject: String,
    /// For how many denials it stands.
    stands_for: u64,
}

impl Denials {
    /// Counts a denial, and says whether it is the first of its kind: that one is to be recorded at once
    /// ([`Denials::tell`]). What actor and subject hold beyond 200 characters, and control characters, are left out.
    #[must_use]
    pub fn count(&self, actor: &str, action: Action, subject: &str) -> bool {
        let denial = Denial { actor: harmless(actor), action, subject: harmless(subject) };
        let mut counted = self.counted();
        let denial = told_apart(&counted, denial);
        let new = Counted { since: Instant::now(), is_told: false, left: 0 };
        let one = counted.entry(denial).or_insert(new);
        one.left = one.left.saturating_add(1);
        !one.is_told && one.left == 1
    }

    /// Records the denials that are the first of their kind, and how many more there were in minutes that are over; `all`
    /// also in those that are not, when the process ends. To be called now and then.
    ///
    /// # Errors
    /// As [`super::denied`]; what was not recorded is counted on.
    pub async fn tell(&self, store: &(impl Store + ?Sized), all: bool) -> Result<()> {
        let _telling = self.telling.lock().await;
        let due = self.due(all);
        let deeds: Vec<Deed<'_>> = due
            .iter()
            .map(|due| Deed::now(&due.denial.actor, due.denial.action, &due.subject, Outcome::Denied))
            .collect();
        if !deeds.is_empty() {
            add_all(store, &deeds).await?;
        }
        self.settle(&due);
        Ok(())
    }

    /// What is to be recorded now.
    fn due(&self, all: bool) -> Vec<Due> {
        let mut due = Vec::new();
        for (denial, one) in self.counted().iter() {
            let first = u64::from(!one.is_told && one.left > 0);
            if first > 0 {
                due.push(Due { denial: denial.clone(), subject: denial.subject.clone(), stands_for: first });
            }
            let more = one.left - first;
            if more > 0 && (all || one.is_over()) {
                let subject = format!("{} and {more} more within a minute", denial.subject);
                due.push(Due { denial: denial.clone(), subject, stands_for: more });
            }
        }
        due
    }

    /// Takes off what is recorded, and forgets what is over.
    fn settle(&self, told: &[Due]) {
        let mut counted = self.counted();
        for due in told {
            if let Some(one) = counted.get_mut(&due.denial) {
                one.is_told = true;
                one.left = one.left.saturating_sub(due.stands_for);
            }
        }
        counted.retain(|_, one| one.left > 0 || !one.is_over());
    }

    fn counted(&self) -> MutexGuard<'_, BTreeMap<Denial, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The denial as it is told: by itself while there is room, else as one of its actor's others, else as one of many.
fn told_apart(counted: &BTreeMap<Denial, Counted>, denial: Denial) -> Denial {
    if counted.contains_key(&denial) {
        return denial;
    }
    let is_stranger = denial.actor.starts_with(STRANGER);
    let alike = counted.keys().filter(|known| known.actor.starts_with(STRANGER) == is_stranger);
    let (all, own) = alike.fold((0, 0), |(all, own), known| {
        (all + 1, own + usize::from(known.actor == denial.actor && known.subject != REST))
    });
    let rest = Denial { subject: REST.to_owned(), ..denial.clone() };
    match (all < MOST, own < MOST_OF_ONE) {
        (true, true) => denial,
        (true, false) => rest,
        (false, _) if counted.contains_key(&rest) => rest,
        (false, _) => Denial { actor: OTHERS[usize::from(is_stranger)].to_owned(), ..rest },
    }
}

fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect()
}
