//! What is published already, and whether a run may follow it.

use std::fs;

use crate::house::House;

const STREAM: &str =
    "path: rows.csv\n    format: {csv: {}}\n    columns: {name: {tag: pii.name}, \"*\": {tag: public}}";

fn house() -> House {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.write("in/drops/rows.csv", "id,name\n1,somebody\n2,another\n");
    house.pipeline(
        "eu",
        &format!("connection: drops\ndataset: \"crm.rows\"\nstreams:\n  rows:\n    {STREAM}"),
    );
    house
}

fn versions(house: &House) -> usize {
    house.versions("crm.rows")
}

#[test]
fn a_dataset_of_another_pipeline_is_not_overwritten() {
    let house = house();
    house.run(&["sync", "eu"]).expect(0);
    house.run(&["sync", "eu"]).expect(0);
    // Documents that collide are found at loading; another configuration's are not.
    fs::remove_file(house.path("in/pipelines/eu.yaml")).unwrap();
    house.pipeline(
        "us",
        &format!("connection: drops\ndataset: \"crm.{{stream}}\"\nstreams:\n  rows:\n    {STREAM}"),
    );
    for command in ["plan", "sync"] {
        let ran = house.run(&[command, "us"]);
        ran.expect(76);
        assert!(ran.stderr.contains("crm.rows is published by eu/rows"), "{}", ran.stderr);
    }
    assert_eq!(versions(&house), 2);
}

#[test]
fn a_keys_folder_that_is_not_there_is_not_replaced_by_new_keys_under_the_old_names() {
    let house = house();
    house.run(&["sync", "eu"]).expect(0);
    fs::rename(house.path("out/keys"), house.path("out/elsewhere")).unwrap();
    let ran = house.run(&["sync", "eu"]);
    ran.expect(76);
    assert!(ran.stderr.contains("its keys are not here"), "{}", ran.stderr);
    assert_eq!(versions(&house), 1);

    fs::remove_dir_all(house.path("out/keys")).unwrap();
    fs::rename(house.path("out/elsewhere"), house.path("out/keys")).unwrap();
    house.run(&["sync", "eu"]).expect(0);
    assert_eq!(versions(&house), 2);
}

#[test]
fn a_run_of_one_stream_does_not_hide_what_an_earlier_run_appended_to_another() {
    let house = house();
    house.pipeline(
        "eu",
        &format!(
            "connection: drops\ndataset: \"crm.{{stream}}\"\ndefaults: {{write_mode: append}}\nstreams:\n  \
             rows:\n    {STREAM}\n  broken:\n    path: broken.csv\n    format: {{csv: {{}}}}\n    \
             transform: SELECT id, CAST(name AS BIGINT) AS name FROM source\n    \
             columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}\n  \
             third:\n    {STREAM}"
        ),
    );
    house.write("in/drops/broken.csv", "id,name\n1,word\n");
    house.run(&["sync", "eu"]).expect(65);
    assert_eq!(versions(&house), 1, "the first stream is published");
    house.run(&["sync", "eu", "--stream", "third"]).expect(0);
    house.write("in/drops/broken.csv", "id,name\n1,7\n");
    house.run(&["sync", "eu"]).expect(0);
    assert_eq!(versions(&house), 1, "and its retry does not append it again");
    assert_eq!(house.versions("crm.broken"), 1);
}
