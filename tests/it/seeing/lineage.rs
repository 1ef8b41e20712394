//! OpenLineage events, read by OpenLineage's own client.

use serde_json::{Value, json};

use super::{BAD_ROWS, ended, holds_no_value, house, port, started};
use crate::house::{House, connection, script};
use crate::servers::postgres::Database;
use crate::servers::receiver::{Received, Receiver};

/// What the client makes of events, one a line.
pub(super) fn read(house: &House, events: &str) -> Vec<Value> {
    holds_no_value("an event", events.as_bytes());
    house.write("out/events", events);
    let told = script("openlineage_events.py", &[house.path("out/events").to_str().unwrap()], &[]);
    told["events"].as_array().unwrap().clone()
}

fn lines(received: &[Received]) -> String {
    received.iter().map(|it| String::from_utf8(it.body.clone()).unwrap() + "\n").collect()
}

/// Kinds of the events of a job within a run of its pipeline, in their order.
fn kinds<'a>(events: &'a [Value], job: &str, run_id: &Value) -> Vec<&'a str> {
    let is_of = |it: &&Value| it["job"] == job && (it["run"] == *run_id || it["parent"] == *run_id);
    events.iter().filter(is_of).map(|it| it["type"].as_str().unwrap()).collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn the<'a>(events: &'a [Value], job: &str, kind: &str) -> &'a Value {
    let is_it = |it: &&Value| it["job"] == job && it["type"] == kind;
    events.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} of {job}: {events:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_tells_a_server_and_a_file_of_every_run() {
    let (port, receiver) = (port(), Receiver::start().await);
    let url = receiver.url("/api/v1/lineage");
    let mut house = house(
        port,
        &format!(
            "lineage: {{http: {{url: \"{url}\", token: \"env:LINEAGE_TOKEN\"}}, file: {{path: ../out/lineage.jsonl}}}}"
        ),
    );
    house.env("LINEAGE_TOKEN", "lineage-token-of-tests");
    let daemon = started(&mut house, port).await;
    // A receiver that is busy hears it later, in the same order.
    receiver.answer_next(503, 2);
    let run = house.json(&["trigger", "crm", "--wait"], 0);
    house.write("in/drops/people.csv", BAD_ROWS);
    let second = house.json(&["trigger", "crm", "--wait"], 0);
    let held = house.json(&["trigger", "held", "--wait"], 76);
    let taken = receiver.taken("ten events", |taken| taken.len() >= 10).await;
    assert!(taken.iter().all(|it| it.headers["authorization"] == "Bearer lineage-token-of-tests"));
    ended(&house, daemon);

    let events = read(&house, &lines(&taken));
    assert_eq!(events.len(), 10, "{events:?}");
    for run in [&run, &second] {
        assert_eq!(kinds(&events, "crm", &run["run_id"]), ["START", "COMPLETE"]);
        assert_eq!(kinds(&events, "crm.people", &run["run_id"]), ["START", "COMPLETE"]);
    }
    assert_eq!(kinds(&events, "held", &held["run_id"]), ["START", "FAIL"]);
    let done = the(&events, "crm.people", "COMPLETE");
    assert_eq!((&done["parent"], &the(&events, "crm", "START")["run"]), (&run["run_id"], &run["run_id"]));
    assert_ne!(done["run"], run["run_id"]);
    let (drops, lake) = (house.path("in/drops/people.csv"), house.path("out/lake/crm/people"));
    assert_eq!(done["inputs"], json!([format!("file {}", drops.canonicalize().unwrap().display())]));
    assert_eq!(done["outputs"], json!([format!("file {}", lake.canonicalize().unwrap().display())]));
    assert_eq!(done["rows"], json!([2]));
    assert_eq!(
        done["columns"],
        json!({
            "balance": [["balance", "IDENTITY", false]],
            "email": [["email", "TRANSFORMATION", true]],
            "id": [["id", "IDENTITY", false]],
        })
    );
    for facet in [
        "columnLineage",
        "dataSource",
        "outputStatistics",
        "schema",
        "version",
        "sealift_protection",
        "sealift_receipt",
        "sealift_stream",
    ] {
        assert!(done["facets"].as_array().unwrap().contains(&facet.into()), "{facet}: {done}");
    }
    // The second run of crm set a row aside.
    let second = events.iter().rfind(|it| it["job"] == "crm.people").unwrap();
    assert_eq!(second["rows"], json!([1, 1]), "{second}");
    let held = the(&events, "held", "FAIL");
    assert!(held["error"].as_str().unwrap().contains("secret"), "{held}");

    let file = std::fs::read_to_string(house.path("out/lineage.jsonl")).unwrap();
    assert_eq!(sorted(&file), sorted(&lines(&taken)), "the file is told the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_tells_of_tables_by_the_names_that_others_know_them_by() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE people (id bigint PRIMARY KEY, email text, country text);
             INSERT INTO people VALUES (1, 'Wren.Canary@example.org', 'CH'), (2, 'Plover.Canary@example.org', 'AT')",
        )
        .await;
    let house = house(port(), "lineage: {namespace: bank, file: {path: ../out/lineage.jsonl}}");
    house.config_listening(
        "",
        &connection(&database),
        "lineage: {namespace: bank, file: {path: ../out/lineage.jsonl}}",
    );
    house.pipeline(
        "pg",
        "connection: db\ndataset: \"pg.{table}\"\nstreams:\n  public.people:\n    \
         transform: \"SELECT country, count(*) AS n, max(email) AS last FROM source GROUP BY country\"\n    \
         columns: {email: {tag: pii.email}, last: {tag: pii.email}, \"*\": {tag: public}}",
    );
    let run = house.json(&["sync", "pg"], 0);
    let events = read(&house, &std::fs::read_to_string(house.path("out/lineage.jsonl")).unwrap());
    assert_eq!(kinds(&events, "pg", &run["run_id"]), ["START", "COMPLETE"], "{events:?}");
    assert_eq!(kinds(&events, "pg.public.people", &run["run_id"]), ["START", "COMPLETE"]);
    let done = the(&events, "pg.public.people", "COMPLETE");
    let settings = database.settings();
    let name = format!("postgres://{}:{} {}.public.people", settings.host, settings.port, settings.database);
    assert_eq!(done["inputs"], json!([name]));
    assert_eq!(done["columns"]["country"], json!([["country", "TRANSFORMATION", false]]));
    let last = &done["columns"]["last"];
    assert!(last.as_array().unwrap().contains(&json!(["email", "AGGREGATION", true])), "{done}");
}
