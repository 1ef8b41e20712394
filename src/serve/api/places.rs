//! Places for what takes long: so many in all, and so many for one caller, so that nobody takes them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of one kind.
pub(super) struct Places {
    most: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_caller: HashMap<String, usize>,
}

/// A place that is taken until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    caller: String,
}

impl Places {
    /// `most` in all, `each` for one caller.
    pub(super) fn new(most: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { most, each, taken: Mutex::default() })
    }

    /// A place for the caller, if there is one.
    pub(super) fn take(self: &Arc<Self>, caller: &str) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.by_caller.get(caller).copied().unwrap_or(0);
        if taken.all >= self.most || own >= self.each {
            return None;
        }
        taken.all += 1;
        taken.by_caller.insert(caller.to_owned(), own + 1);
        Some(Place { places: Arc::clone(self), caller: caller.to_owned() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_caller.get_mut(&self.caller) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_places_to_others_and_gives_its_own_back() {
        let places = Places::new(3, 2);
        let take =
            |caller: &str, times| -> Vec<Place> { (0..times).filter_map(|_| places.take(caller)).collect() };
        let greedy = take("token:a", 5);
        assert_eq!((greedy.len(), take("token:b", 5).len()), (2, 1));
        let other = take("token:b", 1);
        assert!(places.take("token:c").is_none());
        drop((greedy, other));
        assert!(places.taken().all == 0 && places.taken().by_caller.is_empty());
    }
}
