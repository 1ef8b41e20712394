use std::future::Future;
use std::pin::pin;

use futures::FutureExt;

use super::*;

fn gate(limits: Limits) -> Gate {
    Gate::new(limits)
}

/// Whether the future is still waiting.
fn waits<T>(future: impl Future<Output = T>) -> bool {
    future.now_or_never().is_none()
}

#[tokio::test]
async fn connections_are_counted_over_all_reads() {
    let gate = gate(Limits { connections: Some(2), ..Limits::default() });
    assert_eq!(gate.most_connections(), 2);
    let first = gate.enter().await.unwrap();
    let second = gate.try_enter().unwrap();
    assert!(gate.try_enter().is_none());
    let mut third = pin!(gate.enter());
    assert!(waits(third.as_mut()));
    drop(second);
    // A read that waits for its first comes before one that would like another.
    assert!(gate.try_enter().is_none());
    third.await.unwrap();
    drop(first);
    assert!(gate.try_enter().is_some());
}

#[tokio::test]
async fn without_a_limit_every_read_has_its_connections() {
    let gate = gate(Limits::default());
    let slots: Vec<Slot> = (0..1000).map(|_| gate.try_enter().unwrap()).collect();
    assert!((2..=MOST_CONNECTIONS).contains(&gate.most_connections()) && slots.len() == 1000);
}

#[test]
fn a_batch_costs_the_time_of_the_tighter_limit() {
    let gate = gate(Limits {
        connections: None,
        rows_per_second: Some(100),
        bytes_per_second: Some(1000),
        ..Limits::default()
    });
    assert_eq!(gate.cost(50, 100), Duration::from_millis(500));
    assert_eq!(gate.cost(50, 4000), Duration::from_secs(4));
    let start = Instant::now();
    let mut due = Vec::new();
    for (rows, bytes) in [(100, 0), (0, 2000), (1, 1)] {
        let mut turn = gate.turn(rows, bytes, start);
        turn.is_taken = true;
        due.push((turn.due - start).as_secs());
    }
    assert_eq!(due, [0, 1, 3]);
}

#[tokio::test]
async fn a_read_that_is_dropped_while_it_waits_takes_no_time_of_the_others() {
    let gate = gate(Limits { rows_per_second: Some(1), ..Limits::default() });
    gate.pass(1, 1).await;
    assert!(waits(gate.pass(1_000_000, 1)));
    let turn = gate.turn(1, 1, Instant::now());
    assert!(turn.due - Instant::now() <= Duration::from_secs(1));
}

#[tokio::test]
async fn overload_stands_still_until_the_load_falls() {
    let gate = gate(Limits::default());
    gate.set_load(Load::Overload);
    let mut pass = pin!(gate.pass(1, 1));
    assert!(waits(pass.as_mut()));
    gate.set_load(Load::Heavy);
    pass.await;
}
