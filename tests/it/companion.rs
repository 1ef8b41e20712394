//! Columns beside columns, with the real program: a token that joins beside the sealed original.

use serde_json::{Value, json};

use crate::house::{House, script};

const POLICY: &str = "- {tags: [pii.email], action: encrypt}\n- {tags: [public], action: allow}";
const BY_POLICY: &str = "- {tags: [pii.email], action: encrypt, as: {suffix: _token, action: {tokenize: {join_domain: customer}}}}\n\
                         - {tags: [public], action: allow}";
const TOKEN: &str = "as: {column: email_token, action: {tokenize: {join_domain: customer}}}";

fn house(policy: &str) -> House {
    let house = House::new();
    house.policy(policy);
    // Another dataset that knows the same persons by token alone.
    house.pipeline(
        "shop",
        "connection: drops\ndataset: shop.buyers\nstreams:\n  buyers:\n    path: buyers.csv\n    \
         columns: {mail: {tag: pii.email, action: {tokenize: {join_domain: customer}}}, \"*\": {tag: public}}",
    );
    house.write("in/drops/buyers.csv", "mail,sum\na@example.com,10\nb@example.com,20\n");
    house
}

fn people(house: &House, email: &str, more: &str) {
    house.pipeline(
        "crm",
        &format!(
            "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n{more}    \
             columns: {{email: {{{email}}}, \"*\": {{tag: public}}}}"
        ),
    );
}

fn publish(house: &House, rows: &str) {
    house.write("in/drops/people.csv", &format!("id,email,at\n{rows}"));
    house.run(&["sync", "crm"]).expect(0);
}

/// The planned column of this name.
fn planned(house: &House, name: &str) -> Value {
    let plan = house.json(&["plan", "crm"], 0);
    let columns = plan["streams"][0]["columns"].as_array().unwrap();
    columns.iter().find(|column| column["column"] == name).cloned().unwrap_or_default()
}

#[test]
fn a_token_stands_beside_the_original_and_joins_with_other_datasets() {
    let house = house(POLICY);
    people(&house, &format!("tag: pii.email, action: encrypt, {TOKEN}"), "");
    house.run(&["validate"]).expect(0);
    publish(&house, "1,a@example.com,1\n2,,1\n3,c@example.com,1\n");
    house.run(&["sync", "shop"]).expect(0);
    let token = planned(&house, "email_token");
    assert_eq!(
        (&token["action"], &token["type"], &token["tag"], &token["lineage"], &token["key"]),
        (
            &json!("tokenize"),
            &json!("string"),
            &json!("pii.email"),
            &json!(["email"]),
            &json!("sealift:join/customer#tokenize@1")
        )
    );
    assert!(token["because"].as_str().unwrap().starts_with("beside `email`, spec line"), "{token}");
    let joined = house
        .query("SELECT p.id, p.email, b.sum FROM crm.people p JOIN shop.buyers b ON p.email_token = b.mail");
    assert_eq!(joined, json!([{"id": 1, "email": "a@example.com", "sum": 10}]));
    let nulls = house.query("SELECT id FROM crm.people WHERE email_token IS NULL");
    assert_eq!(nulls, json!([{"id": 2}]));
    house.json(&["verify", "crm.people"], 0);
    house.json(&["verify", "crm.people", "--against-source"], 0);

    // Without keys the token can be read and the original cannot.
    let table = house.path("out/lake/crm/people");
    let url = table.to_str().unwrap();
    let refused = script("tables.py", &["refused", url, "email"], &[]);
    assert_eq!(refused["files"], refused["refused"]);
    let refused = script("tables.py", &["refused", url, "email_token"], &[]);
    assert_eq!(refused["refused"], 0);
}

#[test]
fn the_policy_asks_for_one_wherever_its_rule_decides() {
    let house = house(BY_POLICY);
    people(&house, "tag: pii.email", "");
    publish(&house, "1,a@example.com,1\n");
    house.run(&["sync", "shop"]).expect(0);
    assert_eq!(planned(&house, "email")["action"], "encrypt");
    let token = planned(&house, "email_token");
    assert_eq!(token["because"], "beside `email`, policy rule 1 (pii.email)");
    let joined =
        house.query("SELECT count(*) AS n FROM crm.people p JOIN shop.buyers b ON p.email_token = b.mail");
    assert_eq!(joined[0]["n"], 1);
    // The policy knows it again, although its action is another than that of the rule.
    let policy = house.path("in/policy.yaml");
    let same = house.json(&["policy", "diff", policy.to_str().unwrap(), policy.to_str().unwrap()], 0);
    assert_eq!(same["columns"], json!([]));
    assert_eq!(house.json(&["reseal", "crm.people"], 0)["columns"], json!([]));
    // A pipeline that asks for more has none.
    people(&house, "tag: pii.email, action: redact", "");
    assert_eq!(planned(&house, "email_token"), Value::Null);
}

