use std::path::Path;

use chrono::TimeDelta;

use super::*;
use crate::keys::health::State;
use crate::spec::{DatasetName, config};

const SSN: &str = "sealift:crm.people/ssn@1";

async fn open(folder: &Path) -> Keyring {
    let settings = config::Keys::File { path: folder.join("keys"), passphrase: None };
    Keyring::open(&settings, &|_| {}).await.unwrap()
}

fn ssn() -> Purpose {
    Purpose::Column { dataset: DatasetName::parse("crm.people").unwrap(), column: "ssn".to_owned() }
}

fn ids() -> Vec<String> {
    vec![SSN.to_owned()]
}

#[tokio::test]
async fn until_its_time_a_key_is_refused_and_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let key = keyring.current(&ssn()).await.unwrap();
    let running = open(folder.path()).await;
    running.by_id(SSN).await.unwrap();
    keyring.destroy_after(&ids(), now() + TimeDelta::days(7)).await.unwrap();
    // One that holds it in memory already refuses it too.
    for keyring in [&keyring, &running, &open(folder.path()).await] {
        let error = keyring.by_id(SSN).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(
            error.message().contains("to be destroyed after") && error.remedy().unwrap().contains("--cancel")
        );
        assert_eq!(keyring.current(&ssn()).await.unwrap_err().kind(), Kind::Denied);
    }
    assert!(matches!(keyring.entries().await.unwrap()[0].state, State::Pending(_)));
    assert_eq!(keyring.keep(&ids()).await.unwrap(), ids());
    assert_eq!(keyring.by_id(SSN).await.unwrap().secret().expose(), key.secret().expose());
    assert!(keyring.keep(&ids()).await.unwrap().is_empty());
}

#[tokio::test]
async fn afterwards_it_is_gone_for_good_and_its_id_stays_taken() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let key = keyring.current(&ssn()).await.unwrap();
    let wrapped = std::fs::read(keyring.records_place(SSN)).unwrap();
    keyring.destroy_after(&ids(), now() + TimeDelta::days(1)).await.unwrap();
    let mut pending = keyring.pending().await.unwrap().remove(0);
    pending.after = now() - TimeDelta::seconds(1);
    std::fs::write(place(&folder.path().join("keys"), SSN), serde_json::to_vec(&pending).unwrap()).unwrap();
    // It is refused, and there until somebody destroys it by name.
    let later = open(folder.path()).await;
    assert_eq!(later.by_id(SSN).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(later.due().await.unwrap(), ids());
    assert!(later.destroy_due(&["sealift:crm.people/dob@1".to_owned()]).await.unwrap().is_empty());
    assert_eq!(std::fs::read(keyring.records_place(SSN)).unwrap(), wrapped);
    assert_eq!(later.destroy_due(&ids()).await.unwrap(), ids());
    for keyring in [&keyring, &later] {
        let error = keyring.by_id(SSN).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(error.message().contains("was destroyed on"), "{error}");
    }
    assert!(matches!(later.entries().await.unwrap()[0].state, State::Destroyed(_)));
    assert!(later.list(None).await.unwrap().is_empty() && later.knows(&ssn()).await.unwrap());
    let record = std::fs::read(later.records_place(SSN)).unwrap();
    let wrapped: serde_json::Value = serde_json::from_slice(&wrapped).unwrap();
    assert!(!String::from_utf8(record).unwrap().contains(wrapped["wrapped"].as_str().unwrap()));
    assert!(later.pending().await.unwrap().is_empty());

    let anew = later.current(&ssn()).await.unwrap();
    assert_eq!(anew.id(), "sealift:crm.people/ssn@2");
    assert_ne!(anew.secret().expose(), key.secret().expose());
    assert_eq!(later.destroy_after(&ids(), now()).await.unwrap_err().kind(), Kind::Usage);
}

#[tokio::test]
async fn the_key_of_receipts_stays() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let id = keyring.signer().await.unwrap().id().to_owned();
    let error = keyring.destroy_after(&[id], now()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    keyring.signer().await.unwrap();
}

#[tokio::test]
async fn a_damaged_or_moved_record_of_a_destruction_destroys_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    keyring.current(&ssn()).await.unwrap();
    let dob =
        Purpose::Column { dataset: DatasetName::parse("crm.people").unwrap(), column: "dob".to_owned() };
    let dob = keyring.current(&dob).await.unwrap().id().to_owned();
    keyring.destroy_after(&ids(), now() + TimeDelta::days(1)).await.unwrap();
    let keys = folder.path().join("keys");
    std::fs::rename(place(&keys, SSN), place(&keys, &dob)).unwrap();
    let later = open(folder.path()).await;
    for error in [later.due().await.unwrap_err(), later.destroy_due(&ids()).await.unwrap_err()] {
        assert!(error.message().contains("is damaged"), "{error}");
    }
    std::fs::remove_file(place(&keys, &dob)).unwrap();
    let later = open(folder.path()).await;
    later.by_id(&dob).await.unwrap();
    later.by_id(SSN).await.unwrap();
}
