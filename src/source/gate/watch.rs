//! Looking at a source's load while it is read.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Gate, Load};
use crate::error::{Error, Result};
use crate::spec::config::Throttle;

/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// Failed looks in a row after which a source that stood still is read again, slowly.
const MOST_FAILURES: u32 = 3;

/// Keeps looking until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the looking"]
pub struct Watcher(JoinHandle<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Looks at the load at once and then every [`Throttle::every`], and tells the gate. `probe` runs the
/// throttle's query, on a connection of its own, and answers its number.
///
/// A look that fails leaves the load as it was last seen and is warned of once for each cause; a source
/// that stood still goes on slowly after three of them, so that a broken query cannot stop a read for
/// ever. When the last watcher of a gate ends, for whatever reason, the load counts as light.
pub fn watch<P, F>(throttle: Throttle, gate: Arc<Gate>, probe: P) -> Watcher
where
    P: Fn() -> F + Send + 'static,
    F: Future<Output = Result<f64>> + Send,
{
    let watching = Watching::begin(gate);
    let task = async move {
        let mut failures = Failures::default();
        loop {
            let answer = timeout(LOOK_TIMEOUT, probe()).await;
            let answer =
                answer.unwrap_or_else(|_| Err(Error::temporary("the query did not answer in 30 seconds")));
            look(&throttle, &watching.0, &mut failures, answer);
            sleep(throttle.every).await;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the task ends with its guard")]
    Watcher(tokio::spawn(task))
}

/// One that looks at a gate's load, counted as long as its task lives.
struct Watching(Arc<Gate>);

impl Watching {
    fn begin(gate: Arc<Gate>) -> Self {
        gate.watchers.fetch_add(1, Ordering::AcqRel);
        Self(gate)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.0.watchers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.set_load(Load::Light);
        }
    }
}

/// Looks that failed since the last that did not.
#[derive(Default)]
struct Failures {
    count: u32,
    /// What was warned of last.
    told: Option<String>,
}

fn look(throttle: &Throttle, gate: &Gate, failures: &mut Failures, answer: Result<f64>) {
    let load = answer.and_then(|load| of(throttle, load));
    match load {
        Ok(load) => {
            *failures = Failures::default();
            if load != gate.load() {
                tracing::info!(?load, "the source's load has changed: reads follow it");
                gate.set_load(load);
            }
        }
        Err(error) => {
            failures.count += 1;
            if failures.told.as_deref() != Some(error.message()) {
                tracing::warn!(%error, "the source's load cannot be told: reads go on as before");
                failures.told = Some(error.message().to_owned());
            }
            if failures.count >= MOST_FAILURES && gate.load() == Load::Overload {
                tracing::warn!("the source's load cannot be told any more: it is read again, slowly");
                gate.set_load(Load::Heavy);
            }
        }
    }
}

fn of(throttle: &Throttle, load: f64) -> Result<Load> {
    #[expect(clippy::cast_precision_loss, reason = "a threshold need not be exact")]
    let is_above = |threshold: u64| load > threshold as f64;
    if load.is_nan() {
        return Err(Error::data("the throttle's query does not answer a number"));
    }
    Ok(if is_above(throttle.pause_above) {
        Load::Overload
    } else if is_above(throttle.slow_above) {
        Load::Heavy
    } else {
        Load::Light
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Mutex, mpsc};

    use super::*;

    fn throttle() -> Throttle {
        Throttle { query: String::new(), slow_above: 10, pause_above: 20, every: Duration::ZERO }
    }

    /// A watcher whose answers the test hands in one by one.
    fn watched(gate: &Arc<Gate>) -> (Watcher, mpsc::Sender<Result<f64>>) {
        let (sender, receiver) = mpsc::channel(1);
        let receiver = Arc::new(Mutex::new(receiver));
        let probe = move || {
            let receiver = Arc::clone(&receiver);
            async move {
                let answer = receiver.lock().await.recv().await;
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        };
        (watch(throttle(), Arc::clone(gate), probe), sender)
    }

    async fn until(gate: &Gate, load: Load) {
        gate.load.subscribe().wait_for(|seen| *seen == load).await.unwrap();
    }

    #[tokio::test]
    async fn the_gate_follows_the_load_and_is_light_when_nobody_looks_any_more() {
        let gate = Arc::new(Gate::default());
        let (watcher, answers) = watched(&gate);
        for (answer, load) in [(10.5, Load::Heavy), (21.0, Load::Overload), (20.0, Load::Heavy)] {
            answers.send(Ok(answer)).await.unwrap();
            until(&gate, load).await;
        }
        answers.send(Ok(f64::INFINITY)).await.unwrap();
        until(&gate, Load::Overload).await;
        let (other, others) = watched(&gate);
        drop(watcher);
        // The probe of the first is dropped with its task.
        answers.closed().await;
        assert_eq!(gate.load(), Load::Overload, "another still looks");
        drop(other);
        others.closed().await;
        until(&gate, Load::Light).await;
    }

    #[tokio::test]
    async fn a_watcher_that_panics_does_not_leave_the_source_standing_still() {
        let gate = Arc::new(Gate::default());
        gate.set_load(Load::Overload);
        let _watcher = watch(throttle(), Arc::clone(&gate), || async { panic!("a probe of ours broke") });
        until(&gate, Load::Light).await;
    }

    #[test]
    fn failed_looks_keep_the_load_but_do_not_stop_a_read_for_ever() {
        let (gate, throttle, mut failures) = (Gate::default(), throttle(), Failures::default());
        let fail = || Err(Error::temporary("no answer"));
        let mut seen = Vec::new();
        for answer in [fail(), Ok(15.0), fail(), Ok(25.0), fail(), Ok(f64::NAN), fail(), fail(), Ok(1.0)] {
            look(&throttle, &gate, &mut failures, answer);
            seen.push(gate.load());
        }
        let (light, heavy, overload) = (Load::Light, Load::Heavy, Load::Overload);
        assert_eq!(seen, [light, heavy, heavy, overload, overload, overload, heavy, heavy, light]);
    }
}
