//! Every way of touching the evidence.

use super::*;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Puts a table back as it was kept.
fn restore(house: &House, kept: &Path) {
    fs::remove_dir_all(table(house)).unwrap();
    copy(kept, &table(house));
}

/// Replaces a text in a file, where it stands once or more.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} does not hold {from}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).unwrap()))
}

#[test]
fn an_altered_a_swapped_and_a_missing_file_are_named() {
    let house = three_versions();
    let files = data_files(&house);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let bytes = fs::read(&files[1]).unwrap();
    // The magic bytes, a page, the footer: every one is looked at.
    for at in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        fs::write(&files[1], altered).unwrap();
        let found = faults(&house, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "altered_file");
        assert!(found[0].1.contains(&name(&files[1])) && found[0].1.contains("version 1"), "{found:?}");
        // The version before does not have it.
        assert_eq!(words(&house, &["--version", "0"]), [""; 0]);
    }
    fs::write(&files[1], &bytes).unwrap();
    assert_eq!(words(&house, &[]), [""; 0]);

    fs::write(&files[1], fs::read(&files[0]).unwrap()).unwrap();
    fs::write(&files[0], &bytes).unwrap();
    let found = faults(&house, &[]);
    assert_eq!(found.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["swapped_file"; 2]);
    let names_both = |message: &str| message.contains(&name(&files[0])) && message.contains(&name(&files[1]));
    assert!(found.iter().all(|(_, message)| names_both(message)), "{found:?}");

    fs::remove_file(&files[0]).unwrap();
    let mut found = words(&house, &[]);
    found.sort();
    assert_eq!(found, ["missing_file", "swapped_file"]);
}

#[test]
fn the_file_of_an_older_version_is_not_taken_for_the_newer_one() {
    let house = house("overwrite");
    publish(&house, 1..1001);
    publish(&house, 1..1001);
    let files = data_files(&house);
    fs::write(&files[1], fs::read(&files[0]).unwrap()).unwrap();
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "swapped_file"));
    assert!(found[0].1.contains(files[0].file_name().unwrap().to_str().unwrap()), "{found:?}");
}

#[test]
fn a_log_that_is_rolled_back_is_found() {
    let house = three_versions();
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    let newest = commits(&house).pop().unwrap();

    // The newest commit is gone; its receipt and the ledger know of it.
    fs::remove_file(&newest).unwrap();
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "rolled_back"), "{found:?}");
    assert!(found[0].1.contains("ends at version 1") && found[0].1.contains("version 2"), "{found:?}");
    // The ledger alone knows, when the whole folder is that of an older day.
    let newest = receipts(&house).pop().unwrap();
    fs::remove_file(&newest).unwrap();
    assert_eq!(words(&house, &[]), ["rolled_back"]);
    // It knows also when the log went on since.
    publish(&house, 5001..5003);
    let found = faults(&house, &[]);
    assert_eq!(found.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["rolled_back"], "{found:?}");
    assert!(found[0].1.contains("went on"), "{found:?}");

    // And the receipt alone, when the ledger is lost.
    restore(&house, &whole);
    fs::remove_file(commits(&house).pop().unwrap()).unwrap();
    fs::remove_dir_all(house.path("out/var")).unwrap();
    assert_eq!(words(&house, &[]), ["rolled_back"]);
    fs::remove_dir_all(table(&house).join("_delta_log")).unwrap();
    assert_eq!(words(&house, &[]), ["rolled_back"; 3]);
}

#[test]
fn an_attempt_that_broke_off_is_no_roll_back() {
    let house = three_versions();
    // As a run leaves it that is killed between receipt and commit: the ledger does not know it published.
    let newest = commits(&house).pop().unwrap();
    fs::remove_file(&newest).unwrap();
    let sql = "UPDATE runs SET state = 'failed', outcome = 'temporary' WHERE run_id IN \
               (SELECT run_id FROM run_streams WHERE version = 2); DELETE FROM run_streams WHERE version = 2";
    let ledger = house.path("out/var/sealift.db");
    let script =
        "import sqlite3,sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
    let done = crate::house::python().arg("-c").arg(script).arg(&ledger).arg(sql).status().unwrap();
    assert!(done.success());
    let found = house.json(&["verify", DATASET], 0);
    let notes = found["notes"].to_string();
    assert!(notes.contains("an attempt that ended before its commit"), "{notes}");
    // The run that follows makes the version; the receipt that was left matches no commit.
    publish(&house, 2001..3001);
    let found = house.json(&["verify", DATASET], 0);
    assert_eq!((&found["version"], receipts(&house).len()), (&json!(2), 4));
}

