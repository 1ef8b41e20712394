//! What was found out a moment ago.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most things that are remembered.
const MOST: usize = 1024;

/// Things by the digest of what told them, each for a time.
pub(super) struct Remembered<T> {
    things: Mutex<HashMap<Vec<u8>, (T, Instant)>>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { things: Mutex::default() }
    }
}

impl<T: Clone> Remembered<T> {
    /// The thing, if its time is not over.
    pub(super) fn get(&self, digest: &[u8]) -> Option<T> {
        self.get_at(Instant::now(), digest)
    }

    fn get_at(&self, now: Instant, digest: &[u8]) -> Option<T> {
        let things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        let (thing, until) = things.get(digest)?;
        (now < *until).then(|| thing.clone())
    }

    /// Keeps it for a time. Where there is no room left, all is forgotten: it can be found out again.
    pub(super) fn keep(&self, digest: Vec<u8>, thing: T, time: Duration) {
        let now = Instant::now();
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if things.len() >= MOST {
            things.retain(|_, (_, until)| now < *until);
        }
        if things.len() >= MOST {
            things.clear();
        }
        things.insert(digest, (thing, now + time));
    }

    /// Forgets it.
    pub(super) fn forget(&self, digest: &[u8]) {
        self.things.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_forgotten_in_time_and_there_are_never_too_many() {
        let remembered = Remembered::default();
        remembered.keep(vec![1], "one", Duration::from_secs(5));
        assert_eq!(remembered.get(&[1]), Some("one"));
        assert_eq!(remembered.get(&[2]), None);
        assert_eq!(remembered.get_at(Instant::now() + Duration::from_secs(5), &[1]), None);
        remembered.forget(&[1]);
        assert_eq!(remembered.get(&[1]), None);
        for number in 0_u32..5000 {
            remembered.keep(number.to_be_bytes().to_vec(), "one", Duration::from_secs(5));
            assert!(remembered.things.lock().unwrap().len() <= MOST);
        }
    }
}
