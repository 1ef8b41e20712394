//! What a daemon tells others: metrics, log lines, traces, lineage and alerts, each judged by a program of others. None of
//! it may hold a value of a row.

mod alerts;
mod attempts;
mod lineage;
mod logs;
mod metrics;
mod traces;

use crate::daemon::{free_port, ready, serving, terminate};
use crate::house::{House, Started};

/// Values of a protected column: nobody may be told one.
pub(crate) const CANARIES: [&str; 2] = ["Wren.Canary", "Plover.Canary"];

const ROWS: &str = "id,email,balance\n1,Wren.Canary@example.org,10\n2,Plover.Canary@example.org,20\n";
/// One row of them breaks its contract.
const BAD_ROWS: &str = "id,email,balance\n1,Wren.Canary@example.org,10\n2,Plover.Canary@example.org,-20\n";

/// A house whose pipeline `crm` publishes `crm.people`, and whose pipeline `held` is held. `more` are whole lines of its
/// configuration.
pub(crate) fn house(listen: u16, more: &str) -> House {
    let mut house = House::new();
    house.config_listening("", "", &format!("listen: {{http: \"127.0.0.1:{listen}\"}}\n{more}"));
    house.policy("- {tags: [public], action: allow}\n- {tags: [pii.email], action: encrypt}");
    house.write("in/drops/people.csv", ROWS);
    house.pipeline(
        "crm",
        "connection: drops\ndataset: \"crm.{stream}\"\nstreams:\n  people:\n    path: people.csv\n    \
         transform: \"SELECT id, lower(email) AS email, balance FROM source\"\n    \
         quality: [{check: \"balance >= 0\", on_fail: quarantine}]\n    \
         columns: {email: {tag: pii.email}, \"*\": {tag: public}}",
    );
    house.pipeline(
        "held",
        "connection: drops\ndataset: \"held.{stream}\"\nstreams:\n  people:\n    path: people.csv\n    \
         columns: {\"*\": {tag: secret}}",
    );
    house.env("SEALIFT_URL", &format!("http://127.0.0.1:{listen}"));
    house
}

/// A daemon that is ready; `sealift trigger` in this house asks it. Started again it is asked with the same token.
pub(crate) async fn started(house: &mut House, port: u16) -> Started {
    if house.path("out/serving").exists() {
        return ready(house, port).await;
    }
    house.write("out/serving", "");
    let (daemon, _, token) = serving(house, port, "scheduler").await;
    house.env("SEALIFT_TOKEN", &token);
    daemon
}

/// Ends a daemon and gives what it printed.
pub(crate) fn ended(house: &House, daemon: Started) -> String {
    terminate(&daemon);
    house.finish(daemon).expect(0).printed()
}

/// No value of a row is in what others are told.
#[track_caller]
pub(crate) fn holds_no_value(what: &str, told: &[u8]) {
    let told = String::from_utf8_lossy(told).to_lowercase();
    for canary in CANARIES {
        assert!(!told.contains(&canary.to_lowercase()), "{what} holds {canary}");
    }
}

pub(crate) fn port() -> u16 {
    free_port()
}
