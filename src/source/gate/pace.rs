//! When the next batch may be given.

use std::time::Duration;

use tokio::time::Instant;

/// How much slower a read is under load.
const SLOW_FACTOR: u32 = 4;
/// The longest time without a batch that counts as the read's own pace: longer ones are between reads.
const LONGEST_GAP: Duration = Duration::from_secs(10);

/// The pace of all reads through one gate, from the clock that is handed in.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the limits allow the next batch.
    next: Option<Instant>,
    /// When the last batch was given, or is going to be.
    given: Option<Instant>,
}

impl Pace {
    /// When a batch that takes `cost` at the allowed speed may be given, and what it takes of the time
    /// of those after it.
    ///
    /// The limits keep batches apart by their cost. A read that is slowed rests, after each batch, three
    /// times as long as the batch took to come; where limits hold it back, they are a quarter.
    pub(super) fn take(&mut self, now: Instant, cost: Duration, is_slowed: bool) -> (Instant, Duration) {
        let (cost, rest) = if is_slowed {
            let gap = self.given.map_or(Duration::ZERO, |given| now.saturating_duration_since(given));
            (cost.saturating_mul(SLOW_FACTOR), gap.min(LONGEST_GAP) * (SLOW_FACTOR - 1))
        } else {
            (cost, Duration::ZERO)
        };
        let due = self.next.map_or(now, |next| next.max(now)).max(now + rest);
        self.next = Some(due.checked_add(cost).unwrap_or(due));
        self.given = Some(due);
        (due, cost)
    }

    /// Gives back the time of a batch that is not given after all.
    pub(super) fn give_back(&mut self, cost: Duration) {
        self.next = self.next.and_then(|next| next.checked_sub(cost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When each of `arrivals` (seconds, cost in seconds) is given, in seconds.
    fn given(pace: &mut Pace, start: Instant, arrivals: &[(f64, f64)], is_slowed: bool) -> Vec<f64> {
        let give = |(at, cost): &(f64, f64)| {
            let (at, cost) = (start + SECOND.mul_f64(*at), SECOND.mul_f64(*cost));
            (pace.take(at, cost, is_slowed).0 - start).as_secs_f64()
        };
        arrivals.iter().map(give).map(|seconds| (seconds * 1e3).round() / 1e3).collect()
    }

    #[test]
    fn batches_keep_apart_by_their_cost_whoever_brings_them() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        // Three workers arrive at once.
        let all = given(&mut pace, start, &[(0.0, 2.0), (0.0, 1.0), (0.0, 3.0)], false);
        assert_eq!(all, [0.0, 2.0, 3.0]);
        // A pause saves nothing up: two batches after it are kept apart like any others.
        let later = given(&mut pace, start, &[(100.0, 1.0), (100.0, 1.0), (100.5, 1.0)], false);
        assert_eq!(later, [100.0, 101.0, 102.0]);
    }

    #[test]
    fn without_limits_nothing_waits() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(given(&mut pace, start, &[(0.0, 0.0), (0.0, 0.0), (7.0, 0.0)], false), [0.0, 0.0, 7.0]);
    }

    #[test]
    fn a_slowed_read_goes_at_a_quarter_with_and_without_limits() {
        // A worker that brings a batch one second after its last was taken.
        for cost in [0.0, 1.0] {
            let (mut pace, start) = (Pace::default(), Instant::now());
            let mut at = given(&mut pace, start, &[(0.0, cost)], true)[0];
            for _ in 0..5 {
                let next = given(&mut pace, start, &[(at + 1.0, cost)], true)[0];
                assert!((next - at - 4.0).abs() < 1e-6, "cost {cost}: {}", next - at);
                at = next;
            }
        }
    }

    #[test]
    fn workers_that_are_slowed_together_share_the_pauses() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut first, mut second) = (0.0, 0.5);
        for _ in 0..8 {
            first = given(&mut pace, start, &[(first + 1.0, 0.0)], true)[0];
            second = given(&mut pace, start, &[((second + 1.0_f64).min(first), 0.0)], true)[0];
        }
        // Eight batches each, one second of work a batch: a quarter is four seconds a round.
        assert!((28.0..=36.0).contains(&first) && (28.0..=36.0).contains(&second), "{first} {second}");
    }

    #[test]
    fn a_long_time_between_two_reads_is_no_long_pause() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        given(&mut pace, start, &[(0.0, 0.0)], true);
        assert_eq!(given(&mut pace, start, &[(86_400.0, 0.0)], true), [86_430.0]);
    }

    #[test]
    fn a_batch_that_is_given_up_takes_no_time_of_the_others() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        given(&mut pace, start, &[(0.0, 1.0)], false);
        let (_, cost) = pace.take(start, SECOND * 3600, false);
        pace.give_back(cost);
        assert_eq!(given(&mut pace, start, &[(0.0, 1.0)], false), [1.0]);
    }
}
