//! What columns hold is found before a value leaves and while rows pass; declarations raise it, and only
//! infosec lowers it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::house::{House, Ran};

const RULES: &str = "- {tags: [\"pii.*\", \"financial.*\", \"health.*\"], action: encrypt}\n\
                     - {tags: [free_text.pii], action: scrub}\n\
                     - {tags: [public, internal], action: allow}";
const ROWS: u32 = 400;

/// People with an e-mail, a payment reference that passes Luhn, and a note; no two the same.
fn people(house: &House) {
    let mut csv = "id,contact,c7,amount_chf,note,status\n".to_owned();
    for id in 0..ROWS {
        let note = match id % 3 {
            0 => format!(
                "Spoke with Anna Keller; she asks to be called on +41 79 {:03} 45 67 or by anna.keller{id}@example.org",
                id % 900 + 100
            ),
            1 => format!(
                "Customer wants the statement of quarter {} again, sent twice without an answer",
                id % 4 + 1
            ),
            _ => format!("Please write to max.muster{id}@example.com about the new terms of the contract"),
        };
        let status = ["open", "closed", "held"][id as usize % 3];
        writeln!(
            csv,
            "{id},user{id}@mail{}.example.com,{},{}.5{},\"{note}\",{status}",
            id % 7,
            luhn(id),
            id * 3,
            id % 10
        )
        .unwrap();
    }
    house.write("in/drops/people.csv", &csv);
}