#[tokio::test]
async fn edited_removed_and_forged_receipts_are_named() {
    let house = three_versions();
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    let middle = receipts(&house).remove(1);

    edit(&middle, "\"written\":1000", "\"written\":1001");
    assert_eq!(words(&house, &[]), ["altered_receipt", "forged_receipt", "unknown_file"]);

    restore(&house, &whole);
    fs::remove_file(&middle).unwrap();
    let found = words(&house, &[]);
    assert_eq!(found, ["missing_receipt", "unknown_file"]);

    // Signed again, by a key that is not ours, and named so by its commit.
    restore(&house, &whole);
    let keys = config::Keys::File { path: house.path("other-keys"), passphrase: None };
    let signer = Keyring::open(&keys, &|_| {}).await.unwrap().signer().await.unwrap();
    let forge = |path: &Path, commit: &Path| {
        let before = sha256(path);
        let mut receipt = Receipt::parse(&fs::read(path).unwrap()).unwrap().receipt;
        receipt.rows.read += 1;
        fs::write(path, receipt.sign(&signer).unwrap()).unwrap();
        edit(commit, &before, &sha256(path));
    };
    forge(&middle, &commits(&house)[1]);
    // The ledger and the receipt after it know the one that was.
    assert_eq!(words(&house, &[]), ["broken_chain", "forged_receipt", "rolled_back", "unknown_file"]);
    assert_eq!(words(&house, &["--version", "1"]), ["forged_receipt", "rolled_back", "unknown_file"]);

    // A receipt of another version in its place.
    restore(&house, &whole);
    fs::copy(&receipts(&house)[0], &middle).unwrap();
    assert_eq!(words(&house, &[]), ["altered_receipt", "altered_receipt", "unknown_file"]);
}

#[tokio::test]
async fn rows_that_are_not_those_of_a_receipt_are_named_even_where_we_signed_it() {
    let house = three_versions();
    let keys = config::Keys::File { path: house.path("out/keys"), passphrase: None };
    let signer = Keyring::open(&keys, &|_| {}).await.unwrap().signer().await.unwrap();
    let newest = receipts(&house).pop().unwrap();
    let before = sha256(&newest);
    let mut receipt = Receipt::parse(&fs::read(&newest).unwrap()).unwrap().receipt;
    for column in &mut receipt.values.columns {
        if column.column != "id" {
            column.digest = "0".repeat(32);
        }
    }
    fs::write(&newest, receipt.sign(&signer).unwrap()).unwrap();
    edit(&commits(&house)[2], &before, &sha256(&newest));
    let found = faults(&house, &[]);
    let found: Vec<_> = found.iter().map(|(word, message)| (word.as_str(), message.as_str())).collect();
    // The tokens tell nothing of the source's values.
    assert!(
        matches!(found[..], [("rolled_back", _), ("other_rows", text)] if text.contains("column `name`")),
        "{found:?}"
    );
    let found = faults(&house, &["--against-source"]);
    assert!(
        found.iter().any(|(word, text)| word == "source_differs" && text.contains("column `email`")),
        "{found:?}"
    );
}

#[test]
fn receipts_are_followed_beyond_a_log_that_was_cleaned_up() {
    let house = house("append");
    for start in 0..12 {
        publish(&house, start * 10 + 1..start * 10 + 11);
    }
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    let log = |version: u64| table(&house).join(format!("_delta_log/{version:020}.json"));
    // As log clean-up leaves it: the checkpoint of version 10 is there.
    (0..10).for_each(|version| fs::remove_file(log(version)).unwrap());
    let found = house.json(&["verify", DATASET], 0);
    assert_eq!((&found["receipts"], &found["files"]), (&json!(12), &json!(12)));
    fs::remove_file(&receipts(&house)[3]).unwrap();
    let found = words(&house, &[]);
    assert_eq!((found[0].as_str(), found.len()), ("missing_receipt", 5), "{found:?}");

    restore(&house, &whole);
    fs::remove_file(log(5)).unwrap();
    assert_eq!(words(&house, &[]), ["missing_commit"]);
}

