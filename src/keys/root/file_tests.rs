use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

struct Place {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
}

fn place() -> Place {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("keys");
    durable::private_folder(&folder).unwrap();
    Place { _temporary: temporary, folder }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn the_key_is_created_once_in_a_private_file() {
    let place = place();
    let (first, created) = File::open(&place.folder, None).unwrap();
    assert!(created);
    let (second, created) = File::open(&place.folder, None).unwrap();
    assert!(!created);
    assert_eq!(first.key.expose(), second.key.expose());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.folder.join(FILE_NAME)), 0o600);
    assert_eq!(mode(&place.folder), 0o700);
}

#[test]
fn the_id_does_not_tell_the_key() {
    let place = place();
    let (file, _) = File::open(&place.folder, None).unwrap();
    let plain_digest = hex::encode(Sha256::digest(file.key.expose()));
    assert!(file.id().starts_with("file:") && file.id().len() == 21, "{}", file.id());
    assert!(!plain_digest.starts_with(file.id().strip_prefix("file:").unwrap()));
    assert!(!format!("{file:?}").contains(&hex::encode(file.key.expose())));
}

#[test]
fn a_file_that_others_may_read_is_refused_with_the_remedy() {
    let place = place();
    File::open(&place.folder, None).unwrap();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(place.folder.join(FILE_NAME), Permissions::from_mode(mode)).unwrap();
        let error = File::open(&place.folder, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.remedy().unwrap().starts_with("chmod 600 "), "{error}");
    }
    fs::set_permissions(place.folder.join(FILE_NAME), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&place.folder, Permissions::from_mode(0o777)).unwrap();
    let error = File::open(&place.folder, None).unwrap_err();
    assert!(error.remedy().unwrap().starts_with("chmod 700 "), "{error}");
}

#[test]
fn every_altered_byte_of_a_plain_file_is_noticed() {
    let place = place();
    File::open(&place.folder, None).unwrap();
    let path = place.folder.join(FILE_NAME);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        fs::write(&path, altered).unwrap();
        assert_eq!(File::open(&place.folder, None).unwrap_err().kind(), Kind::Invalid, "byte {at}");
        fs::write(&path, &bytes[..at]).unwrap();
        assert_eq!(File::open(&place.folder, None).unwrap_err().kind(), Kind::Invalid, "cut at {at}");
    }
}

#[test]
fn a_passphrase_seals_the_file() {
    let place = place();
    let right = secret("correct horse");
    let (file, _) = File::open(&place.folder, Some(&right)).unwrap();
    let bytes = fs::read(place.folder.join(FILE_NAME)).unwrap();
    assert!(!bytes.windows(8).any(|part| file.key.expose().windows(8).any(|key| key == part)));
    let (again, created) = File::open(&place.folder, Some(&right)).unwrap();
    assert!(!created);
    assert_eq!(again.key.expose(), file.key.expose());

    let wrong = File::open(&place.folder, Some(&secret("correct hors"))).unwrap_err();
    assert_eq!(wrong.kind(), Kind::Invalid);
    assert!(!wrong.to_string().contains("hors"));
    let missing = File::open(&place.folder, None).unwrap_err();
    assert_eq!(missing.kind(), Kind::Invalid);
}

#[test]
fn an_altered_sealed_file_is_refused() {
    let place = place();
    let passphrase = secret("correct horse");
    File::open(&place.folder, Some(&passphrase)).unwrap();
    let path = place.folder.join(FILE_NAME);
    let bytes = fs::read(&path).unwrap();
    let sealed_at = MAGIC.len() + 1;
    // A byte of each part; all of them would derive the passphrase a hundred times.
    let parts = [0, MAGIC.len(), sealed_at, sealed_at + 11, sealed_at + 12, sealed_at + 28, bytes.len() - 1];
    for at in parts {
        let mut altered = bytes.clone();
        altered[at] ^= 0x80;
        fs::write(&path, altered).unwrap();
        assert_eq!(File::open(&place.folder, Some(&passphrase)).unwrap_err().kind(), Kind::Invalid, "{at}");
    }
    for cut in [0, MAGIC.len(), sealed_at + 5, sealed_at + 28, sealed_at + 41] {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(File::open(&place.folder, Some(&passphrase)).unwrap_err().kind(), Kind::Invalid, "{cut}");
    }
}

#[test]
fn a_passphrase_for_an_open_file_is_refused() {
    let place = place();
    File::open(&place.folder, None).unwrap();
    let error = File::open(&place.folder, Some(&secret("x"))).unwrap_err();
    assert!(error.message().contains("not sealed"), "{error}");
    let error = File::open(&place.folder, Some(&secret(""))).unwrap_err();
    assert!(error.message().contains("empty"), "{error}");
}

#[test]
fn creators_at_the_same_time_end_with_one_key() {
    let place = place();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let open = || File::open(&place.folder, None).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(keys.iter().filter(|(_, created)| *created).count(), 1);
    assert!(keys.iter().all(|(file, _)| file.key.expose() == keys[0].0.key.expose()));
}

#[test]
fn the_passphrase_is_hashed_as_the_reference_implementation_does() {
    // Argon2's reference implementation (phc-winner-argon2, src/test.c): Argon2id, version 0x13, 2 passes.
    for (memory_kib, lanes, hash) in [
        (256, 1, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"),
        (256, 2, "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"),
        (65_536, 1, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),
    ] {
        let key = Cost { memory_kib, passes: 2, lanes }.derive(&secret("password"), b"somesalt").unwrap();
        assert_eq!(hex::encode(key.expose()), hash);
    }
}

proptest! {
    #[test]
    fn what_is_no_root_key_file_is_refused(
        key in any::<[u8; 32]>(), bytes in any::<Vec<u8>>(), at in any::<usize>(), bit in 0..8
    ) {
        let path = Path::new("root.key");
        let whole = encode(&Secret::new(key.to_vec()), None).unwrap();
        let read = decode(&whole, None, path).unwrap();
        prop_assert_eq!(read.key.expose(), &key[..]);
        let mut altered = whole.expose().to_vec();
        let place = at % altered.len();
        altered[place] ^= 1_u8 << bit;
        prop_assert!(decode(&Secret::new(altered), None, path).is_err());
        prop_assert!(decode(&Secret::new([MAGIC, &bytes].concat()), None, path).is_err());
        prop_assert!(decode(&Secret::new(bytes), None, path).is_err());
    }
}