#[test]
fn merges_reseals_and_changes_keep_both() {
    let house = house(POLICY);
    let merge =
        "    sync_mode: incremental\n    write_mode: merge\n    cursor_field: at\n    primary_key: [id]\n";
    people(&house, "tag: pii.email, action: encrypt", merge);
    publish(&house, "1,a@example.com,1\n2,b@example.com,1\n");
    // It comes later: rows that are there have none until they are read again.
    people(&house, &format!("tag: pii.email, action: encrypt, {TOKEN}"), merge);
    publish(&house, "1,a@example.com,1\n2,b@example.com,2\n3,c@example.com,2\n");
    house.run(&["sync", "shop"]).expect(0);
    let rows = "SELECT id, email, email_token IS NULL AS none FROM crm.people ORDER BY id";
    let mut expected = json!([
        {"id": 1, "email": "a@example.com", "none": false},
        {"id": 2, "email": "b@example.com", "none": false},
        {"id": 3, "email": "c@example.com", "none": false},
    ]);
    if house.query(rows)[0]["none"] == true {
        expected[0]["none"] = true.into();
    }
    assert_eq!(house.query(rows), expected);
    house.run(&["sync", "crm", "--full-refresh"]).expect(0);
    expected[0]["none"] = false.into();
    assert_eq!(house.query(rows), expected);
    house.json(&["verify", "crm.people"], 0);

    // A stricter policy takes the original away from what is published, and leaves the token.
    house.policy("- {tags: [pii.email], action: {tokenize: {join_domain: customer}}}\n- {tags: [public], action: allow}");
    let resealed = house.json(&["reseal", "crm.people"], 0);
    assert_eq!(resealed["columns"].as_array().map(Vec::len), Some(1), "{resealed}");
    let same = house.query("SELECT count(*) AS n FROM crm.people WHERE email = email_token");
    assert_eq!(same[0]["n"], 3);
    house.json(&["compact", "crm.people"], 0);
    house.json(&["verify", "crm.people"], 0);
}

#[test]
fn what_would_tell_more_than_the_policy_allows_is_held() {
    let house = house(POLICY);
    house.write("in/drops/people.csv", "id,email,at\n1,a@example.com,1\n");
    people(&house, "tag: pii.email, action: encrypt, as: {column: email_end, action: mask}", "");
    // Offline already, and without the tag in the spec when it is planned.
    let invalid = house.run(&["validate"]);
    assert!(invalid.expect(78).stderr.contains("`mask` is weaker than `encrypt`"), "{invalid:?}");
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         transform: SELECT id, email AS mail, at FROM source\n    \
         columns: {email: {tag: pii.email}, mail: {action: encrypt, as: {column: ID, action: mask}}, \"*\": {tag: public}}",
    );
    let held = house.run(&["sync", "crm"]);
    assert!(held.expect(76).stderr.contains("column `ID`: the spec asks `mask`"), "{held:?}");
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         transform: SELECT id, email AS mail, at FROM source\n    \
         columns: {email: {tag: pii.email, as: {column: token, action: tokenize}}, \"*\": {tag: public}, mail: {tag: pii.email, \
         action: encrypt, as: {column: ID, action: tokenize}}}",
    );
    let held = house.run(&["sync", "crm"]);
    assert!(held.expect(76).stderr.contains("column `ID`: made of `mail`"), "{held:?}");
    assert!(held.stderr.contains("column `token`: it is to be made of `email`"), "{held:?}");
}

#[test]
fn trap_a_weaker_column_beside_a_sealed_one_is_watched_by_the_same_values() {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [internal], action: allow}");
    let rows: String = (0..400).map(|id| format!("{id},user{id}@mail{}.example.com\n", id % 7)).collect();
    house.write("in/drops/people.csv", &format!("id,ref\n{rows}"));
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         columns: {ref: {tag: internal, action: encrypt, as: {column: ref2, action: allow}}, \"*\": {tag: internal}}",
    );
    let held = house.run(&["sync", "crm"]);
    assert!(held.expect(76).stderr.contains("column `ref2`, made of `ref`,"), "{held:?}");
    assert!(held.stderr.contains("pii.email") && !held.stderr.contains("example.com"), "{held:?}");
    assert_eq!(house.versions("crm.people"), 0);
}
