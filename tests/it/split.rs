//! Part of the frozen split of `tests/classify`, by the program: what the whole of it must show holds of it too.

use std::fs;

use serde_json::{Value, json};

use crate::house::{House, python};

/// Every so many tables.
const STRIDE: usize = 6;

fn evaluation(args: &[&str]) -> Value {
    let script = format!("{}/tests/classify/{}", env!("CARGO_MANIFEST_DIR"), args[0]);
    let output = python().arg(script).args(&args[1..]).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The labels of some of the tables, by table.
fn labels(folder: &str) -> Vec<(String, Vec<String>)> {
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for line in fs::read_to_string(format!("{folder}/labels.jsonl")).unwrap().lines() {
        let label: Value = serde_json::from_str(line).unwrap();
        let file = label["file"].as_str().unwrap().to_owned();
        match tables.last_mut().filter(|(last, _)| *last == file) {
            Some((_, lines)) => lines.push(line.to_owned()),
            None => tables.push((file, vec![line.to_owned()])),
        }
    }
    tables.into_iter().step_by(STRIDE).collect()
}

#[test]
fn columns_of_the_frozen_split_are_told() {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}");
    let folder = house.path("out/frozen").display().to_string();
    evaluation(&["generate.py", "frozen", &folder]);
    let tables = labels(&folder);
    assert!(tables.len() > 100, "{}", tables.len());
    let mut findings = String::new();
    for (file, _) in &tables {
        let found = house.run(&["classify", &format!("{folder}/{file}"), "--json"]).expect(0).summary();
        findings += &format!("{}\n", json!({"file": file, "columns": found["columns"]}));
    }
    let known = tables.into_iter().flat_map(|(_, lines)| lines).collect::<Vec<_>>().join("\n");
    house.write("out/findings.jsonl", &findings);
    house.write("out/labels.jsonl", &known);
    let paths = ["out/findings.jsonl", "out/labels.jsonl"].map(|path| house.path(path).display().to_string());
    let scored = evaluation(&["score.py", &paths[0], &paths[1], "--json"]);
    let macro_f1 = |group: &str| scored["groups"][group]["macro_f1"].as_f64().unwrap();
    let alarms = scored["hard_negatives"]["false_alarms"].as_f64().unwrap();
    let told =
        format!("named {}, anonymous {}, false alarms {alarms}", macro_f1("named"), macro_f1("anonymous"));
    println!("{told}");
    assert!(macro_f1("named") >= 0.95 && macro_f1("anonymous") >= 0.85 && alarms < 0.02, "{told}");
}