#[test]
fn a_file_that_came_or_went_by_hand_is_named() {
    let house = three_versions();
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    let first = data_files(&house).remove(0);
    let by_hand = table(&house).join("part-by-hand.parquet");
    fs::copy(&first, &by_hand).unwrap();
    let add = json!({"add": {
        "path": "part-by-hand.parquet", "partitionValues": {}, "size": fs::metadata(&first).unwrap().len(),
        "modificationTime": 0, "dataChange": true, "stats": "{\"numRecords\":1000}",
    }});

    // By a commit of another writer.
    let commit = table(&house).join("_delta_log/00000000000000000003.json");
    fs::write(&commit, format!("{{\"commitInfo\":{{\"operation\":\"WRITE\"}}}}\n{add}\n")).unwrap();
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "unknown_file"), "{found:?}");
    assert!(found[0].1.contains("another writer"), "{found:?}");

    // Within a commit of ours.
    restore(&house, &whole);
    fs::copy(&first, &by_hand).unwrap();
    let last = commits(&house).pop().unwrap();
    let ours = fs::read_to_string(&last).unwrap();
    fs::write(&last, format!("{ours}{add}\n")).unwrap();
    assert_eq!(words(&house, &[]), ["altered_commit", "unknown_file"]);
    let without: String =
        ours.lines().filter(|line| !line.starts_with("{\"add\"")).map(|line| format!("{line}\n")).collect();
    fs::write(&last, without).unwrap();
    assert_eq!(words(&house, &[]), ["altered_commit", "lost_file"]);
    edit(&last, "\"receipt\"", "\"receipt_\"");
    assert!(words(&house, &[]).contains(&"altered_commit".to_owned()));
}

/// What another writer would say.
fn by_another(house: &House, version: u64, actions: &[Value]) {
    let info = json!({"commitInfo": {"operation": "WRITE"}});
    let lines: String = [&info].into_iter().chain(actions).map(|action| format!("{action}\n")).collect();
    fs::write(table(house).join(format!("_delta_log/{version:020}.json")), lines).unwrap();
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_version_that_another_writer_s_stands_in_for_is_found() {
    let house = three_versions();
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    by_another(&house, 2, &[]);
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "rolled_back"), "{found:?}");
    assert!(found[0].1.contains("version 2") && found[0].1.contains("run"), "{found:?}");
    // When the ledger is lost, its receipt tells.
    fs::remove_dir_all(house.path("out/var")).unwrap();
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "rolled_back"), "{found:?}");

    // Rows that another writer took away are missed, until the table is written anew.
    restore(&house, &whole);
    let first = data_files(&house).remove(0);
    by_another(
        &house,
        3,
        &[json!({"remove": {"path": name(&first), "dataChange": true, "deletionTimestamp": 0}})],
    );
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "lost_file"), "{found:?}");
    assert!(found[0].1.contains("another writer"), "{found:?}");
}

#[test]
fn a_file_that_is_live_again_is_named() {
    let house = house("overwrite");
    publish(&house, 1..101);
    let first = data_files(&house).remove(0);
    publish(&house, 1..101);
    let bytes = fs::metadata(&first).unwrap().len();
    let add = json!({"add": {"path": name(&first), "partitionValues": {}, "size": bytes, "modificationTime": 0,
        "dataChange": true, "stats": "{\"numRecords\":100}"}});
    by_another(&house, 2, &[add]);
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "revived_file"), "{found:?}");
    assert!(found[0].1.contains(name(&first)) && found[0].1.contains("version 1"), "{found:?}");
    // To write the table anew mends it.
    publish(&house, 1..101);
    assert_eq!(words(&house, &[]), [""; 0]);
}

