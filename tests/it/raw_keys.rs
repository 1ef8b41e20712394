//! Polars reads what Sealift encrypted with the raw data keys of each file, through `clients/polars`: refused without
//! them, and where a file stands in another's place; open columns need none.

use serde_json::json;

use crate::house::{House, script};

#[test]
fn polars_reads_encrypted_columns_with_raw_keys_only() {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    write_mode: append\n    \
         columns: {ssn: {tag: pii.ssn}, email: {tag: pii.email}, \"*\": {tag: public}}",
    );
    for run in 1..3 {
        house.write(
            "in/drops/people.csv",
            &format!("country,ssn,email\nCH,555-01-000{run},{run}@example.com\n"),
        );
        house.run(&["sync", "crm"]).expect(0);
    }
    let keys = house.run(&["keys", "release", "crm.people", "--column", "ssn", "--json"]);
    house.write("in/keys.json", &keys.expect(0).stdout);
    let (table, keys) = (house.path("out/lake/crm/people"), house.path("in/keys.json"));
    let args = [table.to_str().unwrap(), "crm.people", keys.to_str().unwrap(), "country", "ssn", "email"];
    let found = script("raw.py", &args, &[]);

    assert_eq!(found["sealed"], json!(["555-01-0001", "555-01-0002"]), "{found}");
    assert_eq!((&found["open"], &found["open_with_keys"]), (&json!([1, 1]), &json!(2)));
    for (how, why) in [("without_keys", "is encrypted"), ("other", "email"), ("swapped", "")] {
        let told = found[how].as_str().unwrap_or_else(|| panic!("{how}: {found}"));
        assert!(told.contains(why), "{how}: {told}");
    }
    // The same keys of the same column: it is the place that the second file is not read from.
    let refused = house.run(&["query", "SELECT ssn FROM crm.people"]);
    refused.expect(1);
}
