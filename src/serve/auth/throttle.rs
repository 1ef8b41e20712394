//! How often somebody may be wrong.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong attempts within [`WINDOW`] after which no more are taken.
pub(super) const MOST_FAILURES: u32 = 10;
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

#[derive(Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
}

/// Counts what was wrong, key by key.
#[derive(Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
}

impl Throttle {
    /// How long to wait, where one of the keys was wrong too often.
    pub(super) fn wait(&self, keys: &[Key]) -> Option<Duration> {
        self.wait_at(Instant::now(), keys)
    }

    fn wait_at(&self, now: Instant, keys: &[Key]) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let over = keys.iter().filter_map(|key| failures.get(key)).filter(|one| one.count >= MOST_FAILURES);
        over.map(|one| (one.since + WINDOW).saturating_duration_since(now))
            .filter(|wait| !wait.is_zero())
            .max()
    }

    /// Counts one that was wrong for each of the keys.
    pub(super) fn failed(&self, keys: &[Key]) {
        self.failed_at(Instant::now(), keys);
    }

    fn failed_at(&self, now: Instant, keys: &[Key]) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if failures.len() >= MOST_KEYS && !failures.contains_key(key) {
                make_room(&mut failures, now);
            }
            let one = failures.entry(key.clone()).or_insert(Failures { since: now, count: 0 });
            if now.saturating_duration_since(one.since) >= WINDOW {
                *one = Failures { since: now, count: 0 };
            }
            one.count = one.count.saturating_add(1);
        }
    }
}

/// Forgets what is over; if nothing is, the half that is oldest.
fn make_room(failures: &mut HashMap<Key, Failures>, now: Instant) {
    failures.retain(|_, one| now.saturating_duration_since(one.since) < WINDOW);
    if failures.len() >= MOST_KEYS {
        let mut begun: Vec<Instant> = failures.values().map(|one| one.since).collect();
        begun.sort_unstable();
        let middle = begun.get(MOST_KEYS / 2).copied().unwrap_or(now);
        failures.retain(|_, one| one.since > middle);
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
            assert_eq!(throttle.wait_at(begun, &key("10.0.0.1")), None);
            throttle.failed_at(begun, &key("10.0.0.1"));
        }
        assert_eq!(throttle.wait_at(begun, &key("10.0.0.1")), Some(WINDOW));
        assert_eq!(throttle.wait_at(begun, &key("10.0.0.2")), None);
        assert_eq!(throttle.wait_at(begun + WINDOW / 2, &key("10.0.0.1")), Some(WINDOW / 2));
        assert_eq!(throttle.wait_at(begun + WINDOW, &key("10.0.0.1")), None);
        throttle.failed_at(begun + WINDOW, &key("10.0.0.1"));
        assert_eq!(throttle.wait_at(begun + WINDOW, &key("10.0.0.1")), None);
    }

    #[test]
    fn a_network_is_one_origin_and_there_are_never_too_many() {
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        let throttle = Throttle::default();
        for number in 0..10_000 {
            throttle.failed(&[Key::User(number.to_string())]);
            assert!(throttle.failures.lock().unwrap().len() <= MOST_KEYS);
        }
    }
}