#[test]
fn any_other_word_of_a_commit_is_found() {
    let house = three_versions();
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    let log = commits(&house);
    for (version, from, to) in [
        (2, "\"stream\":\"crm/customers\"", "\"stream\":\"crm/other\""),
        (0, "delta.dataSkippingStatsColumns", "delta.dataSkippingStatsColumn_"),
        (1, "WRITE", "MERGE"),
    ] {
        edit(&log[version], from, to);
        assert_eq!(words(&house, &[]), ["altered_commit"], "{from}");
        restore(&house, &whole);
    }
    // Where the snapshot tells otherwise of a live file, that is named too.
    edit(&log[1], "\\\"numRecords\\\":1000", "\\\"numRecords\\\":10");
    assert_eq!(words(&house, &[]), ["altered_commit", "altered_entry"]);
}

#[test]
fn a_checkpoint_that_agrees_is_no_fault() {
    let house = house("append");
    for start in 0..11 {
        publish(&house, start * 10 + 1..start * 10 + 11);
    }
    let found = house.json(&["verify", DATASET], 0);
    assert_eq!((&found["files"], &found["notes"]), (&json!(11), &json!([])));
}

#[test]
fn upkeep_that_is_rolled_back_is_found_and_upkeep_that_broke_off_is_not() {
    let house = three_versions();
    house.run(&["erase", DATASET, "--where", "id = 7"]).expect(0);
    assert_eq!(words(&house, &[]), [""; 0]);
    let whole = house.path("whole");
    copy(&table(&house), &whole);
    fs::remove_file(commits(&house).pop().unwrap()).unwrap();
    fs::remove_file(receipts(&house).pop().unwrap()).unwrap();
    let found = faults(&house, &[]);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "rolled_back"), "{found:?}");
    assert!(found[0].1.contains("version 3"), "{found:?}");

    // As it is left that is killed between receipt and commit, or looks while it is under way.
    restore(&house, &whole);
    fs::remove_file(commits(&house).pop().unwrap()).unwrap();
    let script =
        "import sqlite3,sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
    let done = crate::house::python()
        .arg("-c")
        .arg(script)
        .arg(house.path("out/var/sealift.db"))
        .arg("DELETE FROM versions WHERE version IS NOT NULL")
        .status()
        .unwrap();
    assert!(done.success());
    let found = house.json(&["verify", DATASET], 0);
    assert!(found["notes"].to_string().contains("an attempt that ended before its commit"), "{found}");

    // A ledger that is rebuilt remembers it again.
    restore(&house, &whole);
    fs::remove_dir_all(house.path("out/var")).unwrap();
    house.json(&["datasets", "--rebuild"], 0);
    fs::remove_file(commits(&house).pop().unwrap()).unwrap();
    fs::remove_file(receipts(&house).pop().unwrap()).unwrap();
    assert_eq!(words(&house, &[]), ["rolled_back"]);
}

#[tokio::test]
async fn an_auditor_verifies_with_the_public_key_alone() {
    let house = three_versions();
    house.write("in/public", &house.run(&["keys", "public"]).expect(0).stdout);
    let public = house.path("in/public");
    fs::rename(house.path("out/keys"), house.path("keys-elsewhere")).unwrap();
    let args = ["--public-key", public.to_str().unwrap()];
    let found = house.json(&[&["verify", DATASET][..], &args].concat(), 0);
    assert_eq!((&found["receipts"], &found["files"]), (&json!(3), &json!(3)));
    assert!(found["columns"].as_array().unwrap().iter().all(|column| column["compared_with"].is_null()));
    assert!(!house.path("out/keys").exists(), "the keys folder is not made");
    let file = data_files(&house).remove(1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[9] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(words(&house, &args), ["altered_file"]);

    let keys = config::Keys::File { path: house.path("other-keys"), passphrase: None };
    let other = Keyring::open(&keys, &|_| {}).await.unwrap().signer().await.unwrap().public();
    house.write("in/public", &other.base64());
    assert!(words(&house, &args).contains(&"forged_receipt".to_owned()));
    house.write("in/public", "nothing");
    house.run(&[&["verify", DATASET][..], &args].concat()).expect(78);
}
