//! How often somebody may be wrong.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Wrong attempts within [`WINDOW`] after which no more are taken.
const MOST_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// Most keys that are counted for.
const MOST_KEYS: usize = 4096;

/// Where a wrong attempt came from: an IPv4 address, or the half of an IPv6 address that a network has, since the other
/// is its own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::serve) struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// What is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Tokens from there.
    Tokens(Origin),
    /// Passwords from there.
    Directory(Origin),
    /// Passwords of this user, from anywhere.
    User(String),
}

/// What is known of one key.
#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    /// How many were wrong since then.
    failures: u32,
    /// How many are being tried.
    trying: u32,
}

impl Count {
    const fn new(since: Instant) -> Self {
        Self { since, failures: 0, trying: 0 }
    }

    /// How long nothing more is taken.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let left = (self.since + WINDOW).saturating_duration_since(now);
        (self.failures >= MOST_FAILURES && !left.is_zero()).then_some(left)
    }

    /// The failures that count.
    fn failures(&self, now: Instant) -> u32 {
        if now.saturating_duration_since(self.since) < WINDOW { self.failures } else { 0 }
    }

    fn fail(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self { trying: self.trying, ..Self::new(now) };
        }
        self.failures = self.failures.saturating_add(1);
    }
}

/// Counts what was wrong, key by key.
#[derive(Default)]
pub(super) struct Throttle {
    counts: Mutex<HashMap<Key, Count>>,
    /// An attempt has ended.
    ended: Notify,
}

/// Something that may be tried once, and counts as wrong for as long as it is.
pub(super) struct Attempt {
    throttle: Arc<Throttle>,
    keys: Vec<Key>,
}

/// Whether something may be tried.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Now,
    /// Once one that is being tried has ended.
    Later,
    /// Not for so long.
    After(Duration),
}

impl Throttle {
    /// Leave to try something once. Where as many are being tried as may be wrong, it waits for one of them to end: so many
    /// that come at once are no more than as many that come one after the other.
    ///
    /// # Errors
    /// How long to wait, where one of the keys was wrong too often.
    pub(super) async fn attempt(self: &Arc<Self>, keys: &[Key]) -> Result<Attempt, Duration> {
        loop {
            // Listened for before the look, so that an end between the two is heard.
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            match self.take_at(Instant::now(), keys) {
                Turn::Now => return Ok(Attempt { throttle: Arc::clone(self), keys: keys.to_vec() }),
                Turn::Later => ended.await,
                Turn::After(wait) => return Err(wait),
            }
        }
    }

    fn take_at(&self, now: Instant, keys: &[Key]) -> Turn {
        let mut counts = self.counts();
        let known: Vec<Count> = keys.iter().filter_map(|key| counts.get(key)).copied().collect();
        if let Some(wait) = known.iter().filter_map(|count| count.wait(now)).max() {
            return Turn::After(wait);
        }
        if known.iter().any(|count| count.failures(now).saturating_add(count.trying) >= MOST_FAILURES) {
            return Turn::Later;
        }
        for key in keys {
            let count = count_of(&mut counts, key, now);
            count.trying = count.trying.saturating_add(1);
        }
        Turn::Now
    }

    /// Counts one that was wrong for each of the keys.
    ///
    /// # Errors
    /// How long to wait, where one of them was wrong too often already: it is not counted then.
    pub(super) fn failed(&self, keys: &[Key]) -> Result<(), Duration> {
        self.failed_at(Instant::now(), keys)
    }

