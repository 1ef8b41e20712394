//! Several threads that share a row of tasks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// Most threads of one read.
const THREADS_MAX: usize = 8;

/// How many threads are worth starting for so many tasks.
pub(super) fn threads(tasks: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.clamp(2, THREADS_MAX).min(tasks).max(1)
}

/// Does tasks 0 to `tasks`, begun in their order, on several threads, this one among them. Each thread
/// has a state of its own, and all states are answered. No further task is begun when one fails or
/// answers false.
///
/// # Errors
/// The error of the first task that has one, in the order of tasks and not of time.
pub(super) fn share<S: Send>(
    threads: usize,
    tasks: usize,
    state: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize) -> Result<bool> + Sync,
) -> Result<Vec<S>> {
    let next = AtomicUsize::new(0);
    let first_fault: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let work = || {
        let mut state = state();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= tasks {
                return state;
            }
            let outcome = task(&mut state, index);
            if !matches!(outcome, Ok(true)) {
                next.store(tasks, Ordering::Relaxed);
            }
            if let Err(fault) = outcome {
                let mut first = first_fault.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(known, _)| index < *known) {
                    *first = Some((index, fault));
                }
            }
        }
    };
    let states = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut states = vec![work()];
        for other in others {
            states.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        states
    });
    match first_fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, fault)) => Err(fault),
        None => Ok(states),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn the_fault_of_the_first_task_is_told_and_not_the_first_fault() {
        let (both, second_failed) = (Barrier::new(2), Barrier::new(2));
        let outcome = share(
            2,
            9,
            || (),
            |(), index| {
                match index {
                    0 => {
                        both.wait();
                        second_failed.wait();
                    }
                    1 => {
                        both.wait();
                        second_failed.wait();
                    }
                    _ => return Ok(true),
                }
                Err(Error::data(format!("task {index}")))
            },
        );
        assert!(outcome.unwrap_err().to_string().contains("task 0"));
    }

    #[test]
    fn every_task_is_done_once() {
        let states = share(3, 100, Vec::new, |done, index| {
            done.push(index);
            Ok(true)
        });
        let mut done = states.unwrap().concat();
        done.sort_unstable();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
    }
}
