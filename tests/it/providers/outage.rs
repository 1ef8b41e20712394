//! A provider that goes away: while a run waits for its source, and while a daemon serves. Nothing is published
//! without it, and with it everything is well again.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{COLUMNS, keyed, refused, refused_at_start};
use crate::house::{House, connection};
use crate::servers::door::Door;
use crate::servers::gcp_kms::GcpKms;
use crate::servers::kms::Kms;
use crate::servers::postgres::Database;
use crate::servers::softhsm::{FIT, SoftHsm};
use crate::servers::vault::Vault;

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a pipeline `held` over a table, whose plan waits as long as the table is locked.
async fn held(house: &House, keys: &str, database: &Database) {
    database.run("CREATE TABLE people AS SELECT g AS id, '555-01-' || g AS ssn, g || '@example.com' AS email FROM generate_series(1, 100) g").await;
    house.config("", &connection(database));
    keyed(house, keys);
    house.pipeline(
        "held",
        &format!(
            "connection: db\ndataset: held.people\nstreams:\n  people:\n    query: \"SELECT id, ssn, email FROM people\"\n    {COLUMNS}"
        ),
    );
}

/// Until somebody waits for a lock.
async fn until_waiting(client: &Client) {
    let begun = Instant::now();
    loop {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let waiting: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
        if waiting > 0 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the run never came to the lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A run that has opened its keys loses the provider before it needs the first of them.
async fn survives<G: AsyncFnOnce(), B: AsyncFnOnce()>(
    house: &House,
    database: &Database,
    go: G,
    back: B,
    says: &str,
) {
    let locker = database.server.client(&database.name).await;
    locker.batch_execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let started = house.start(house.command(&["sync", "held", "--json"]));
    until_waiting(&database.client).await;
    go().await;
    locker.batch_execute("COMMIT").await.unwrap();
    let ran = house.finish(started);
    refused(&ran, 75, &[says]);
    assert_eq!(ran.summary()["outcome"], "temporary", "{ran:?}");
    nothing_published(&house.path("out/lake"));

    back().await;
    house.run(&["sync", "held"]).expect(0);
    let found = house.query("SELECT count(DISTINCT ssn) AS n FROM held.people");
    assert_eq!((found, house.versions("held.people")), (json!([{"n": 100}]), 1));
}

fn nothing_published(lake: &Path) {
    let Ok(entries) = fs::read_dir(lake) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        assert!(path.is_dir(), "left in the lake: {}", path.display());
        nothing_published(&path);
    }
}

#[tokio::test]
async fn a_token_that_is_taken_away() {
    let hsm = SoftHsm::with_token("prod");
    hsm.add_key("prod", "root", &FIT);
    let house = super::pkcs11::furnished(&hsm);
    let database = Database::create().await;
    held(&house, &super::pkcs11::keys("prod", "root"), &database).await;
    let gone = "the token `prod` is gone";
    survives(&house, &database, async || hsm.remove(), async || hsm.bring_back(), gone).await;
    // It was there before, so that this is no mistake of the configuration.
    hsm.remove();
    refused_at_start(&house, 75, &[gone]);
    refused(&house.run(&["query", "SELECT ssn FROM held.people"]), 75, &[gone]);
}

// The door is kept by a thread of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_kms_that_is_stopped() {
    let kms = Kms::start().await;
    kms.create_key("alias/sealift").await;
    let door = tokio::sync::Mutex::new(Door::before(kms.address()).await);
    let endpoint = format!("http://127.0.0.1:{}", door.lock().await.port());
    let house = super::aws_kms::furnished(&endpoint, "alias/sealift");
    let database = Database::create().await;
    held(&house, &super::aws_kms::keys(&endpoint, "alias/sealift"), &database).await;
    let (shut, open) = (async || door.lock().await.shut().await, async || door.lock().await.open().await);
    survives(&house, &database, shut, open, "AWS KMS cannot be reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kms_of_google_that_is_stopped() {
    let kms = GcpKms::start();
    kms.key(&super::gcp_kms::key("root"), json!({})).await;
    let door = tokio::sync::Mutex::new(Door::before(kms.address()).await);
    let endpoint = format!("http://127.0.0.1:{}", door.lock().await.port());
    let keys = super::gcp_kms::keys(&endpoint, "root", &kms.account("caller"));
    let house = super::house(&keys);
    let database = Database::create().await;
    held(&house, &keys, &database).await;
    let (shut, open) = (async || door.lock().await.shut().await, async || door.lock().await.open().await);
    survives(&house, &database, shut, open, "Google Cloud KMS cannot be reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_stopped() {
    let vault = Vault::start();
    vault.create_key("root", json!({})).await;
    let door = tokio::sync::Mutex::new(Door::before(vault.address()).await);
    let address = format!("http://127.0.0.1:{}", door.lock().await.port());
    let house = super::vault::furnished(&address, "");
    let database = Database::create().await;
    held(&house, &super::vault::keys(&address, "root", ""), &database).await;
    let (shut, open) = (async || door.lock().await.shut().await, async || door.lock().await.open().await);
    survives(&house, &database, shut, open, "Vault cannot be reached").await;
}

/// Triggers a run and gives its outcome.
async fn outcome(url: &str, token: &str, pipeline: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer =
        http.post(format!("{url}/v1/pipelines/{pipeline}/runs")).bearer_auth(token).send().await.unwrap();
    let run: Value = answer.json().await.unwrap();
    let run_id = run["run_id"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned();
    let begun = Instant::now();
    loop {
        let answer = http.get(format!("{url}/v1/runs/{run_id}")).bearer_auth(token).send().await.unwrap();
        let run: Value = answer.json().await.unwrap();
        if let Some(outcome) = run["outcome"].as_str() {
            return outcome.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "{run}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_daemon_takes_a_token_again_that_came_back() {
    let hsm = SoftHsm::with_token("prod");
    hsm.add_key("prod", "root", &FIT);
    let house = super::pkcs11::furnished(&hsm);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    house.config_listening("", "", &format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
    keyed(&house, &super::pkcs11::keys("prod", "root"));
    house.pipeline(
        "later",
        &format!("connection: drops\ndataset: later.people\nstreams:\n  people:\n    path: people.csv\n    {COLUMNS}"),
    );
    let token = house.json(&["token", "create", "scheduler", "--role", "scheduler"], 0)["token"].clone();
    let token = token.as_str().unwrap();
    let mut daemon = house.start(house.command(&["serve"]));
    let url = format!("http://127.0.0.1:{port}");
    let begun = Instant::now();
    while reqwest::get(format!("{url}/readyz")).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the daemon does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut outcomes = vec![outcome(&url, token, "crm").await];
    hsm.remove();
    outcomes.push(outcome(&url, token, "later").await);
    hsm.bring_back();
    outcomes.push(outcome(&url, token, "later").await);
    daemon.child.kill().unwrap();
    house.finish(daemon);
    assert_eq!(outcomes, ["done", "temporary", "done"]);
}
