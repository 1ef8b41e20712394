//! What can be wrong, in words that say what and hold no value.

use std::fs;

use sealift::error::Kind;

use super::{file, no_snapshot, path, query, relation, run, snapshot, table, writer};

#[tokio::test]
async fn a_file_that_is_missing_a_folder_or_no_database_is_invalid_and_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = no_snapshot(&path(&folder)).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(!path(&folder).exists(), "a missing file was created");
    assert_eq!(no_snapshot(folder.path()).await.kind(), Kind::Invalid);
    // An encrypted file looks like this too.
    fs::write(path(&folder), [0x5a_u8; 8192]).unwrap();
    let error = no_snapshot(&path(&folder)).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("encrypted"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_fails_and_is_not_taken_for_an_empty_one() {
    let folder = file("CREATE TABLE t (v TEXT); WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 5000) INSERT INTO t SELECT 'row ' || n FROM g").await;
    let mut bytes = fs::read(path(&folder)).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 8192].fill(0xff);
    fs::write(path(&folder), bytes).unwrap();
    let mut snapshot = snapshot(&folder).await;
    let error = super::read(snapshot.as_mut(), &table("t")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
}

#[tokio::test]
async fn a_file_that_stays_locked_is_temporary() {
    let folder = file("CREATE TABLE t (v INT)").await;
    let mut other = writer(&folder).await;
    run(&mut other, "BEGIN EXCLUSIVE").await;
    let error = no_snapshot(&path(&folder)).await;
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
}

#[tokio::test]
async fn a_query_that_is_wrong_says_so_without_quoting_it() {
    let folder = file("CREATE TABLE t (v INT); CREATE VIEW broken AS SELECT * FROM gone").await;
    let mut snapshot = snapshot(&folder).await;
    for sql in [
        "SELEC '123-45-6789'",
        "SELECT missing FROM t WHERE v = '123-45-6789'",
        "SELECT v FROM t WHERE v = ?",
        "SELECT v, v FROM t",
        "DELETE FROM t",
        "SELECT 1 AS v; DROP TABLE t",
        "ATTACH 'x.db' AS x",
        "",
    ] {
        let found = relation(snapshot.as_mut(), &query(sql)).await;
        let error = snapshot.describe(&found).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
        assert!(!error.to_string().contains("123"), "{error}");
    }
    let found = relation(snapshot.as_mut(), &table("broken")).await;
    assert_eq!(snapshot.describe(&found).await.unwrap_err().kind(), Kind::Invalid);
    // The snapshot serves on.
    assert_eq!(super::columns(snapshot.as_mut(), &table("t")).await.len(), 1);
}
