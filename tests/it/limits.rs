//! What `limits` and `throttle` of a connection do, whatever the source.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sealift::source::gate::{Load, watch};
use sealift::source::{Gate, Gates};
use sealift::spec::config::{Limits, Throttle};
use sealift::spec::{ConnectionName, load_all};

fn gates() -> Gates {
    let (config, _, _) = load_all(Path::new("tests/fixtures/good/sealift.yaml")).unwrap();
    Gates::new(&config, 1 << 20)
}

fn gate(gates: &Gates, name: &str) -> Arc<Gate> {
    gates.of(&ConnectionName::parse(name).unwrap())
}

#[test]
fn all_that_read_through_a_connection_share_its_limits() {
    let gates = gates();
    let (one, other) = (gate(&gates, "gentle_db"), gate(&gates, "gentle_db"));
    assert_eq!(one.most_connections(), 4);
    let slots: Vec<_> = (0..4).map(|_| one.try_enter().unwrap()).collect();
    assert!(other.try_enter().is_none(), "a fifth connection");
    assert!(gate(&gates, "shop_db").try_enter().is_some(), "another connection has its own");
    drop(slots);
    assert!(other.try_enter().is_some());
}

#[tokio::test]
async fn two_readers_together_keep_to_the_rows_of_a_second() {
    let gate = Arc::new(Gate::new(Limits { rows_per_second: Some(1000), ..Limits::default() }));
    let start = std::time::Instant::now();
    let reader = || async {
        for _ in 0..2 {
            gate.pass(100, 1).await;
        }
    };
    futures::join!(reader(), reader());
    // Four batches of a tenth of a second each: the last comes after three of them, never before.
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_loaded_source_stops_the_read_and_a_relieved_one_lets_it_go_on() {
    let gate = Arc::new(Gate::default());
    let (load, seen) = tokio::sync::watch::channel(99.0);
    let throttle = Throttle {
        query: "SELECT 1".to_owned(),
        slow_above: 10,
        pause_above: 20,
        every: Duration::from_millis(1),
    };
    let watcher = watch(throttle, Arc::clone(&gate), move || std::future::ready(Ok(*seen.borrow())));
    while gate.load() != Load::Overload {
        tokio::task::yield_now().await;
    }
    assert!(gate.pass(1, 1).now_or_never().is_none());
    load.send(1.0).unwrap();
    gate.pass(1, 1).await;
    drop(watcher);
    assert_eq!(gate.load(), Load::Light);
}
