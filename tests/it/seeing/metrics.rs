//! Prometheus scrapes; the rules and the dashboard name metrics that are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{BAD_ROWS, ended, holds_no_value, house, port, started};
use crate::daemon::wait_for;
use crate::house::House;
use crate::serve::world::{Act, World};
use crate::servers::postgres::Server;
use crate::servers::prometheus::Prometheus;

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];

fn shipped(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The shipped configuration, for this daemon and a token of its own.
fn config(house: &House, daemon: u16) -> std::path::PathBuf {
    house.write("in/prometheus-token", &token(house, "prometheus"));
    let config = shipped("config/prometheus/prometheus.yml")
        .replace("127.0.0.1:8470", &format!("127.0.0.1:{daemon}"))
        .replace("/run/secrets/sealift-token", house.path("in/prometheus-token").to_str().unwrap())
        .replace("15s", "1s");
    house.write("in/prometheus.yml", &config);
    house.write("in/alerts.yml", &shipped("config/prometheus/alerts.yml"));
    house.path("in/prometheus.yml")
}

fn token(house: &House, name: &str) -> String {
    let token = house.json(&["token", "create", name, "--role", "auditor"], 0)["token"].clone();
    token.as_str().unwrap().to_owned()
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

/// The labels that a query asks a metric for (`metric{label="…"}`), and those that it keeps (`by (label)`).
fn labels(query: &str) -> (Vec<(String, String)>, BTreeSet<String>) {
    let word = |text: &str| text.trim().trim_end_matches(['=', '!', '~']).to_owned();
    let asked = query.split('{').zip(query.split('{').skip(1)).flat_map(|(before, selector)| {
        let metric =
            before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default();
        let selector = selector.split('}').next().unwrap_or_default();
        let names = selector.split(',').filter_map(|matcher| matcher.split('"').next());
        names.map(|name| (metric.to_owned(), word(name))).collect::<Vec<_>>()
    });
    let kept = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    (asked.collect(), kept.flat_map(|names| names.split(',').map(word)).collect())
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
    // Only what goes by the clock can be late.
    house.pipeline(
        "yearly",
        "connection: drops\ndataset: \"yearly.{stream}\"\nschedule: {cron: \"0 0 1 1 *\"}\nstreams:\n  people:\n    \
         path: people.csv\n    columns: {\"*\": {tag: public}}",
    );
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
        ("sealift_deliveries_total{kind=\"lineage_file\",result=\"dropped\"}", 0.0),
        ("sealift_failed_runs_total{pipeline=\"crm\"}", 0.0),
        ("sealift_failed_runs_total{pipeline=\"held\"}", 1.0),
        ("sealift_quarantined_rows_total{dataset=\"held.people\"}", 0.0),
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

async fn metrics(house: &House, port: u16, accept: &str) -> String {
    let token = std::fs::read_to_string(house.path("in/prometheus-token")).unwrap();
    let answer = scrape(port, &token, accept).await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(accept), "{answer:?}");
    answer.text().await.unwrap()
}

async fn scrape(port: u16, token: &str, accept: &str) -> reqwest::Response {
    let request = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/metrics")).bearer_auth(token);
    request.header("accept", accept).send().await.unwrap()
}

fn asks_for_what_is_there(text: &str) {
    // Series of these come with a lag, a message or a fault that this daemon did not have.
    let typed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let series: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let of = |metric: &str| {
        let is_of = |line: &&&str| line.split(['{', ' ']).next() == Some(metric);
        series.iter().filter(is_of).copied().collect::<Vec<_>>()
    };
    let rules = shipped("config/prometheus/alerts.yml");
    let mut asked: Vec<String> = rules.lines().map(str::to_owned).collect();
    let dashboard: Value = serde_json::from_str(&shipped("config/grafana/sealift.json")).unwrap();
    queries(&dashboard, &mut asked);
    let mut found = 0;
    for query in &asked {
        let metrics = named(query);
        for metric in &metrics {
            found += 1;
            let base = metric.trim_end_matches("_bucket").trim_end_matches("_count");
            let is_there = !of(metric).is_empty() || typed.contains(base);
            assert!(is_there, "{metric} is asked for and not there:\n{text}");
        }
        let (selected, kept) = labels(query);
        let kept =
            kept.into_iter().flat_map(|label| metrics.iter().map(move |of| (of.clone(), label.clone())));
        for (metric, label) in selected.into_iter().chain(kept) {
            let lines = of(&metric);
            let has =
                |line: &&str| line.contains(&format!("{{{label}=")) || line.contains(&format!(",{label}="));
            let is_there = lines.is_empty() || ADDED.contains(&label.as_str()) || lines.iter().all(has);
            assert!(is_there, "{metric} has no label `{label}`, which {query} asks for:\n{text}");
        }
    }
    assert!(found > 15, "{asked:?}");
}

#[tokio::test]
async fn a_daemon_tells_of_what_another_one_ran() {
    let mut world = World::new(&[("crm", Act::Publish)]).await;
    let first = world.base.clone();
    world.start().await;
    let run_id = world.trigger("crm").await;
    assert_eq!(world.over(&run_id).await["outcome"], "done");
    let told = || async {
        let asked = world.http.get(format!("{first}/metrics")).bearer_auth(&world.token).send();
        let text = asked.await.unwrap().text().await.unwrap();
        text.contains("sealift_last_success_timestamp_seconds{pipeline=\"crm\"}").then_some(text)
    };
    let text = wait_for("the success", told).await;
    assert!(!text.contains("sealift_runs_total{"), "another one ran it: {text}");
    assert!(text.contains("sealift_failed_runs_total{pipeline=\"crm\"} 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_of_a_store_that_is_away() {
    let mut server = Server::start(&|_| None);
    server.client("postgres").await.batch_execute("CREATE DATABASE metadata").await.unwrap();
    let port = port();
    let mut house = house(port, "");
    house.metadata("{postgres: {url: \"env:METADATA\", lease: 10s}}");
    house.env("METADATA", &server.url("metadata"));
    let daemon = started(&mut house, port).await;
    let (known, unknown) = (token(&house, "prometheus"), token(&house, "other"));
    let up = async |is_up: u8, token: &str| {
        let answer = scrape(port, token, "text/plain; version=0.0.4").await;
        answer.status() == 200
            && answer.text().await.unwrap().contains(&format!("sealift_metadata_store_up {is_up}\n"))
    };
    assert!(up(1, &known).await);

    server.crash();
    // Longer than a token is taken for good without being asked about.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert!(up(0, &known).await);
    assert_eq!(scrape(port, &unknown, "text/plain").await.status(), 503);
    let runs = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/v1/runs")).bearer_auth(&known);
    assert_eq!(runs.send().await.unwrap().status(), 503, "it is good for metrics only");

    server.start_again();
    wait_for("the store", || async { up(1, &known).await.then_some(()) }).await;
    house.run(&["token", "revoke", "prometheus"]).expect(0);
    let status = async || scrape(port, &known, "text/plain").await.status();
    wait_for("the revocation", || async { (status().await == 401).then_some(()) }).await;
    server.crash();
    assert_eq!(status().await, 503, "what was revoked is not remembered");
    server.start_again();
    wait_for("the store", || async { up(1, &unknown).await.then_some(()) }).await;
    ended(&house, daemon);
}
