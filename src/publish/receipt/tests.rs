use super::*;
use crate::publish::fixture::*;
use crate::publish::scripted::{Act, Scripted};
use crate::publish::{Mode, Store, table};

async fn receipts(store: &Store) -> Vec<(Place, Vec<u8>)> {
    let mut found = Vec::new();
    for place in all(store, &dataset()).await.unwrap() {
        let bytes = read(store, &dataset(), &place).await.unwrap().unwrap();
        found.push((place, bytes.to_vec()));
    }
    found
}

#[tokio::test]
async fn every_version_has_a_signed_receipt_that_its_commit_and_the_next_receipt_name() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..10), Mode::Overwrite, "run-1").await.unwrap();
    publish(&store, people(10..15), Mode::Append, "run-2").await.unwrap();
    publish(&store, people(0..3), Mode::Overwrite, "run-3").await.unwrap();
    let receipts = receipts(&store).await;
    assert_eq!(receipts.len(), 3);
    let mut previous = None;
    for (version, (place, bytes)) in (0_u64..).zip(&receipts) {
        let signed = Receipt::parse(bytes).unwrap();
        assert!(signed.is_by(&Signer::for_tests().public()));
        let receipt = signed.receipt;
        assert_eq!((receipt.version, &receipt.commit_id), (version, &place.commit_id));
        assert_eq!(receipt.previous, previous);
        let commit = table::read_commit(&store, &dataset(), version).await.unwrap().unwrap();
        let named = named(&commit).unwrap();
        assert_eq!(named.commit_id, place.commit_id);
        let sha256 = named.sha256.unwrap();
        use sha2::Digest as _;
        assert_eq!(sha256, hex::encode(sha2::Sha256::digest(bytes)));
        for file in &receipt.files.added {
            let path = crate::publish::ObjectPath::existing(&dataset(), &file.name).unwrap().location();
            let read = object_store::ObjectStoreExt::get(store.objects().as_ref(), &path).await.unwrap();
            let read = read.bytes().await.unwrap();
            assert_eq!(
                (file.bytes, &file.sha256),
                (read.len() as u64, &hex::encode(sha2::Sha256::digest(read)))
            );
        }
        let columns: Vec<_> = receipt.values.columns.iter().map(|one| one.column.as_str()).collect();
        assert_eq!(columns, ["id", "ssn"]);
        previous = Some(Link { version, sha256 });
    }
    let last = Receipt::parse(&receipts[2].1).unwrap().receipt;
    assert_eq!((last.files.added.len(), last.files.removed.len()), (1, 2));
}

#[tokio::test]
async fn a_version_that_did_not_land_leaves_no_receipt_unless_the_store_was_silent() {
    for (acts, left) in [(vec![Act::Denied], 0), (vec![Act::NothingAnswerLost; 16], 1)] {
        let store = Scripted::new(acts).store();
        publish(&store, people(0..7), Mode::Append, "run-1").await.unwrap_err();
        assert_eq!(receipts(&store).await.len(), left);
    }
}

#[tokio::test]
async fn any_other_byte_is_refused() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..10), Mode::Overwrite, "run-1").await.unwrap();
    let (_, bytes) = receipts(&store).await.remove(0);
    let public = Signer::for_tests().public();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(!Receipt::parse(&altered).is_ok_and(|signed| signed.is_by(&public)), "byte {at}");
    }
    let spaced = [&bytes[..], b" "].concat();
    assert!(Receipt::parse(&spaced).unwrap_err().message().contains("canonical"));
}

#[tokio::test]
async fn a_receipt_is_signed_for_every_byte_of_its_commit_and_names_no_folder() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..10), Mode::Overwrite, "run-1").await.unwrap();
    publish(&store, people(0..10), Mode::Append, "run-2").await.unwrap();
    for (place, bytes) in receipts(&store).await {
        let receipt = Receipt::parse(&bytes).unwrap().receipt;
        let commit = table::read_commit(&store, &dataset(), place.version).await.unwrap().unwrap();
        let sha256 = named(&commit).unwrap().sha256.unwrap();
        assert_eq!(commit_sha256(&commit, &sha256), Some(receipt.commit_sha256.clone()));
        for at in 0..commit.len() {
            let mut altered = commit.to_vec();
            altered[at] ^= 1;
            assert_ne!(commit_sha256(&altered, &sha256), Some(receipt.commit_sha256.clone()), "byte {at}");
        }
        // What is in the commit alone keeps its digest from telling what it held.
        let text = String::from_utf8(commit.to_vec()).unwrap();
        let salt = text.split("\"salt\":\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(salt.len() == 32 && !String::from_utf8(bytes).unwrap().contains(salt));
    }
}

#[test]
fn a_file_goes_by_its_name_alone() {
    use crate::publish::path::file_name;
    assert_eq!(file_name("country=CH/year=2024/part-1.parquet"), "part-1.parquet");
    assert_eq!(file_name("part-1.parquet"), "part-1.parquet");
}
