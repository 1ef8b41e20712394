//! Has the system look once a millisecond, on each core, at which thread is to go on, while requests are answered.
//!
//! The runs of a daemon give way to its requests by `SCHED_IDLE` (sched(7)). Linux looks at who goes on when a thread wakes
//! up, and at its tick, every 4 ms where `CONFIG_HZ` is 250. A thread that had more than its share of late (its lag is
//! negative, Documentation/scheduler/sched-eevdf.rst) is passed over when it wakes up, though only runs are before it, and
//! waits for the tick: of the wake-ups of a loaded daemon about one in 150 did, and a request takes a dozen. Whatever wakes
//! up on the same core has the system look again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use core_affinity::CoreId;

/// How often it looks.
const BEAT: Duration = Duration::from_millis(1);
/// After how many beats without a request they rest.
const LINGER_BEATS: u32 = 50;
/// Most cores that are looked at: of more, one is free soon.
const MOST_CORES: usize = 16;

/// One thread for each core, which wakes up again and again for as long as requests come.
#[derive(Debug)]
pub(super) struct Pulse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many requests came; [`OVER`] at the end.
    requests: AtomicU64,
    /// How many threads rest.
    resting: AtomicUsize,
    rest: Mutex<()>,
    wake: Condvar,
}

/// No more requests come.
const OVER: u64 = u64::MAX;

impl Pulse {
    /// Threads that rest until the first request. Where the system gives none, requests wait longer.
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        for core in core_affinity::get_core_ids().unwrap_or_default().into_iter().take(MOST_CORES) {
            let beating = Arc::clone(&shared);
            let thread = thread::Builder::new().name("sealift-pulse".to_owned());
            let _ = thread.spawn(move || beating.beat(core));
        }
        Self(shared)
    }

    /// A request came.
    pub(super) fn quicken(&self) {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        self.0.wake();
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.requests.store(OVER, Ordering::SeqCst);
        self.0.wake();
    }
}

impl Shared {
    fn beat(&self, core: CoreId) {
        core_affinity::set_for_current(core);
        let (mut known, mut quiet) = (0, LINGER_BEATS);
        loop {
            let requests = match quiet {
                LINGER_BEATS => self.rest_after(known),
                _ => self.requests.load(Ordering::SeqCst),
            };
            if requests == OVER {
                return;
            }
            quiet = if requests == known { quiet + 1 } else { 0 };
            known = requests;
            thread::sleep(BEAT);
        }
    }

    /// Rests until there are other requests than those that are known.
    fn rest_after(&self, known: u64) -> u64 {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        // Told before it looks: a request that comes in between sees that somebody rests, or is seen.
        self.resting.fetch_add(1, Ordering::SeqCst);
        let requests = loop {
            let requests = self.requests.load(Ordering::SeqCst);
            if requests != known {
                break requests;
            }
            rest = self.wake.wait(rest).unwrap_or_else(PoisonError::into_inner);
        };
        self.resting.fetch_sub(1, Ordering::SeqCst);
        requests
    }

    fn wake(&self) {
        if self.resting.load(Ordering::SeqCst) > 0 {
            let _rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(is_so: impl Fn() -> bool) {
        while !is_so() {
            thread::yield_now();
        }
    }

    #[test]
    fn it_beats_while_requests_come_rests_without_and_ends_with_its_owner() {
        let pulse = Pulse::start();
        let shared = Arc::downgrade(&pulse.0);
        let threads = core_affinity::get_core_ids().unwrap().len().min(MOST_CORES);
        let resting = || shared.upgrade().unwrap().resting.load(Ordering::SeqCst);
        wait_until(|| resting() == threads);
        for _ in 0..2 {
            // Until all of them were seen to beat: a request keeps them at it for a while.
            pulse.quicken();
            wait_until(|| {
                pulse.quicken();
                resting() == 0
            });
            wait_until(|| resting() == threads);
        }
        pulse.quicken();
        drop(pulse);
        wait_until(|| shared.upgrade().is_none());
    }
}
