use std::path::Path;

use super::*;
use crate::keys::{Domain, Purpose};
use crate::spec::{DatasetName, config};

async fn open(folder: &Path) -> Keyring {
    let settings = config::Keys::File { path: folder.join("keys"), passphrase: None };
    Keyring::open(&settings, &|_| {}).await.unwrap()
}

fn purposes() -> [Purpose; 3] {
    let dataset = DatasetName::parse("crm.people").unwrap();
    let ssn = Purpose::Column { dataset: dataset.clone(), column: "ssn".to_owned() };
    [ssn, Purpose::Footer(dataset), Purpose::Tokenize(Domain::Join("customer".to_owned()))]
}

#[tokio::test]
async fn sound_keys_are_counted_and_a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    for purpose in purposes() {
        keyring.current(&purpose).await.unwrap();
    }
    assert_eq!(keyring.check().await.unwrap(), (3, Vec::new()));
    let place = keyring.records_place("sealift:crm.people/ssn@1");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&place).unwrap()).unwrap();
    let wrapped = record["wrapped"].as_str().unwrap().replacen(|c: char| c.is_ascii_lowercase(), "A", 1);
    record["wrapped"] = wrapped.into();
    std::fs::write(&place, record.to_string()).unwrap();
    let (keys, problems) = keyring.check().await.unwrap();
    assert_eq!(keys, 3);
    assert!(problems.len() == 1 && problems[0].starts_with("sealift:crm.people/ssn@1: "), "{problems:?}");
}

#[tokio::test]
async fn the_newest_version_is_the_current_one_up_to_the_tenth() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    keyring.current(&purposes()[0]).await.unwrap();
    for _ in 0..9 {
        keyring.rotate("sealift:crm.people/ssn").await.unwrap();
    }
    let entries = keyring.entries().await.unwrap();
    let versions: Vec<_> =
        entries.iter().map(|entry| entry.id.rsplit_once('@').unwrap().1.to_owned()).collect();
    assert_eq!(versions, (1..=10).map(|version| version.to_string()).collect::<Vec<_>>());
    assert!(
        entries[..9].iter().all(|entry| entry.state == State::Older) && entries[9].state == State::Current
    );
}
