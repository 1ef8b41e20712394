//! Log lines as JSON: whose they are, and what they do not hold.

use serde_json::Value;

use super::{BAD_ROWS, ended, holds_no_value, house, port, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_a_run_says_whose_it_is_and_none_holds_a_value() {
    let port = port();
    let mut house = house(port, "");
    house.env("SEALIFT_LOG_FORMAT", "json");
    house.env("SEALIFT_LOG", "debug");
    let daemon = started(&mut house, port).await;
    let run = house.json(&["trigger", "crm", "--wait"], 0);
    house.write("in/drops/people.csv", BAD_ROWS);
    house.json(&["trigger", "crm", "--wait"], 0);
    let held = house.json(&["trigger", "held", "--wait"], 76);
    let asked = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/v1/nothing"));
    let answer = asked.header("x-request-id", "order-7").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "order-7");

    let printed = ended(&house, daemon);
    holds_no_value("a log line", printed.as_bytes());
    let lines: Vec<Value> = printed
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for line in &lines {
        for name in ["timestamp", "level", "target"] {
            assert!(line[name].is_string(), "{line}");
        }
    }
    let of = |message: &str, run_id: &Value| {
        let is_it = |line: &&Value| line["message"] == message && line["run_id"] == *run_id;
        lines.iter().find(is_it).unwrap_or_else(|| panic!("no `{message}` of {run_id} in {printed}"))
    };
    assert_eq!(of("succeeded", &run["run_id"])["pipeline"], "crm");
    let told = of("did not succeed", &held["run_id"]);
    assert_eq!((&told["pipeline"], &told["level"]), (&"held".into(), &"WARN".into()));
    assert!(told["request_id"].is_string(), "which request asked for it: {told}");
    assert!(lines.iter().any(|line| line["request_id"] == "order-7" && line["status"] == 401), "{printed}");
    assert!(lines.iter().all(|line| line.get("otel.kind").is_none()));
}
