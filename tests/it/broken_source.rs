//! A source that breaks while it is read: the run ends with exit 75, nothing is visible, and the next
//! run publishes everything.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::house::House;
use crate::servers::postgres::Server;

const ROWS: u64 = 150_000;

/// A server with one table, and a house that reads it slowly enough to be disturbed.
fn house(server: &Server, more: &str) -> House {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client("postgres").await;
        let sql = format!(
            "CREATE TABLE t AS SELECT g AS n, repeat('x', 100) AS pad FROM generate_series(1, {ROWS}) g; CHECKPOINT"
        );
        client.batch_execute(&sql).await.unwrap();
    });
    let house = House::new();
    slowed(&house, server, more);
    house.policy("- {tags: [public], action: allow}");
    house.pipeline(
        "broken",
        "connection: db\ndataset: \"broken.t\"\nstreams:\n  public.t: {columns: {\"*\": {tag: public}}}",
    );
    house
}

fn slowed(house: &House, server: &Server, more: &str) {
    let settings = server.settings("postgres");
    let password = server.folder().join("password");
    house.config(
        "",
        &format!(
            "db: {{postgres: {{host: 127.0.0.1, port: {}, database: postgres, user: {}, tls: disable, \
             password: \"file:{}\"{more}}}}}",
            settings.port,
            settings.user,
            password.display()
        ),
    );
}

/// Waits until the server sends rows.
fn until_copying(server: &Server) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client("postgres").await;
        let begun = Instant::now();
        loop {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND application_name = 'sealift'";
            let copying: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
            if copying > 0 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the read never began");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Everything is there after all.
fn whole(house: &House, server: &Server) {
    slowed(house, server, "");
    house.run(&["sync", "broken", "--json"]).expect(0);
    assert_eq!(
        house.query("SELECT count(*) AS n, sum(n) AS s FROM broken.t"),
        json!([{"n": ROWS, "s": ROWS * (ROWS + 1) / 2}])
    );
    assert_eq!(house.versions("broken.t"), 1);
}

#[test]
fn a_server_that_crashes_in_mid_read_is_a_passing_fault() {
    let mut server = Server::start(&|_| None);
    let house = house(&server, ", limits: {rows_per_second: 30000}");
    let started = house.start(house.command(&["sync", "broken", "--json"]));
    until_copying(&server);
    server.crash();
    let ran = house.finish(started);
    ran.expect(75);
    assert_eq!(house.versions("broken.t"), 0);
    server.start_again();
    whole(&house, &server);
}

#[test]
fn a_statement_timeout_in_mid_read_is_a_passing_fault() {
    let server = Server::start(&|_| None);
    let house = house(&server, ", statement_timeout: 1s, limits: {rows_per_second: 30000}");
    // A table is read in pieces, each of which is soon done; a query without `split_by` is one.
    house.pipeline(
        "long",
        "connection: db\ndataset: \"broken.long\"\nstreams:\n  long: {query: \"SELECT g AS n, repeat('x', 100) AS \
         pad FROM generate_series(1, 3000000) g\", columns: {\"*\": {tag: public}}}",
    );
    let ran = house.run(&["sync", "long", "--json"]);
    ran.expect(75);
    assert!(ran.stderr.contains("SQLSTATE 57014"), "{}", ran.stderr);
    assert_eq!(house.versions("broken.long"), 0);
}

#[test]
fn a_run_that_is_stopped_leaves_no_query_behind() {
    let server = Server::start(&|_| None);
    let house = house(&server, ", limits: {rows_per_second: 30000}");
    let started = house.start(house.command(&["sync", "broken", "--json"]));
    until_copying(&server);
    let pid = started.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    house.finish(started).expect(143);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client("postgres").await;
        let begun = Instant::now();
        loop {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sealift'";
            let left: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
            if left == 0 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{left} sessions are left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(house.versions("broken.t"), 0);
}
