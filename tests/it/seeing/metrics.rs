//! Prometheus scrapes; the rules and the dashboard name metrics that are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use sealift::govern::Store as _;
use serde_json::Value;

use super::{BAD_ROWS, ended, holds_no_value, house, port, started};
use crate::house::House;
use crate::serve::world::{Act, World};
use crate::servers::prometheus::Prometheus;

fn shipped(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The shipped configuration, for this daemon and a token of its own.
fn config(house: &House, daemon: u16) -> std::path::PathBuf {
    let token = house.json(&["token", "create", "prometheus", "--role", "auditor"], 0)["token"].clone();
    house.write("in/prometheus-token", token.as_str().unwrap());
    let config = shipped("config/prometheus/prometheus.yml")
        .replace("127.0.0.1:8470", &format!("127.0.0.1:{daemon}"))
        .replace("/run/secrets/sealift-token", house.path("in/prometheus-token").to_str().unwrap())
        .replace("15s", "1s");
    house.write("in/prometheus.yml", &config);
    house.write("in/alerts.yml", &shipped("config/prometheus/alerts.yml"));
    house.path("in/prometheus.yml")
}

fn promtool(args: &[&str], stdin: Option<&Path>) {
    let mut command = Command::new("promtool");
    command.args(args);
    if let Some(path) = stdin {
        command.stdin(Stdio::from(std::fs::File::open(path).unwrap()));
    }
    let output = command.output().expect("promtool is missing: run the tests through tests/run");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

/// The metrics that a query names: what begins like one of ours.
fn named(query: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query
        .split(|c: char| !is_word(c))
        .filter(|word| word.starts_with("sealift_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Every query of a dashboard, in panels and variables.
fn queries(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "expr" || name == "query" => found.push(text.clone()),
                    value => queries(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_what_rules_and_dashboard_ask_for() {
    let port = port();
    let mut house = house(port, "lineage: {file: {path: ../out/lineage.jsonl}}");
    let daemon = started(&mut house, port).await;
    house.json(&["trigger", "crm", "--wait"], 0);
    house.write("in/drops/people.csv", BAD_ROWS);
    house.json(&["trigger", "crm", "--wait"], 0);
    house.json(&["trigger", "held", "--wait"], 76);

    let config = config(&house, port);
    promtool(&["check", "config", config.to_str().unwrap()], None);
    house.write("in/alerts.test.yml", &shipped("config/prometheus/alerts.test.yml"));
    promtool(&["test", "rules", house.path("in/alerts.test.yml").to_str().unwrap()], None);
    let prometheus = Prometheus::start(&config, &house.path("out"), super::port());
    for (query, value) in [
        ("up{job=\"sealift\"}", 1.0),
        ("sealift_runs_total{pipeline=\"crm\",outcome=\"done\",trigger=\"api\"}", 2.0),
        ("sealift_runs_total{pipeline=\"held\",outcome=\"held\"}", 1.0),
        ("sum(sealift_run_duration_seconds_count)", 3.0),
        ("sealift_published_rows_total{dataset=\"crm.people\"}", 3.0),
        ("sealift_quarantined_rows_total{dataset=\"crm.people\"}", 1.0),
        ("sealift_active_runs", 0.0),
        ("sealift_running_runs", 0.0),
        ("sealift_metadata_store_up", 1.0),
        ("sealift_outbox_messages{kind=\"lineage_file\"}", 0.0),
        ("sealift_deliveries_total{kind=\"lineage_file\",result=\"delivered\"}", 10.0),
        ("time() - sealift_last_success_timestamp_seconds{pipeline=\"crm\"} < bool 600", 1.0),
        ("process_resident_memory_bytes > bool 1e6", 1.0),
        ("time() - process_start_time_seconds{job=\"sealift\"} < bool 600", 1.0),
        (
            "sealift_http_requests_total{route=\"/v1/pipelines/{name}/runs\",method=\"POST\",status=\"202\"}",
            3.0,
        ),
        // Every rule is evaluated, and none of them finds fault with a daemon that is well.
        ("count(ALERTS{alertname=\"SealiftDown\"}) or vector(0)", 0.0),
    ] {
        prometheus.becomes(query, value).await;
    }
    let rules = prometheus.ask("/api/v1/rules").await;
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 8 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");

    let text = metrics(&house, port, "text/plain; version=0.0.4").await;
    holds_no_value("a metric", text.as_bytes());
    house.write("out/metrics", &text);
    promtool(&["check", "metrics"], Some(&house.path("out/metrics")));
    asks_for_what_is_there(&text);

    // A daemon that begins anew knows when each pipeline last succeeded.
    ended(&house, daemon);
    let daemon = started(&mut house, port).await;
    prometheus.becomes("sealift_runs_total{pipeline=\"held\"} or vector(0)", 0.0).await;
    prometheus
        .becomes("time() - sealift_last_success_timestamp_seconds{pipeline=\"crm\"} < bool 600", 1.0)
        .await;
    ended(&house, daemon);
}

#[tokio::test]
async fn who_scrapes_sees_that_the_metadata_store_is_away() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let scrape = async |token: &str| {
        let answer = world.request(Method::GET, "/metrics").bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = scrape(&world.token).await;
    assert!(status == 200 && text.contains("sealift_metadata_store_up 1\n"), "{text}");
    world.ledger.pool().close().await;
    // Longer than a good token is taken for good without asking.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (status, text) = scrape(&world.token).await;
    assert!(status == 200 && text.contains("sealift_metadata_store_up 0\n"), "{status} {text}");
    let (status, _) = scrape("sealift_nobody").await;
    assert!(status == 401 || status == 503, "{status}");
    let (status, _) = world.ask(Method::GET, "/v1/pipelines").await;
    assert_eq!(status.as_u16(), 503, "nothing else is answered");
}

async fn metrics(house: &House, port: u16, accept: &str) -> String {
    let token = std::fs::read_to_string(house.path("in/prometheus-token")).unwrap();
    let request = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/metrics")).bearer_auth(token);
    let answer = request.header("accept", accept).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(accept), "{answer:?}");
    answer.text().await.unwrap()
}

fn asks_for_what_is_there(text: &str) {
    let there: BTreeSet<&str> = text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    // Series of these come with a lag, a message or a fault that this daemon did not have.
    let typed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let rules = shipped("config/prometheus/alerts.yml");
    let mut asked: Vec<String> = rules.lines().map(str::to_owned).collect();
    let dashboard: Value = serde_json::from_str(&shipped("config/grafana/sealift.json")).unwrap();
    queries(&dashboard, &mut asked);
    let asked: BTreeSet<String> = asked.iter().flat_map(|query| named(query)).collect();
    assert!(asked.len() > 15, "{asked:?}");
    for metric in asked {
        let base = metric.trim_end_matches("_bucket").trim_end_matches("_count");
        let is_there = there.contains(metric.as_str()) || typed.contains(base);
        assert!(is_there, "{metric} is asked for and not there:\n{text}");
    }
}
