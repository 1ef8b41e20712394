//! Traces, read by OpenTelemetry's own protobuf classes.

use serde_json::Value;

use super::{ended, holds_no_value, house, port, started};
use crate::house::{House, script};
use crate::servers::receiver::Receiver;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traced(port: u16, receiver: &Receiver) -> House {
    house(
        port,
        &format!("traces: {{otlp: {{endpoint: \"{}\", token: \"env:OTLP_TOKEN\"}}}}", receiver.url("")),
    )
}

fn spans(house: &House, receiver: &Receiver) -> Vec<Value> {
    let mut files = Vec::new();
    for (number, request) in receiver.received().iter().enumerate() {
        assert_eq!(
            (request.path.as_str(), request.headers["content-type"].as_str()),
            ("/v1/traces", "application/x-protobuf")
        );
        assert_eq!(request.headers["authorization"], "Bearer otlp-token-of-tests");
        holds_no_value("a span", &request.body);
        let path = house.path(&format!("out/spans-{number}"));
        std::fs::write(&path, &request.body).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let told = script("spans.py", &files, &[]);
    assert_eq!(told["services"], serde_json::json!(["sealift"]));
    told["spans"].as_array().unwrap().clone()
}

/// The span of a name within the caller's trace.
fn the<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let found: Vec<_> = spans.iter().filter(|span| span["name"] == name && span["trace"] == TRACE).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:?}");
    found[0]
}

fn hangs_together(spans: &[Value], run: &Value) {
    assert!(run["attributes"]["run_id"].is_string() && run["attributes"]["pipeline"] == "crm", "{run}");
    let (plan, stream) = (the(spans, "plan"), the(spans, "stream"));
    for (child, parent) in
        [(plan, run), (stream, run), (the(spans, "read_and_seal"), stream), (the(spans, "publish"), stream)]
    {
        assert_eq!(child["parent"], parent["span"], "{child}");
    }
    assert_eq!(stream["attributes"]["dataset"], "crm.people");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_part_of_the_trace_of_who_asked_for_it() {
    let (port, receiver) = (port(), Receiver::start().await);
    let mut house = traced(port, &receiver);
    house.env("OTLP_TOKEN", "otlp-token-of-tests");
    let daemon = started(&mut house, port).await;
    let token = house.json(&["token", "create", "caller", "--role", "scheduler"], 0)["token"].clone();
    let http = reqwest::Client::new();
    let ask = |pipeline: &str, sampled: &str| {
        let trigger = http.post(format!("http://127.0.0.1:{port}/v1/pipelines/{pipeline}/runs"));
        trigger
            .bearer_auth(token.as_str().unwrap())
            .header("traceparent", format!("00-{TRACE}-{CALLER}-{sampled}"))
            .send()
    };
    let mut run_ids = Vec::new();
    for (pipeline, sampled) in [("crm", "01"), ("held", "00")] {
        let answer = ask(pipeline, sampled).await.unwrap();
        assert_eq!(answer.status(), 202);
        run_ids.push(answer.json::<Value>().await.unwrap()["run_id"].clone());
    }
    house.run(&["trigger", "crm", "--join", "--wait"]).expect(0);
    house.run(&["trigger", "held", "--join", "--wait"]).expect(76);
    ended(&house, daemon);

    let spans = spans(&house, &receiver);
    let request = the(&spans, "request");
    assert_eq!((&request["parent"], &request["kind"]), (&CALLER.into(), &"SPAN_KIND_SERVER".into()));
    assert_eq!(request["attributes"]["http.route"], "/v1/pipelines/{name}/runs");
    assert_eq!(request["attributes"]["http.response.status_code"], 202);
    let run = the(&spans, "run");
    assert_eq!((&run["parent"], &run["status"]), (&request["span"], &"STATUS_CODE_OK".into()));
    hangs_together(&spans, run);
    let of = |run_id: &Value| spans.iter().filter(|span| span["attributes"]["run_id"] == *run_id).count();
    assert_eq!(
        (of(&run_ids[0]), of(&run_ids[1])),
        (1, 0),
        "the caller keeps no trace of the second: {spans:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_part_of_the_trace_of_its_job_and_needs_no_collector() {
    let receiver = Receiver::start().await;
    let mut house = traced(port(), &receiver);
    house.run(&["sync", "crm"]).expect(78);
    house.env("OTLP_TOKEN", "otlp-token-of-tests");
    house.env("TRACEPARENT", &format!("00-{TRACE}-{CALLER}-01"));
    house.run(&["sync", "crm"]).expect(0);
    let spans = spans(&house, &receiver);
    let run = the(&spans, "run");
    assert_eq!(run["parent"], CALLER);
    hangs_together(&spans, run);
    drop(receiver);
    house.run(&["sync", "crm"]).expect(0);
}
