use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::*;
use crate::error::Kind;
use crate::govern::Store as _;
use crate::govern::audit::layout::Hash;
use crate::govern::store::now_ms;
use crate::publish::Store;
use crate::spec::config::{Keys, Metadata};

struct World {
    folder: tempfile::TempDir,
    ledger: Ledger,
    keyring: Keyring,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let keys = Keys::File { path: folder.path().join("keys"), passphrase: None };
        let keyring = Keyring::open(&keys, &|_| {}).await.unwrap();
        Self { folder, ledger, keyring }
    }

    /// As a process has it that begins now.
    fn trail(&self, places: Vec<Place>) -> Trail<'_> {
        Trail { ledger: &self.ledger, keyring: &self.keyring, places, signed: Mutex::default() }
    }

    async fn entries(&self, count: usize) {
        let subjects = vec!["crm.people"; count];
        audit::record_each(&self.ledger, "os:0", Action::KeyRelease, &subjects).await.unwrap();
    }

    async fn head(&self) -> audit::Head {
        audit::head(&self.ledger).await.unwrap().unwrap()
    }

    async fn sql(&self, statement: String) {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(self.ledger.pool()).await.unwrap();
    }

    /// The numbers of the entries that the store has checkpoints of.
    async fn kept(&self) -> Vec<i64> {
        let page = audit::checkpoints(&self.ledger, 0).await.unwrap();
        page.into_iter().map(|(seq, _)| seq).collect()
    }

    fn file(&self, name: &str) -> Place {
        Place::File(self.folder.path().join(name))
    }

    fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap().lines().count()
    }
}

#[tokio::test]
async fn what_anybody_put_into_the_store_keeps_nothing_from_being_signed() {
    let world = World::new().await;
    world.entries(300).await;
    let (trail, hash) = (world.head().await.trail, "ab".repeat(32));
    for (seq, signer) in [(i64::MAX, "x"), (300, "x"), (299, "sealift:audit#sign@1"), (298, "nonsense")] {
        let row = format!("('{trail}', {seq}, '{hash}', {}, '{signer}', 'eA==')", i64::MAX);
        world.sql(format!("INSERT INTO audit_checkpoints VALUES {row}")).await;
    }
    let made = world.trail(Vec::new()).checkpoint_if_many().await.unwrap().unwrap();
    assert_eq!(made.seq, 300);
    // What is signed by a key of ours counts, beside the others.
    world.entries(1).await;
    assert_eq!(world.trail(Vec::new()).checkpoint_if_many().await.unwrap(), None);
    world.entries(255).await;
    let trail = world.trail(Vec::new());
    assert_eq!(trail.checkpoint_if_many().await.unwrap().unwrap().seq, 556);
    assert_eq!(trail.checkpoint().await.unwrap(), None);
    // Of more of them than are looked at, a process that signed itself knows better.
    let head = world.head().await;
    for number in 0..20 {
        let row = format!("('{}', {}, '{hash}', {number}, 'x', 'eA=={number}')", head.trail, head.seq);
        world.sql(format!("INSERT INTO audit_checkpoints VALUES {row}")).await;
    }
    assert_eq!(trail.checkpoint().await.unwrap(), None);
}

#[tokio::test]
async fn a_trail_that_was_cut_is_signed_from_there_on() {
    let world = World::new().await;
    world.entries(20).await;
    let trail = world.trail(vec![world.file("copies")]);
    trail.checkpoint().await.unwrap().unwrap();
    for guard in ["audit_entry_is_never_changed", "audit_entry_is_never_removed"] {
        world.sql(format!("DROP TRIGGER {guard}")).await;
    }
    world.sql("DELETE FROM audit WHERE seq > 15".to_owned()).await;
    let head = "UPDATE audit_head SET seq = 15, hash = (SELECT hash FROM audit WHERE seq = 15)";
    world.sql(head.to_owned()).await;
    world.entries(1).await;
    assert_eq!(trail.checkpoint().await.unwrap().unwrap().seq, 16);
    assert_eq!((world.lines("copies"), world.kept().await), (2, vec![16, 20]));
}