/// A card number's form with its check digit.
fn luhn(id: u32) -> String {
    let prefix = ["4556", "5425", "4916", "5105"][id as usize % 4];
    let digits = format!("{prefix}{:011}", u64::from(id) * 7_919_113 % 100_000_000_000);
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip(0..)
        .map(|(byte, place)| {
            let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn house(policy: &str, stream: &str) -> House {
    let house = House::new();
    house.policy(policy);
    people(&house);
    house.pipeline(
        "crm",
        &format!("connection: drops\ndataset: \"crm.{{stream}}\"\nstreams:\n  people:\n    path: people.csv{stream}"),
    );
    house
}

fn actions(plan: &Value) -> Vec<(String, String, String)> {
    let text = |column: &Value, key: &str| column[key].as_str().unwrap_or_default().to_owned();
    let columns = plan["streams"][0]["columns"].as_array().unwrap();
    columns.iter().map(|one| (text(one, "column"), text(one, "tag"), text(one, "action"))).collect()
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.printed().contains(word), "`{word}` is not in {}", ran.printed());
    }
    assert!(!ran.printed().contains("example.com"), "a value is shown: {}", ran.printed());
}

#[test]
fn what_nobody_declared_is_found_and_sealed_as_the_policy_says() {
    let house = house(RULES, "");
    let plan = house.json(&["plan", "crm"], 0);
    let expected = [
        ("id", "internal", "allow"),
        ("contact", "pii.email", "encrypt"),
        ("c7", "financial.card_number", "encrypt"),
        ("amount_chf", "financial.amount", "encrypt"),
        ("note", "free_text.pii", "scrub"),
        ("status", "internal", "allow"),
    ];
    assert_eq!(actions(&plan), expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    let contact = &plan["streams"][0]["columns"][1]["found"];
    assert!(contact["confidence"].as_f64().unwrap() > 0.9, "{contact}");
    assert!(
        contact["evidence"].as_array().unwrap().iter().any(|one| one["detector"] == "email"),
        "{contact}"
    );
    says(house.run(&["plan", "crm"]).expect(0), &["pii.email", "financial.card_number"]);
    // A computed column tells what was found in those that it comes from.
    let computed = self::house(RULES, "\n    transform: \"SELECT id, upper(contact) AS who FROM source\"");
    let who = computed.json(&["plan", "crm"], 0)["streams"][0]["columns"][1].clone();
    assert_eq!((&who["tag"], &who["found"]), (&"pii.email".into(), &Value::Null), "{who}");
    assert_eq!(who["found_in_sources"][0]["column"], "contact", "{who}");
    assert!(who["found_in_sources"][0]["confidence"].as_f64().unwrap() > 0.9, "{who}");

    house.run(&["sync", "crm"]).expect(0);
    let rows = house.query("SELECT note FROM crm.people WHERE id % 3 <> 1 ORDER BY id");
    for row in rows.as_array().unwrap() {
        let note = row["note"].as_str().unwrap();
        assert!(note.contains("[EMAIL]") && !note.contains('@') && !note.contains("+41"), "{note}");
    }
    let kept =
        house.query("SELECT count(*) AS n FROM crm.people WHERE note LIKE 'Customer wants the statement%'");
    assert_eq!(kept[0]["n"], ROWS / 3);
    // What was found stays when a later file tells less.
    house.write("in/drops/people.csv", "id,contact,c7,amount_chf,note,status\n1,,,,,\n");
    assert_eq!(actions(&house.json(&["plan", "crm"], 0)), actions(&plan));
}

#[test]
fn trap_a_hit_in_what_was_declared_internal_stops_the_run() {
    let open = "\n    columns: {\"*\": {tag: internal}}";
    let held = house(RULES, open);
    let ran = held.run(&["sync", "crm"]);
    says(
        ran.expect(76),
        &["column `contact`", "pii.email", "column `c7`", "financial.card_number", "lowered"],
    );
    assert!(!ran.stderr.contains("`id`") && !ran.stderr.contains("`status`"), "{}", ran.stderr);
    assert_eq!(held.versions("crm.people"), 0);
    // The spec may raise a tag …
    let raised = "\n    columns: {contact: {tag: pii.email}, c7: {tag: financial.card_number}, \
                  note: {tag: free_text.pii}, \"*\": {tag: internal}}";
    house(RULES, raised).run(&["sync", "crm"]).expect(0);
    // … and only infosec lowers one, by name and with a reason.
    let lowered = |column: &str, found: &str| {
        format!(
            "{{dataset: crm.people, column: {column}, found: {found}, reason: made up for a test, author: J. Meier, date: 2026-11-02}}"
        )
    };
    let entries =
        [lowered("contact", "pii.email"), lowered("c7", "financial.*"), lowered("note", "free_text.pii")];
    let again = house(RULES, open);
    again.policy_with(RULES, &format!("classification:\n  lowered: [{}]", entries[..2].join(", ")));
    says(again.run(&["sync", "crm"]).expect(76), &["column `note`"]);
    again.policy_with(RULES, &format!("classification:\n  lowered: [{}]", entries.join(", ")));
    again.run(&["sync", "crm"]).expect(0);
}

#[test]
fn trap_a_hit_in_rows_that_are_set_aside_stops_the_run_too() {
    let house = house(
        RULES,
        "\n    columns: {\"*\": {tag: internal}}\n    quality: [{check: \"amount >= 0\", on_fail: quarantine}]",
    );
    let rows: String = (0..ROWS)
        .map(|id| match id % 2 {
            0 => format!("{id},1,open\n"),
            _ => format!("{id},-1,user{id}@mail{}.example.com\n", id % 7),
        })
        .collect();
    house.write("in/drops/people.csv", &format!("id,amount,ref\n{rows}"));
    let ran = house.run(&["sync", "crm"]);
    says(ran.expect(76), &["column `ref`", "pii.email", "dataset crm.people__quarantine"]);
    assert_eq!((house.versions("crm.people"), house.versions("crm.people__quarantine")), (0, 0));
    // What is set aside for the dataset is so for its quarantine.
    house.policy_with(
        RULES,
        "classification:\n  lowered: [{dataset: crm.people, column: ref, found: pii.email, reason: made up for a test, author: J. Meier, date: 2026-11-02}]",
    );
    house.run(&["sync", "crm"]).expect(0);
    assert_eq!((house.versions("crm.people"), house.versions("crm.people__quarantine")), (1, 1));
}

#[test]
fn what_infosec_sets_aside_is_not_applied_to_what_nobody_declared() {
    let lowered = |column: &str| {
        format!(
            "classification:\n  lowered: [{{dataset: crm.people, column: {column}, found: pii.email, reason: made up for a test, author: J. Meier, date: 2026-11-02}}]"
        )
    };
    let transform = "\n    transform: SELECT id, contact AS c, c7 FROM source";
    for (stream, published) in [("", "contact"), (transform, "c")] {
        let lake = house(RULES, stream);
        lake.policy_with(RULES, &lowered(published));
        let planned = actions(&lake.json(&["plan", "crm"], 0));
        let of = |name: &str| planned.iter().find(|one| one.0 == name).map(|one| one.2.clone());
        assert_eq!(of(published).as_deref(), Some("allow"), "{planned:?}");
        assert_eq!(of("c7").as_deref(), Some("encrypt"), "{planned:?}");
        lake.run(&["sync", "crm"]).expect(0);
        assert_eq!(lake.versions("crm.people"), 1);
    }
    // An entry for another column sets nothing aside.
    let house = house(RULES, "");
    house.policy_with(RULES, &lowered("c"));
    let planned = actions(&house.json(&["plan", "crm"], 0));
    let contact = planned.iter().find(|one| one.0 == "contact").unwrap();
    assert_eq!((contact.1.as_str(), contact.2.as_str()), ("pii.email", "encrypt"));
}

#[test]
fn what_cannot_be_told_is_left_to_the_policy() {
    let house = house(RULES, "");
    house.write("in/drops/people.csv", "c1,c2\n,\n");
    let ran = house.run(&["sync", "crm"]);
    says(ran.expect(76), &["column `c1`: it has no tag", "column `c2`: it has no tag"]);
}

#[test]
fn a_policy_has_detectors_of_its_own() {
    let house = house(RULES, "");
    house.write(
        "in/drops/people.csv",
        "c1,c2,mitglieds_nr\nE100001,basel,1\nE100002,zug,2\nE204403,basel,3\nE999990,zug,4\n",
    );
    house.policy_with(
        "- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [\"internal*\"], action: allow}",
        "classification:\n  detectors:\n  - {name: employee, tag: pii.employee, pattern: \"E[0-9]{6}\"}\n  \
         - {name: site, tag: internal.site, words: [Basel, Zug]}\n  \
         - {name: member, tag: pii.member, column_names: [mitgliedsnr, MitgliedsNr]}",
    );
    let found = house.json(&["classify", "crm"], 0);
    let tags: Vec<_> =
        found["columns"].as_array().unwrap().iter().map(|one| one["tag"].as_str().unwrap()).collect();
    assert_eq!(tags, ["pii.employee", "internal.site", "pii.member"]);
}

#[test]
fn pipelines_and_files_are_classified_for_people_and_programs() {
    let house = house(RULES, "");
    let of_pipeline = house.json(&["classify", "crm"], 0);
    let file = house.path("in/drops/people.csv");
    let of_file = house.json(&["classify", file.to_str().unwrap()], 0);
    assert_eq!(of_pipeline["columns"], of_file["columns"]);
    let first = &of_file["columns"][1];
    assert_eq!((&first["column"], &first["tag"]), (&json!("contact"), &json!("pii.email")));
    assert!(first["evidence"][0]["sampled"].as_u64().unwrap() > 100, "{first}");
    says(house.run(&["classify", "crm"]).expect(0), &["contact", "sampled values pass email"]);
    says(house.run(&["classify", "crm", "--stream", "nobody"]).expect(2), &["no stream nobody"]);
    house.write("in/drops/people.txt", "a\n");
    let other = house.path("in/drops/people.txt");
    says(house.run(&["classify", other.to_str().unwrap()]).expect(2), &[".csv or a .parquet"]);
    assert_eq!(house.versions("crm.people"), 0);
}
