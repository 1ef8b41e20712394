//! Rows in plaintext are nowhere on the disk: neither SQL engine may spill, and what would have to fails instead.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::house::{House, Ran};

const SECRET: &str = "Kx82-plain";
/// About 400 MB of text to sort, made of little.
const INFLATED: &str = "SELECT repeat(secret, 40) || n AS secret FROM (SELECT secret, unnest(range(0, 1000)) AS n \
                        FROM source) AS many ORDER BY secret";

fn house() -> House {
    let house = House::new();
    house.config_listening("", "", "memory_limit_mb: 256");
    house.policy("- {tags: [pii.secret], action: encrypt}");
    let lines: String = (0..1000).map(|row| format!("{SECRET}{row}\n")).collect();
    house.write("in/drops/people.csv", &format!("secret\n{lines}"));
    house
}

fn pipeline(house: &House, transform: &str) {
    house.pipeline(
        "crm",
        &format!(
            "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n{transform}    \
             columns: {{secret: {{tag: pii.secret}}}}"
        ),
    );
}

/// When anything was last made in a folder or taken away.
fn changed(folder: &Path) -> SystemTime {
    fs::metadata(folder).unwrap().modified().unwrap()
}

/// Runs what needs more memory than there is, and sees that nothing was put where temporary files go.
fn watched(house: &House, args: &[&str]) -> Ran {
    let folder = house.path("out/tmp");
    let before = changed(&folder);
    let ran = house.run(args);
    assert_eq!(changed(&folder), before, "something was made in the folder of temporary files: {ran:?}");
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
    assert!(!ran.stderr.contains(SECRET), "{ran:?}");
    ran
}

#[test]
fn trap_a_sort_beyond_the_memory_of_a_query_fails_and_leaves_nothing_behind() {
    let house = house();
    pipeline(&house, "");
    house.run(&["sync", "crm"]).expect(0);
    let sql = format!("SELECT count(*) FROM ({})", INFLATED.replace("source", "crm.people"));
    watched(&house, &["query", &sql]).expect(0);
    let sql = INFLATED.replace("source", "crm.people");
    let ran = watched(&house, &["query", &sql]);
    assert!(ran.expect(1).stderr.contains("memory_limit_mb"), "{ran:?}");
}

#[test]
fn trap_a_sort_beyond_the_memory_of_a_transform_fails_and_leaves_nothing_behind() {
    let house = house();
    pipeline(&house, &format!("    transform: \"{INFLATED}\"\n"));
    let ran = watched(&house, &["sync", "crm"]);
    assert!(ran.expect(1).stderr.contains("memory_limit_mb"), "{ran:?}");
    assert_eq!(house.versions("crm.people"), 0);
}

/// What starts an engine for SQL that may spill, unless it is told otherwise.
const STARTS: [&str; 3] = ["RuntimeEnvBuilder::new", "RuntimeEnv::default", "RuntimeEnv::try_new"];
/// What starts one that is good for single expressions, and may run no plan.
const FOR_EXPRESSIONS: [&str; 3] =
    ["SessionContext::new()", "SessionContext::new_with_config(", "SessionContext::default"];
const RUNS: [&str; 4] = ["execute", ".sql(", "collect_partitioned", "create_physical_plan"];

/// How many engines a text starts, less those that may not spill.
fn spilling(code: &str) -> usize {
    let started = |starts: &[&str]| starts.iter().map(|start| code.matches(start).count()).sum::<usize>();
    let disabled = "DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled)";
    let runs = RUNS.iter().any(|word| code.contains(word));
    let kept = started(&STARTS).saturating_sub(code.matches(disabled).count());
    kept + if runs { started(&FOR_EXPRESSIONS) } else { 0 }
}

#[test]
fn only_two_engines_run_and_neither_may_spill() {
    let mut starting = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            if shown.ends_with("tests.rs") || shown.contains("fixture") {
                continue;
            }
            assert_eq!(spilling(code), 0, "{shown} starts an engine that may spill");
            if STARTS.iter().any(|start| code.contains(start)) {
                starting.push(shown);
            }
        }
    }
    starting.sort();
    assert_eq!(starting, ["src/query/mod.rs", "src/transform/session.rs"]);
}

#[test]
fn the_rule_can_fail() {
    assert_eq!(spilling("let r = RuntimeEnvBuilder::new().build_arc();"), 1);
    assert_eq!(spilling("let c = SessionContext::new(); c.sql(text)"), 1);
    assert_eq!(spilling("let c = SessionContext::new(); c.parse_sql_expr(text)"), 0);
}
