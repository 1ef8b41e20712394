use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::keys::Purpose;
use crate::secret::Secret;
use crate::spec::DatasetName;

fn settings(folder: &Path) -> config::Keys {
    config::Keys::File { path: folder.join("keys"), passphrase: None }
}

async fn open(folder: &Path) -> Keyring {
    Keyring::open(&settings(folder), &|_| {}).await.unwrap()
}

fn column(name: &str) -> Purpose {
    Purpose::Column { dataset: DatasetName::parse("crm.people").unwrap(), column: name.to_owned() }
}

async fn secrets(keyring: &Keyring) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for id in keyring.list(None).await.unwrap() {
        secrets.insert(id.clone(), keyring.by_id(&id).await.unwrap().secret().clone());
    }
    secrets
}

fn same(one: &BTreeMap<String, Secret>, other: &BTreeMap<String, Secret>) -> bool {
    one.keys().eq(other.keys()) && one.values().zip(other.values()).all(|(a, b)| a.expose() == b.expose())
}

#[tokio::test]
async fn a_new_version_is_used_from_then_on_and_the_older_one_still_reads() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let first = keyring.current(&column("ssn")).await.unwrap();
    assert_eq!(keyring.rotate("sealift:crm.people/ssn").await.unwrap(), "sealift:crm.people/ssn@2");
    let second = keyring.current(&column("ssn")).await.unwrap();
    assert_eq!((second.id(), second.version()), ("sealift:crm.people/ssn@2", 2));
    assert_ne!(first.secret().expose(), second.secret().expose());
    let later = open(folder.path()).await;
    assert_eq!(later.by_id(first.id()).await.unwrap().secret().expose(), first.secret().expose());
    assert_eq!(later.rotate("sealift:crm.people/ssn@1").await.unwrap(), "sealift:crm.people/ssn@3");
    assert_eq!(later.rotate("sealift:crm.people/dob").await.unwrap_err().kind(), Kind::Usage);
}

#[tokio::test]
async fn a_new_root_key_wraps_the_same_keys_and_the_old_one_opens_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    let token = Purpose::Tokenize(crate::keys::Domain::Join("customer".to_owned()));
    for purpose in [column("ssn"), column("dob"), token] {
        keyring.current(&purpose).await.unwrap();
    }
    let before = secrets(&keyring).await;
    let old_root = std::fs::read(folder.path().join("keys/root.key")).unwrap();
    let running = open(folder.path()).await;

    let rewrapped = keyring.renew_root().await.unwrap();
    assert_eq!(rewrapped.keys, 3);
    assert!(same(&before, &secrets(&open(folder.path()).await).await));
    // A process that was there before goes on: it reads, and what it adds is wrapped by the new root.
    assert!(same(&before, &secrets(&running).await));
    let added = running.current(&column("zip")).await.unwrap();
    assert_eq!(running.root_id(), rewrapped.root);
    open(folder.path()).await.by_id(added.id()).await.unwrap();

    std::fs::write(folder.path().join("keys/root.key"), old_root).unwrap();
    let error = open(folder.path()).await.by_id("sealift:crm.people/ssn@1").await.unwrap_err();
    assert!(error.message().contains("wrapped by the root key"), "{error}");
}

/// A running process that has not read since adds a key first of all.
#[tokio::test]
async fn what_an_unknowing_process_adds_is_wrapped_by_the_new_root() {
    let folder = tempfile::tempdir().unwrap();
    let (keyring, running) = (open(folder.path()).await, open(folder.path()).await);
    let rewrapped = keyring.renew_root().await.unwrap();
    running.current(&column("ssn")).await.unwrap();
    let entries = running.entries().await.unwrap();
    assert_eq!(entries[0].root.as_deref(), Some(rewrapped.root.as_str()));
    open(folder.path()).await.by_id("sealift:crm.people/ssn@1").await.unwrap();
}

#[tokio::test]
async fn a_renewal_cut_short_at_any_record_is_read_and_taken_up() {
    for done in 0..=3 {
        let folder = tempfile::tempdir().unwrap();
        let keyring = open(folder.path()).await;
        for name in ["a", "b", "c"] {
            keyring.current(&column(name)).await.unwrap();
        }
        let before = secrets(&keyring).await;
        // As far as a process came before it was killed.
        let next = root::File::begin_renewal(&folder.path().join("keys"), None).unwrap();
        let next: Arc<dyn Root> = Arc::new(next);
        let records = keyring.records.all().unwrap();
        for record in records.iter().take(done) {
            let Record::Wrapped(key) = record else { panic!("destroyed") };
            let secret = keyring.unwrap(key).await.unwrap();
            let wrapped = STANDARD.encode(next.wrap(&secret, key.id.as_bytes()).await.unwrap());
            keyring.records.replace(&Record::Wrapped(key.rewrapped(next.id(), wrapped))).unwrap();
        }
        let later = open(folder.path()).await;
        assert!(same(&before, &secrets(&later).await), "{done}");
        let rewrapped = later.renew_root().await.unwrap();
        assert_eq!((rewrapped.keys, rewrapped.root.as_str()), (3 - done, next.id()));
        assert!(!folder.path().join("keys/root.next").exists());
        assert!(same(&before, &secrets(&open(folder.path()).await).await), "{done}");
    }
}

#[tokio::test]
async fn a_key_of_a_third_root_stops_a_renewal_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = open(folder.path()).await;
    keyring.current(&column("a")).await.unwrap();
    keyring.records.create(&Wrapped::new("sealift:crm.people/b@1", "file:other", String::new())).unwrap();
    let error = keyring.renew_root().await.unwrap_err();
    assert!(error.message().contains("neither the old one nor the new one"), "{error}");
    open(folder.path()).await.by_id("sealift:crm.people/a@1").await.unwrap();
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn keys_that_are_added_while_the_root_is_renewed_are_all_readable_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    wait_for(open(folder.path()));
    let add = |worker: usize| {
        wait_for(async {
            let keyring = open(folder.path()).await;
            for number in 0..20 {
                keyring.current(&column(&format!("c{worker}_{number}"))).await.unwrap();
            }
        });
    };
    let add = &add;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|worker| scope.spawn(move || add(worker))).collect();
        for _ in 0..5 {
            wait_for(async { open(folder.path()).await.renew_root().await.unwrap() });
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(wait_for(async { secrets(&open(folder.path()).await).await }).len(), 60);
}
