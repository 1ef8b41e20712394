use std::path::Path;

use super::*;
use crate::spec::config;

async fn keyring(folder: &Path) -> Keyring {
    let settings = config::Keys::File { path: folder.join("keys"), passphrase: None };
    Keyring::open(&settings, &|_| {}).await.unwrap()
}

fn dataset() -> DatasetName {
    DatasetName::parse("crm.customers").unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files of the tree's folder, sorted.
fn files(keyring: &Keyring) -> Vec<String> {
    let folder = keyring.records.beside(&purpose(&dataset(), "ssn").base_id(), "");
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn one_subject_goes_and_the_others_stay_in_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path()).await;
    assert!(keyring.known_subjects(&dataset(), "ssn").await.unwrap().is_none());
    let before = keyring.subjects(&dataset(), "ssn").await.unwrap();
    assert_eq!(before.id(), "sealift:crm.customers/ssn#subject@1");
    let (anna, ben) = (before.digest(b"anna"), before.digest(b"ben"));
    assert_ne!(anna, ben);
    assert_eq!(anna.to_string().len(), 24);

    assert_eq!(keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap(), 1);
    assert_eq!(keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap(), 0, "once is enough");
    assert_eq!(files(&keyring), ["2.json", "2.tree", "lock"]);
    let other = self::keyring(folder.path()).await;
    for keyring in [&keyring, &other] {
        for after in [
            keyring.subjects(&dataset(), "ssn").await.unwrap(),
            keyring.known_subjects(&dataset(), "ssn").await.unwrap().unwrap(),
        ] {
            assert_eq!(after.digest(b"anna"), anna, "the digest is the same");
            assert_eq!(after.key(anna), Err(Shredded));
            assert_eq!(after.key(ben), before.key(ben));
            assert_eq!((after.id(), after.mask_key()), (before.id(), before.mask_key()));
        }
        assert!(keyring.by_id("sealift:crm.customers/ssn#subject@1").await.is_err());
    }
    assert_eq!(other.shred(&dataset(), "ssn", &[ben, anna]).await.unwrap(), 1);
    assert_eq!(files(&keyring), ["3.json", "3.tree", "lock"]);
    assert_eq!(keyring.subjects(&dataset(), "ssn").await.unwrap().key(ben), Err(Shredded));
    assert!(keyring.list(Some(&dataset())).await.unwrap().is_empty(), "a reader is given none of them");
}

#[tokio::test]
async fn a_column_without_a_tree_has_nobody_to_shred() {
    let folder = tempfile::tempdir().unwrap();
    let error = keyring(folder.path()).await.shred(&dataset(), "ssn", &[Digest([1; 12])]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test]
async fn what_was_cut_short_is_as_before_or_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path()).await;
    let subjects = keyring.subjects(&dataset(), "ssn").await.unwrap();
    let (anna, ben) = (subjects.digest(b"anna"), subjects.digest(b"ben"));
    let before = folder.path().join("before");
    copy(&folder.path().join("keys"), &before.join("keys"));
    keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap();
    let base = purpose(&dataset(), "ssn").base_id();

    // After step 1: a tree that nobody can open. The next one replaces it.
    let cut = self::keyring(&before).await;
    std::fs::copy(keyring.tree(&base, 2), cut.tree(&base, 2)).unwrap();
    assert!(cut.subjects(&dataset(), "ssn").await.unwrap().key(anna).is_ok());
    assert_eq!(cut.shred(&dataset(), "ssn", &[ben]).await.unwrap(), 1);
    let after = cut.subjects(&dataset(), "ssn").await.unwrap();
    assert_eq!((after.key(anna).is_ok(), after.key(ben)), (true, Err(Shredded)));

    // After step 2, with all of step 3 to be done: the new one counts, and the next removes the old.
    std::fs::write(keyring.tree(&base, 1), b"old").unwrap();
    let record = super::super::records::Wrapped::new(&format!("{base}@1"), "file:0", String::new());
    keyring.records.create(&record).unwrap();
    assert_eq!(keyring.subjects(&dataset(), "ssn").await.unwrap().key(anna), Err(Shredded));
    assert_eq!(keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap(), 0);
    assert_eq!(files(&keyring), ["2.json", "2.tree", "lock"]);

    // In the middle of step 3: the record is gone, and the tree is not.
    std::fs::write(keyring.tree(&base, 1), b"old").unwrap();
    keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap();
    assert_eq!(files(&keyring), ["2.json", "2.tree", "lock"]);
}