#[tokio::test]
async fn a_place_that_fails_holds_no_other_and_has_it_later() {
    let world = World::new().await;
    world.entries(3).await;
    let trail = world.trail(vec![world.file("away/copies"), world.file("copies")]);
    for _ in 0..3 {
        trail.checkpoint().await.unwrap_err();
        assert_eq!((world.lines("copies"), world.kept().await), (1, Vec::new()));
    }
    // What comes meanwhile is signed when it is due.
    world.entries(1).await;
    trail.checkpoint().await.unwrap_err();
    assert_eq!(world.lines("copies"), 2);
    std::fs::create_dir(world.folder.path().join("away")).unwrap();
    assert_eq!(trail.checkpoint().await.unwrap().unwrap().seq, 4);
    assert_eq!((world.lines("copies"), world.lines("away/copies"), world.kept().await), (2, 1, vec![4]));
}

#[tokio::test]
async fn another_trail_than_the_keys_belong_to_is_not_signed() {
    let world = World::new().await;
    world.entries(1).await;
    assert_eq!(world.keyring.trail("another").await.unwrap(), "another");
    let error = world.trail(vec![world.file("copies")]).checkpoint().await.unwrap_err();
    assert!(error.kind() == Kind::Data && error.message().contains("another"), "{error}");
    assert_eq!(world.kept().await, Vec::<i64>::new());
    let proof =
        prove(&world.ledger, &[], None, crate::run::verify::Trust::Keys(&world.keyring), Some("another"));
    let faults = proof.await.unwrap().findings.faults;
    assert_eq!(faults.iter().map(|fault| fault.what.word()).collect::<Vec<_>>(), ["other_trail"]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_once_delays_nothing() {
    let world = World::new().await;
    world.entries(1).await;
    let signer = world.keyring.checkpoint_signer().await.unwrap();
    let audit::Head { trail, seq, hash } = world.head().await;
    let hash = Hash::parse(&hash).unwrap();
    let (signer_id, at_ms) = (signer.id().to_owned(), now_ms() + 1_000_000_000_000);
    let mut ahead = Checkpoint { trail, seq, hash, at_ms, signer: signer_id, signature: Vec::new() };
    ahead.signature = signer.sign(&ahead.message());
    audit::keep(&world.ledger, &ahead).await.unwrap();
    world.entries(1).await;
    let is_due = |entries, ms| entries > 0 && ms >= INTERVAL_MS;
    let made = world.trail(Vec::new()).checkpoint_where(is_due).await.unwrap();
    assert_eq!(made.unwrap().seq, 2);
    world.entries(1).await;
    assert_eq!(world.trail(Vec::new()).checkpoint_where(is_due).await.unwrap(), None);
}

#[tokio::test]
async fn an_object_that_is_there_must_be_of_the_same_entry() {
    let world = World::new().await;
    world.entries(2).await;
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let store = Store::of(Arc::clone(&objects), url::Url::parse("memory:///").unwrap());
    let place = || vec![Place::Objects(Box::new(store.clone()))];
    let first = world.trail(place()).checkpoint().await.unwrap().unwrap();
    // Another process, that did not see it in the metadata store.
    world.trail(place()).places[0].keep(&Checkpoint { at_ms: 0, ..first.clone() }).await.unwrap();
    let path = ObjectPath::from(format!("_sealift_audit/{}/{:020}.json", first.trail, 3));
    let other = Checkpoint { seq: 3, hash: Hash([7; 32]), ..first };
    objects.put(&path, other.to_line().into()).await.unwrap();
    world.entries(1).await;
    let error = world.trail(place()).checkpoint().await.unwrap_err();
    assert!(error.kind() == Kind::Data && error.message().contains("000003.json"), "{error}");
}
