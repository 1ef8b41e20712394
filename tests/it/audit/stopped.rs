//! What cannot be recorded is not done.

use super::*;

/// From now on no entry can be added, or (`drop`) it can again.
async fn refuse(house: &House, drop: bool) {
    let statement = if drop {
        "DROP TRIGGER no_more"
    } else {
        "CREATE TRIGGER no_more BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
    };
    let mut store = store(house).await;
    sqlx::query(statement).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
}

/// Everything that a command could change but the metadata store, with its bytes.
fn state(house: &House) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![house.path("out/lake"), house.path("out/keys"), house.path("out/home")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_entry_that_cannot_be_written_stops_every_kind_of_deed() {
    let port = free_port();
    let mut house = house(&format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
    house.env("BACKUP_PASSPHRASE", "correct horse");
    house.run(&["sync", "crm"]).expect(0);
    house.run(&["sync", "crm"]).expect(0);
    house.run(&["keys", "backup", "kept", "--passphrase", "env:BACKUP_PASSPHRASE"]).expect(0);
    house.policy("- {tags: [secret], action: redact}\n- {tags: [public], action: allow}");
    house.run(&["plan", "crm"]).expect(0);
    refuse(&house, false).await;

    let before = state(&house);
    let key = "sealift:crm.people/ssn@1";
    let deeds: [&[&str]; 18] = [
        &["sync", "crm"],
        &["query", "SELECT ssn FROM crm.people"],
        &["token", "create", "late", "--role", "admin"],
        &["keys", "release", "crm.people"],
        &["keys", "rotate", "crm.people"],
        &["keys", "rotate", "--root"],
        &["keys", "destroy", "--key", key, "--yes"],
        &["keys", "destroy", "--key", key, "--cancel"],
        &["keys", "backup", "late.backup", "--passphrase", "env:BACKUP_PASSPHRASE"],
        &["keys", "restore", "kept", "--passphrase", "env:BACKUP_PASSPHRASE"],
        &["keys", "check"],
        &["erase", "crm.people", "--where", "id = 1"],
        &["compact", "crm.people"],
        &["reseal", "crm.people"],
        &["vacuum", "crm.people", "--retain", "0s", "--force"],
        &["verify", "crm.people"],
        &["datasets", "--rebuild"],
        &["serve"],
    ];
    for deed in deeds {
        let ran = house.run(deed);
        assert_eq!(ran.code, Some(1), "{deed:?}: {ran:?}");
        assert!(ran.stderr.contains("the metadata store refused a statement"), "{deed:?}: {ran:?}");
        assert!(!ran.printed().contains("123-45-6789") && !ran.stdout.contains("key_base64"), "{deed:?}");
        assert!(state(&house) == before, "{deed:?} changed something");
    }
    assert!(!house.path("out/late.backup").exists());

    // A policy that was not in force before is not put in force either.
    house.policy("- {tags: [secret], action: nullify}\n- {tags: [public], action: allow}");
    house.run(&["plan", "crm"]).expect(1);
    refuse(&house, true).await;
    let last = house.json(&["runs", "--limit", "1"], 0);
    assert_eq!(last["runs"][0]["state"], "failed", "the run ended before it began: {last}");
    house.run(&["token", "create", "late", "--role", "admin"]).expect(0);
    house.run(&["audit", "verify"]).expect(0);
}

#[tokio::test]
async fn a_daemon_that_cannot_record_starts_no_run_and_ends_none() {
    let port = free_port();
    let house = house(&format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
    let (daemon, url, token) = serving(&house, port, "engineer").await;
    refuse(&house, false).await;
    let http = reqwest::Client::new();
    let trigger = format!("{url}/v1/pipelines/crm/runs");
    let answer = http.post(&trigger).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    let runs = house.json(&["runs"], 0);
    assert_eq!(runs["runs"], json!([]), "a run that is in no trail");
    assert!(!house.path("out/lake/crm").exists());

    refuse(&house, true).await;
    assert_eq!(http.post(&trigger).bearer_auth(&token).send().await.unwrap().status(), 202);
    terminate(&daemon);
    house.finish(daemon);
    house.run(&["audit", "verify"]).expect(0);
}