#[tokio::test]
async fn a_tree_that_is_gone_or_of_before_is_told_and_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path()).await;
    let anna = keyring.subjects(&dataset(), "ssn").await.unwrap().digest(b"anna");
    keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap();
    let base = purpose(&dataset(), "ssn").base_id();
    let tree = std::fs::read(keyring.tree(&base, 2)).unwrap();
    std::fs::remove_file(keyring.tree(&base, 2)).unwrap();
    let gone = keyring.subjects(&dataset(), "ssn").await.err().unwrap();
    assert!(gone.message().contains("is not complete"), "{gone}");
    assert!(keyring.shred(&dataset(), "ssn", &[anna]).await.is_err());
    std::fs::write(keyring.tree(&base, 2), &tree[..tree.len() - 1]).unwrap();
    assert!(keyring.subjects(&dataset(), "ssn").await.err().unwrap().message().contains("is damaged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_at_once_lose_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path()).await;
    let subjects = keyring.subjects(&dataset(), "ssn").await.unwrap();
    let digests: Vec<Digest> = (0..8_u8).map(|n| subjects.digest(&[n])).collect();
    let shredders = digests.iter().map(|digest| async {
        let own = self::keyring(folder.path()).await;
        while let Err(error) = own.shred(&dataset(), "ssn", &[*digest]).await {
            assert_eq!(error.kind(), Kind::Temporary, "{error}");
            tokio::task::yield_now().await;
        }
    });
    futures::future::join_all(shredders).await;
    let after = keyring.subjects(&dataset(), "ssn").await.unwrap();
    assert!(digests.iter().all(|digest| after.key(*digest) == Err(Shredded)));
    assert!(after.key(subjects.digest(b"other")).is_ok());
    assert_eq!(files(&keyring).len(), 3);
}

#[tokio::test]
async fn an_older_backup_brings_back_nobody_who_was_shredded() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, passphrase) =
        (folder.path().join("keys"), crate::secret::Secret::new(b"correct horse".to_vec()));
    let keyring = keyring(folder.path()).await;
    let anna = keyring.subjects(&dataset(), "ssn").await.unwrap().digest(b"anna");
    let backup = crate::keys::backup::seal(&keys, &passphrase).unwrap();
    keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap();
    let restored = crate::keys::backup::restore(&keys, &backup, &passphrase).unwrap();
    assert_eq!(restored.destroyed, ["sealift:crm.customers/ssn#subject@1"]);
    assert_eq!(files(&keyring), ["2.json", "2.tree", "lock"]);
    assert_eq!(
        self::keyring(folder.path()).await.subjects(&dataset(), "ssn").await.unwrap().key(anna),
        Err(Shredded)
    );
}

#[tokio::test]
async fn a_tree_that_is_destroyed_as_a_whole_is_followed_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path()).await;
    let before = keyring.subjects(&dataset(), "ssn").await.unwrap();
    let anna = before.digest(b"anna");
    keyring.shred(&dataset(), "ssn", &[anna]).await.unwrap();
    let id = "sealift:crm.customers/ssn#subject@2".to_owned();
    let ids = std::slice::from_ref(&id);
    keyring.destroy_after(ids, chrono::DateTime::UNIX_EPOCH).await.unwrap();
    keyring.destroy_due(ids).await.unwrap();
    assert!(keyring.known_subjects(&dataset(), "ssn").await.unwrap().is_none());
    let after = keyring.subjects(&dataset(), "ssn").await.unwrap();
    assert_ne!(after.digest(b"anna"), anna);
    let ben = after.digest(b"ben");
    let key = after.key(ben).unwrap();
    keyring.shred(&dataset(), "ssn", &[after.digest(b"anna")]).await.unwrap();
    assert_eq!(keyring.subjects(&dataset(), "ssn").await.unwrap().key(ben), Ok(key));
}
