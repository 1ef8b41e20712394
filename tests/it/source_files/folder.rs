//! Which files are found, and what keeps the source inside its root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use sealift::error::Kind;
use sealift::source::Source;
use sealift::source::files::Files;
use sealift::spec::StreamName;
use sealift::spec::pipeline::{Selector, TablePattern};

use super::{Opened, csv_set, folder, load};

/// The `id` of every row, in order.
async fn ids(root: &Path, path: &str) -> String {
    let (_, rows) = load(root, csv_set(path)).await.unwrap();
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn files_are_read_in_the_order_of_their_names() {
    let folder = folder(&[
        ("c.csv", b"id\n3\n"),
        ("a.csv", b"id\n1\n"),
        ("b.txt", b"id\n9\n"),
        (".a.csv.part", b"id\n8\n"),
        (".hidden.csv", b"id\n7\n"),
        ("b/b.csv", b"id\n2\n"),
        ("b/deep/x.csv", b"id\n4\n"),
        ("folder.csv/x.txt", b""),
    ]);
    for (path, expected) in [
        ("*.csv", "1 3"),
        ("./a.csv", "1"),
        ("?.csv", "1 3"),
        ("*/*.csv", "2"),
        ("**/*.csv", "1 2 4 3"),
        ("b/**", "2 4"),
        ("b/**/**/x.csv", "4"),
        ("{a,c}.csv", "1 3"),
        (".h*.csv", "7"),
    ] {
        assert_eq!(ids(folder.path(), path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_path_cannot_leave_the_root() {
    let folder =
        folder(&[("in/a.csv", b"id\n1\n"), ("outside.csv", b"id\n666\n"), ("out/b.csv", b"id\n666\n")]);
    let root = folder.path().join("in");
    for path in ["/etc/passwd", "../outside.csv", "x/../../outside.csv", "", "[", "."] {
        let error = Opened::new(&root, csv_set(path)).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Invalid, "{path}: {error}");
    }
}

#[tokio::test]
async fn trap_a_link_out_of_the_root_is_refused() {
    let folder =
        folder(&[("in/a.csv", b"id\n1\n"), ("outside.csv", b"id\n666\n"), ("out/b.csv", b"id\n666\n")]);
    let root = folder.path().join("in");
    symlink(folder.path().join("outside.csv"), root.join("link.csv")).unwrap();
    symlink(folder.path().join("out"), root.join("folder")).unwrap();
    for path in ["link.csv", "*.csv", "folder/b.csv", "f*/*.csv", "**/a.csv"] {
        let error = Opened::new(&root, csv_set(path)).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Invalid, "{path}");
        assert!(error.to_string().contains("leaves the connection's root"), "{path}: {error}");
    }
    assert_eq!(ids(&root, "a.csv").await, "1", "links that are not asked for do no harm");
}

#[tokio::test]
async fn trap_a_file_with_two_names_is_read_once() {
    let folder = folder(&[("real/a.csv", b"id\n1\n")]);
    symlink("real/a.csv", folder.path().join("latest.csv")).unwrap();
    symlink("real", folder.path().join("current")).unwrap();
    symlink("..", folder.path().join("real/up")).unwrap();
    for path in ["*.csv", "*/a.csv", "**/*.csv", "real/up/real/a.csv"] {
        assert_eq!(ids(folder.path(), path).await, "1", "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_the_nearest_name() {
    let folder = folder(&[("in/customers.csv", b"id\n"), ("in/orders.csv", b"id\n"), ("empty/.keep", b"")]);
    let shown = |error: sealift::error::Error| error.to_string();
    let error = Opened::new(folder.path(), csv_set("in/custmers*.csv")).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Invalid);
    let text = shown(error);
    assert!(text.contains("/in\n") && text.contains("`customers.csv`"), "{text}");
    let text = shown(Opened::new(folder.path(), csv_set("empty/*.csv")).await.err().unwrap());
    assert!(text.contains("folder is empty"), "{text}");
    let error = Files::new(&folder.path().join("nowhere")).snapshot().await.err().unwrap();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(shown(error).contains("nowhere"));
}

#[tokio::test]
async fn a_folder_has_no_tables() {
    let folder = folder(&[]);
    let mut snapshot = Files::new(folder.path()).snapshot().await.unwrap();
    let table = Selector::Table(TablePattern { schema: "public".to_owned(), table: "orders".to_owned() });
    let query = Selector::Query { name: StreamName::parse("q").unwrap(), sql: "SELECT 1".to_owned() };
    for selector in [table, query] {
        assert_eq!(snapshot.find(&selector).await.unwrap_err().kind(), Kind::Invalid);
    }
}

#[tokio::test]
async fn the_snapshot_is_named_after_the_files_and_their_state() {
    let folder = folder(&[("a.csv", b"id\n1\n")]);
    let id = async || Opened::new(folder.path(), csv_set("*.csv")).await.unwrap().snapshot.id().unwrap();
    let before = id().await;
    assert_eq!(before, id().await);
    fs::write(folder.path().join("b.csv"), "id\n2\n").unwrap();
    assert_ne!(before, id().await);
    assert_eq!(Files::new(folder.path()).snapshot().await.unwrap().id(), None, "nothing was asked for yet");
}

/// Root may read everything, so the test runs itself again as another account, which takes the look.
#[tokio::test]
async fn an_unreadable_file_is_told_with_its_path_and_cause() {
    if let Ok(root) = std::env::var("SEALIFT_TEST_FOLDER") {
        return look_as_another_account(root.as_ref()).await;
    }
    let folder = folder(&[("closed.csv", b"id\n1\n")]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path().join("closed.csv"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut look = Command::new("/proc/self/exe");
    look.args(["--exact", "source_files::folder::an_unreadable_file_is_told_with_its_path_and_cause"]);
    look.arg("--nocapture").env("SEALIFT_TEST_FOLDER", folder.path());
    if rustix::process::geteuid().is_root() {
        look.uid(65534).gid(65534);
    }
    let output = look.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("1 passed"), "{shown}");
}

async fn look_as_another_account(root: &Path) {
    let mut opened = Opened::new(root, csv_set("*.csv")).await.unwrap();
    let error = opened.describe().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let shown = error.to_string();
    assert!(shown.contains("closed.csv") && shown.contains("permission denied"), "{shown}");
}
