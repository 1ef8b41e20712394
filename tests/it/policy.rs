//! Policies as code, with the real program: their tests, and two compared by what is published.

use serde_json::{Value, json};

use crate::house::House;

const CASES: &str = "apiVersion: sealift/v1\nkind: PolicyTest\ncases:\n";

fn house() -> House {
    let house = House::new();
    house.policy(
        "- {tags: [pii.email], action: {tokenize: {join_domain: customer}}}\n- {tags: [\"pii.*\"], action: encrypt}\n\
         - {tags: [notes], action: mask}\n- {tags: [public], action: allow}",
    );
    house
}

#[test]
fn every_case_that_is_not_as_expected_is_told_with_its_line() {
    let house = house();
    house.write(
        "in/policy.test.yaml",
        &format!(
            "{CASES}  - {{tags: [pii.ssn], expect: encrypt}}\n  \
             - {{tags: [pii.email], expect: {{tokenize: {{join_domain: customer}}}}}}\n  \
             - {{name: both count, tags: [pii.ssn, public], expect: encrypt}}\n  \
             - {{tags: [unheard.of], held: true}}\n  - {{tags: [], held: true}}\n  \
             - {{name: no mask of a number, tags: [notes], type: integer, held: true}}\n"
        ),
    );
    let summary = house.json(&["policy", "test"], 0);
    assert_eq!((&summary["cases"], &summary["failures"]), (&json!(6), &json!([])));

    house.write(
        "in/policy.test.yaml",
        &format!(
            "{CASES}  - {{tags: [pii.ssn], expect: encrypt}}\n  - {{tags: [pii.email], expect: tokenize}}\n  \
             - {{name: open, tags: [unheard.of], expect: allow}}\n"
        ),
    );
    let ran = house.run(&["policy", "test"]);
    let told = &ran.expect(1).stdout;
    assert!(told.contains(
        "policy.test.yaml:5:5: [pii.email] expected tokenize, got tokenize (customer) (policy rule 1"
    ));
    assert!(told.contains("policy.test.yaml:6:5: open: [unheard.of] expected allow, got held"), "{told}");
    assert!(ran.stderr.contains("2 of 3 cases"), "{ran:?}");
    let summary = house.json(&["policy", "test"], 1);
    assert_eq!(summary["failures"][0]["line"], 5);
    assert_eq!(summary["outcome"], "failed");

    // A document that says two things, or nothing, is invalid.
    house.write(
        "in/policy.test.yaml",
        &format!("{CASES}  - {{tags: [a], expect: allow, held: true}}\n  - {{tags: [a]}}\n"),
    );
    let ran = house.run(&["policy", "test"]);
    assert_eq!(ran.expect(78).stderr.matches("a case says what is expected").count(), 2, "{ran:?}");
}

fn publish(house: &House) {
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         columns: {ssn: {tag: pii.ssn}, email: {tag: pii.email}, note: {tag: notes}, id: {tag: public}}",
    );
    house.write("in/drops/people.csv", "id,ssn,email,note\n1,555-01-0001,a@example.com,call before noon\n");
    house.run(&["sync", "crm"]).expect(0);
}

fn newer(house: &House, rules: &str) {
    let rules = rules.lines().map(|rule| format!("  {rule}\n")).collect::<String>();
    house.write(
        "in/newer.yaml",
        &format!("apiVersion: sealift/v1\nkind: Policy\nname: newer\nrules:\n{rules}"),
    );
}

#[test]
fn two_policies_are_compared_by_what_is_published() {
    let house = house();
    publish(&house);
    newer(
        &house,
        "- {tags: [pii.email], action: {hash: {join_domain: customer}}}\n- {tags: [pii.ssn], action: mask}\n\
         - {tags: [public, notes], action: encrypt}",
    );
    let (old, new) = (house.path("in/policy.yaml"), house.path("in/newer.yaml"));
    let args = ["policy", "diff", old.to_str().unwrap(), new.to_str().unwrap()];
    let summary = house.json(&args, 0);
    let columns: Vec<(&str, &str, &str)> = summary["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["column"].as_str().unwrap(), one["change"].as_str().unwrap(), one["then"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("email", "stronger", "publish_again"),
        ("id", "stronger", "reseal"),
        ("note", "stronger", "publish_again"),
        ("ssn", "weaker", "nothing"),
    ];
    assert_eq!(columns, expected);
    assert_eq!((&summary["weaker"], &summary["datasets"]), (&json!(true), &json!(1)));
    let shown = house.run(&args);
    assert!(shown.expect(0).stdout.contains("WEAKER"), "{shown:?}");
    let summary = house.json(&[&args[..], &["--fail-on-weaker"]].concat(), 76);
    assert_eq!(summary["columns"].as_array().map(Vec::len), Some(4));
    // Against itself nothing differs.
    let same = house.json(&["policy", "diff", args[2], args[2], "--fail-on-weaker"], 0);
    assert_eq!((&same["columns"], &same["weaker"]), (&json!([]), &Value::Bool(false)));
}
