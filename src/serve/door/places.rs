//! Places for connections: so many in all, and half of them for one address, so that nobody takes them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::serve::auth::Origin;

/// The places of one door.
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_origin: HashMap<Origin, usize>,
}

/// A place that is taken until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    origin: Origin,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place for a connection from there, if there is one. This machine may take all of them: whoever sits there could
    /// do worse.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let origin = Origin::from(address);
        let share = if address.to_canonical().is_loopback() { self.most } else { self.most.div_ceil(2) };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most || taken.by_origin.get(&origin).is_some_and(|count| *count >= share) {
            return None;
        }
        taken.all += 1;
        *taken.by_origin.entry(origin).or_default() += 1;
        Some(Place { places: Arc::clone(self), origin })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.by_origin.get_mut(&self.origin) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_origin.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(places: &Arc<Places>, address: &str, times: usize) -> Vec<Place> {
        (0..times).filter_map(|_| places.take(address.parse().unwrap())).collect()
    }

    #[test]
    fn one_address_has_half_of_the_places_and_gives_them_back() {
        let places = Places::new(10);
        let greedy = taken(&places, "10.0.0.1", 20);
        assert_eq!(greedy.len(), 5);
        let others = taken(&places, "10.0.0.2", 20);
        assert_eq!((others.len(), taken(&places, "10.0.0.3", 20).len()), (5, 0));
        drop(greedy);
        drop(others);
        assert_eq!(taken(&places, "127.0.0.1", 20).len(), 10);
        let left = places.taken.lock().unwrap();
        assert!(left.all == 0 && left.by_origin.is_empty());
    }
}
