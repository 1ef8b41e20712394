use super::*;
use crate::error::Kind;
use crate::keys::{Keyring, Purpose};
use crate::spec::{DatasetName, config};

fn passphrase() -> Secret {
    Secret::new(b"correct horse".to_vec())
}

async fn open(keys: &Path) -> Keyring {
    let settings = config::Keys::File { path: keys.to_owned(), passphrase: None };
    Keyring::open(&settings, &|_| {}).await.unwrap()
}

fn column(name: &str) -> Purpose {
    Purpose::Column { dataset: DatasetName::parse("crm.people").unwrap(), column: name.to_owned() }
}

#[tokio::test]
async fn what_is_lost_comes_back_and_what_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let keyring = open(&keys).await;
    let ssn = keyring.current(&column("ssn")).await.unwrap();
    let backup = seal(&keys, &passphrase()).unwrap();
    for part in [ssn.secret().expose(), b"sealift:crm.people/ssn".as_slice()] {
        assert!(!backup.windows(part.len()).any(|window| window == part));
    }

    std::fs::remove_dir_all(&keys).unwrap();
    assert_eq!(restore(&keys, &backup, &passphrase()).unwrap().written, 2);
    let restored = open(&keys).await;
    assert_eq!(restored.by_id(ssn.id()).await.unwrap().secret().expose(), ssn.secret().expose());
    let dob = restored.current(&column("dob")).await.unwrap();
    assert_eq!(restore(&keys, &backup, &passphrase()).unwrap(), Restored { same: 2, ..Restored::default() });
    open(&keys).await.by_id(dob.id()).await.unwrap();
}

#[tokio::test]
async fn a_destroyed_key_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let keyring = open(&keys).await;
    let id = keyring.current(&column("ssn")).await.unwrap().id().to_owned();
    let backup = seal(&keys, &passphrase()).unwrap();
    let ids = std::slice::from_ref(&id);
    keyring.destroy_after(ids, chrono::DateTime::UNIX_EPOCH).await.unwrap();
    keyring.destroy_due(ids).await.unwrap();
    assert_eq!(restore(&keys, &backup, &passphrase()).unwrap().destroyed, std::slice::from_ref(&id));
    assert_eq!(open(&keys).await.by_id(&id).await.unwrap_err().kind(), Kind::Denied);
}

#[tokio::test]
async fn a_destruction_that_was_called_off_stays_called_off() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let keyring = open(&keys).await;
    let id = keyring.current(&column("ssn")).await.unwrap().id().to_owned();
    let ids = std::slice::from_ref(&id);
    let later = chrono::DateTime::from_timestamp(7_000_000_000, 0).unwrap();
    keyring.destroy_after(ids, later).await.unwrap();
    let backup = seal(&keys, &passphrase()).unwrap();
    assert_eq!(keyring.keep(ids).await.unwrap(), ids);
    assert_eq!(restore(&keys, &backup, &passphrase()).unwrap().written, 0);
    assert_eq!(keyring.pending().await.unwrap(), []);
    open(&keys).await.by_id(&id).await.unwrap();
    // Asked for once more, at another time, it is no contradiction.
    keyring.destroy_after(ids, later + chrono::TimeDelta::days(1)).await.unwrap();
    restore(&keys, &backup, &passphrase()).unwrap();
    // In an empty folder it is as it was when the backup was made.
    let restored = folder.path().join("restored");
    restore(&restored, &backup, &passphrase()).unwrap();
    assert_eq!(open(&restored).await.pending().await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_root_key_is_not_mixed_in() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    open(&one).await.current(&column("ssn")).await.unwrap();
    open(&other).await;
    let error = restore(&other, &seal(&one, &passphrase()).unwrap(), &passphrase()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("root.key"), "{error}");
    assert!(!other.join("datasets").exists(), "nothing is written");
}

#[tokio::test]
async fn an_altered_or_cut_backup_and_another_passphrase_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    open(&keys).await;
    let backup = seal(&keys, &passphrase()).unwrap();
    let target = folder.path().join("restored");
    let refused = |bytes: &[u8], passphrase: &Secret| {
        let error = restore(&target, bytes, passphrase).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(!target.exists());
    };
    refused(&backup, &Secret::new(b"correct hors".to_vec()));
    // A byte of each part; all of them would derive the passphrase a hundred times.
    for at in [0, MAGIC.len(), MAGIC.len() + 11, MAGIC.len() + 12, MAGIC.len() + 28, backup.len() - 1] {
        let mut altered = backup.clone();
        altered[at] ^= 0x80;
        refused(&altered, &passphrase());
    }
    for cut in [0, MAGIC.len(), MAGIC.len() + 20, MAGIC.len() + 30, backup.len() - 1] {
        refused(&backup[..cut], &passphrase());
    }
    assert!(seal(&keys, &Secret::new(Vec::new())).is_err());
}

#[test]
fn a_backup_cannot_write_elsewhere() {
    let keys = Path::new("/keys");
    for bad in ["", "/etc/passwd", "../x", "a/../../x", "./x", "a/b/c/d/e/f/g/h/i/j"] {
        assert!(inside(keys, bad).is_err(), "{bad}");
    }
    assert_eq!(inside(keys, "datasets/a/1.json").unwrap(), Path::new("/keys/datasets/a/1.json"));
}

#[test]
fn contents_are_taken_apart_or_refused() {
    assert_eq!(contents::decode(b"").unwrap().len(), 0);
    let whole = [&4_u32.to_be_bytes()[..], b"a/bc", &2_u32.to_be_bytes(), b"xy"].concat();
    let read = contents::decode(&whole).unwrap();
    assert_eq!(read["a/bc"].expose(), b"xy");
    for cut in 1..whole.len() {
        assert!(contents::decode(&whole[..cut]).is_none(), "{cut}");
    }
    assert!(contents::decode(&[0xff; 8]).is_none());
    assert!(contents::decode(&[whole.clone(), whole].concat()).is_none(), "one file twice");
}
