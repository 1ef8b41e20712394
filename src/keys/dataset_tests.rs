use std::path::{Path, PathBuf};

use super::*;
use crate::error::Kind;

fn settings(folder: &Path) -> config::Keys {
    config::Keys::File { path: folder.join("keys"), passphrase: None }
}

async fn open(folder: &Path) -> Keyring {
    Keyring::open(&settings(folder), &|_| {}).await.unwrap()
}

fn column(name: &str) -> Purpose {
    Purpose::Column { dataset: DatasetName::parse("crm.customers").unwrap(), column: name.to_owned() }
}

fn record_of(folder: &Path, name: &str) -> PathBuf {
    folder.join("keys/datasets").join(format!("sealift%3acrm.customers%2f{name}")).join("1.json")
}

#[tokio::test]
async fn first_use_says_so_and_the_second_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Mutex::new(Vec::new());
    let notice = |text: &str| notices.lock().unwrap().push(text.to_owned());
    Keyring::open(&settings(folder.path()), &notice).await.unwrap();
    Keyring::open(&settings(folder.path()), &notice).await.unwrap();
    let notices = notices.into_inner().unwrap();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("created a new root key") && notices[0].contains("back"), "{notices:?}");
}

#[tokio::test]
async fn a_key_survives_the_process_and_differs_from_every_other() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    assert_eq!(keyring.peek(&column("ssn")).await.unwrap(), None);
    let ssn = keyring.current(&column("ssn")).await.unwrap();
    assert_eq!((ssn.id(), ssn.version()), ("sealift:crm.customers/ssn@1", 1));
    assert_eq!(keyring.peek(&column("ssn")).await.unwrap().as_deref(), Some(ssn.id()));
    let email = keyring.current(&column("email")).await.unwrap();
    assert_ne!(ssn.secret().expose(), email.secret().expose());
    let token = Purpose::Tokenize(Domain::Join("customer".to_owned()));
    assert_eq!(keyring.current(&token).await.unwrap().secret().expose().len(), 64);

    let later = open(folder.path()).await;
    assert_eq!(later.by_id(ssn.id()).await.unwrap().secret().expose(), ssn.secret().expose());
    assert_eq!(later.current(&column("ssn")).await.unwrap().secret().expose(), ssn.secret().expose());
}

#[tokio::test]
async fn lists_are_sorted_and_a_dataset_shows_its_columns_and_footer_only() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let dataset = DatasetName::parse("crm.customers").unwrap();
    let own = Domain::Column { dataset: dataset.clone(), column: "email".to_owned() };
    let other = Purpose::Footer(DatasetName::parse("crm.customers2").unwrap());
    for purpose in [column("ssn"), Purpose::Hash(own), Purpose::Footer(dataset.clone()), other] {
        keyring.current(&purpose).await.unwrap();
    }
    assert_eq!(keyring.list(None).await.unwrap().len(), 4);
    assert_eq!(
        keyring.list(Some(&dataset)).await.unwrap(),
        ["sealift:crm.customers/_footer@1", "sealift:crm.customers/ssn@1"]
    );
}

#[tokio::test]
async fn an_unknown_id_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    for id in ["sealift:crm.customers/ssn@1", "sealift:../x@1", "", "nonsense"] {
        assert_eq!(keyring.by_id(id).await.unwrap_err().kind(), Kind::Denied, "{id}");
    }
}

#[test]
fn creators_at_the_same_time_end_with_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let create = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { open(folder.path()).await.current(&column("ssn")).await.unwrap() })
    };
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for key in &keys {
        assert_eq!((key.id(), key.secret().expose()), (keys[0].id(), keys[0].secret().expose()));
    }
}

#[tokio::test]
async fn every_altered_byte_of_a_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = open(folder.path()).await.current(&column("ssn")).await.unwrap();
    let path = record_of(folder.path(), "ssn");
    let record = std::fs::read(&path).unwrap();
    // When the key was made is information only: it is not bound to the key.
    let bound = record.windows(10).position(|part| part == b"\"created\":").unwrap();
    for at in 0..bound {
        let mut altered = record.clone();
        altered[at] ^= 1;
        std::fs::write(&path, altered).unwrap();
        let error = open(folder.path()).await.by_id(key.id()).await.unwrap_err();
        assert!(!error.to_string().contains(&hex::encode(key.secret().expose())), "byte {at}");
    }
}

#[tokio::test]
async fn a_record_of_one_column_does_not_serve_another() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    keyring.current(&column("ssn")).await.unwrap();
    keyring.current(&column("dob")).await.unwrap();
    let ssn = std::fs::read_to_string(record_of(folder.path(), "ssn")).unwrap();
    std::fs::write(record_of(folder.path(), "dob"), ssn.replace("/ssn@", "/dob@")).unwrap();
    let error = open(folder.path()).await.by_id("sealift:crm.customers/dob@1").await.unwrap_err();
    assert!(error.message().contains("altered"), "{error}");
}

#[tokio::test]
async fn a_lost_or_exchanged_root_key_is_not_papered_over() {
    let folder = tempfile::tempdir().unwrap();
    let key = open(folder.path()).await.current(&column("ssn")).await.unwrap();
    std::fs::remove_file(folder.path().join("keys/root.key")).unwrap();
    let error = Keyring::open(&settings(folder.path()), &|_| {}).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().ends_with("is gone"), "{error}");

    let other = tempfile::tempdir().unwrap();
    open(other.path()).await;
    std::fs::copy(other.path().join("keys/root.key"), folder.path().join("keys/root.key")).unwrap();
    let error = open(folder.path()).await.by_id(key.id()).await.unwrap_err();
    assert!(error.message().contains("wrapped by the root key file:"), "{error}");
}

#[tokio::test]
async fn debug_shows_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let key = keyring.current(&column("ssn")).await.unwrap();
    let shown = format!("{keyring:?} {key:?}");
    let list = key.secret().expose().iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    assert!(!shown.contains(&list) && !shown.contains(&hex::encode(key.secret().expose())), "{shown}");
}