    fn failed_at(&self, now: Instant, keys: &[Key]) -> Result<(), Duration> {
        let mut counts = self.counts();
        let waits = keys.iter().filter_map(|key| counts.get(key)?.wait(now));
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        for key in keys {
            count_of(&mut counts, key, now).fail(now);
        }
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// It was wrong. One that is dropped was right, or nobody could tell.
    pub(super) fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(self, now: Instant) {
        let mut counts = self.throttle.counts();
        for key in &self.keys {
            count_of(&mut counts, key, now).fail(now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut counts = self.throttle.counts();
        for key in &self.keys {
            if let Some(count) = counts.get_mut(key) {
                count.trying = count.trying.saturating_sub(1);
                if count.failures == 0 && count.trying == 0 {
                    counts.remove(key);
                }
            }
        }
        drop(counts);
        self.throttle.ended.notify_waiters();
    }
}

fn count_of<'a>(counts: &'a mut HashMap<Key, Count>, key: &Key, now: Instant) -> &'a mut Count {
    if counts.len() >= MOST_KEYS && !counts.contains_key(key) {
        make_room(counts, now);
    }
    counts.entry(key.clone()).or_insert_with(|| Count::new(now))
}

/// Forgets what is over; if nothing is, the half that is oldest. What is being tried stays.
fn make_room(counts: &mut HashMap<Key, Count>, now: Instant) {
    counts.retain(|_, one| one.trying > 0 || now.saturating_duration_since(one.since) < WINDOW);
    if counts.len() >= MOST_KEYS {
        let mut begun: Vec<Instant> = counts.values().map(|one| one.since).collect();
        begun.sort_unstable();
        let middle = begun.get(MOST_KEYS / 2).copied().unwrap_or(now);
        counts.retain(|_, one| one.trying > 0 || one.since > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> [Key; 1] {
        [Key::Tokens(address.parse::<IpAddr>().unwrap().into())]
    }

    #[test]
    fn after_ten_in_a_minute_one_waits_for_the_end_of_it_and_others_do_not() {
        let throttle = Throttle::default();
        let begun = Instant::now();
        for _ in 0..MOST_FAILURES {
            throttle.failed_at(begun, &key("10.0.0.1")).unwrap();
        }
        assert_eq!(throttle.failed_at(begun, &key("10.0.0.1")), Err(WINDOW));
        assert_eq!(throttle.failed_at(begun + WINDOW / 2, &key("10.0.0.1")), Err(WINDOW / 2));
        assert_eq!(throttle.take_at(begun, &key("10.0.0.1")), Turn::After(WINDOW));
        assert_eq!(throttle.take_at(begun, &key("10.0.0.2")), Turn::Now);
        throttle.failed_at(begun + WINDOW, &key("10.0.0.1")).unwrap();
        assert_eq!(throttle.take_at(begun + WINDOW, &key("10.0.0.1")), Turn::Now);
    }

    #[tokio::test]
    async fn many_at_once_are_no_more_than_many_one_after_the_other() {
        let throttle = Arc::new(Throttle::default());
        let keys = [Key::User("ann".into()), Key::User("here".into())];
        let mut trying = Vec::new();
        for _ in 0..MOST_FAILURES {
            trying.push(throttle.attempt(&keys).await.unwrap());
        }
        assert_eq!(throttle.take_at(Instant::now(), &keys), Turn::Later);
        assert_eq!(throttle.take_at(Instant::now(), &[Key::User("bob".into())]), Turn::Now);
        // One that is right makes room for another.
        let (next, ()) = tokio::join!(throttle.attempt(&keys), async { drop(trying.pop()) });
        trying.push(next.unwrap());
        let waiting = throttle.attempt(&keys);
        let wrong = async { trying.drain(..).for_each(Attempt::failed) };
        let (waiting, ()) = tokio::join!(waiting, wrong);
        assert!(waiting.err().unwrap() > WINDOW / 2);
        assert!(throttle.counts().values().all(|count| count.trying <= 1));
    }

    #[tokio::test]
    async fn a_network_is_one_origin_and_there_are_never_too_many() {
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        let throttle = Arc::new(Throttle::default());
        let kept = [Key::User("kept".into())];
        let attempt = throttle.attempt(&kept).await.unwrap();
        for number in 0..10_000 {
            throttle.failed(&[Key::User(number.to_string())]).unwrap();
            assert!(throttle.counts().len() <= MOST_KEYS);
        }
        assert!(throttle.counts().contains_key(&kept[0]), "what is being tried stays counted");
        drop(attempt);
        assert!(!throttle.counts().contains_key(&kept[0]));
    }
}
