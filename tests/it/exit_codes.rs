//! Bad input: each fault ends with its own exit code and a message that says what, where and the
//! remedy; nothing is published and no value of a row is shown.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, Time64MicrosecondArray};
use parquet::arrow::ArrowWriter;

use crate::house::{Dice, House, Ran, connection};
use crate::servers::postgres::Database;

/// A value that stands in every source here and may stand in no output.
const VALUE: &str = "Zw41RkTq88LmXy02";

/// A house with one pipeline, `bad`, whose protected column `name` holds [`VALUE`].
fn house(connection: &str, stream: &str) -> House {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.write("in/drops/rows.csv", &format!("id,name\n1,{VALUE}\n"));
    house.pipeline(
        "bad",
        &format!(
            "connection: {connection}\ndataset: \"bad.rows\"\nstreams:\n  {stream}\n    \
             columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}"
        ),
    );
    house
}

const CSV: &str = "rows:\n    path: rows.csv\n    format: {csv: {}}";

/// The call failed with `code`, and its message holds each of `says`.
#[track_caller]
fn refused(house: &House, ran: &Ran, code: i32, says: &[&str]) {
    ran.expect(code);
    for word in says {
        assert!(ran.stderr.contains(word), "`{word}` is not in the message: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("help:"), "no remedy: {}", ran.stderr);
    assert!(!ran.printed().contains(VALUE), "a value is shown: {}", ran.printed());
    assert!(!ran.printed().contains("panicked"), "{}", ran.printed());
    nothing_published(&house.path("out/lake"));
}

/// No version, and no object left behind either.
#[track_caller]
fn nothing_published(lake: &Path) {
    let mut folders = vec![lake.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            assert!(path.is_dir(), "left in the lake: {}", path.display());
            folders.push(path);
        }
    }
}

/// As [`house`], over a database of its own that holds `table`.
async fn database_house(stream: &str, table: &str) -> (House, Database) {
    let database = Database::create().await;
    database.run(table).await;
    let house = house("db", stream);
    house.config("", &connection(&database));
    (house, database)
}

#[tokio::test]
async fn a_missing_table_is_invalid_and_the_nearest_is_named() {
    let table = format!("CREATE TABLE customers AS SELECT 1 AS id, '{VALUE}' AS name");
    let (house, _database) = database_house("public.custmers:", &table).await;
    refused(&house, &house.run(&["sync", "bad"]), 78, &["custmers", "customers"]);
}

#[tokio::test]
async fn a_wrong_password_is_invalid_and_is_not_shown() {
    let table = format!("CREATE TABLE customers AS SELECT 1 AS id, '{VALUE}' AS name");
    let (mut house, database) = database_house("public.customers:", &table).await;
    let right = connection(&database);
    let (start, end) = (right.find("\"file:").unwrap(), right.rfind('"').unwrap());
    house.config("", &format!("{}\"env:TEST_PG_PASSWORD{}", &right[..start], &right[end..]));
    house.env("TEST_PG_PASSWORD", "not-the-password-Kq7");
    let ran = house.run(&["sync", "bad"]);
    refused(&house, &ran, 78, &["password"]);
    assert!(!ran.printed().contains("not-the-password-Kq7"));
}

#[test]
fn an_unreachable_host_is_temporary() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let house = house("db", "public.customers:");
    house.config(
        "",
        &format!("db: {{postgres: {{host: 127.0.0.1, port: {free}, database: x, user: x, tls: disable}}}}"),
    );
    refused(&house, &house.run(&["sync", "bad"]), 75, &["127.0.0.1", &free.to_string()]);
}

#[test]
fn a_type_that_cannot_be_carried_is_refused_with_column_type_and_remedy() {
    let house = house("drops", "rows:\n    path: rows.parquet\n    format: {parquet: {}}");
    let name: ArrayRef = Arc::new(StringArray::from(vec![VALUE]));
    let at: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("name", name), ("spot", at)]).unwrap();
    let file = File::create(house.path("in/drops/rows.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for command in ["plan", "sync"] {
        let ran = house.run(&[command, "bad"]);
        let code = ran.code.unwrap_or_default();
        assert!(matches!(code, 76 | 78), "{command}: {ran:?}");
        refused(&house, &ran, code, &["spot", "Time64", "as text"]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_invalid() {
    let house = house("drops", CSV);
    let path = house.path("in/drops/rows.csv");
    fs::remove_file(&path).unwrap();
    refused(&house, &house.run(&["sync", "bad"]), 78, &["rows.csv"]);
    std::os::unix::fs::symlink(house.path("in/drops/gone.csv"), &path).unwrap();
    refused(&house, &house.run(&["sync", "bad"]), 78, &["rows.csv"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&house, &house.run(&["sync", "bad"]), 78, &["rows.csv"]);
}

#[test]
fn a_malformed_line_is_a_data_fault_with_its_number() {
    let house = house("drops", CSV);
    let lines = |bad: &str| format!("id,name\n1,{VALUE}\n2,b\n3,{bad}\n4,d\n");
    for bad in [format!("{VALUE},too,many"), format!("\"{VALUE}\" after the quote"), format!("\"{VALUE}")] {
        house.write("in/drops/rows.csv", &lines(&bad));
        let ran = house.run(&["sync", "bad"]);
        ran.expect(65);
        assert!(ran.stderr.contains("rows.csv"), "{}", ran.stderr);
        assert!(ran.stderr.contains("line 4") || ran.stderr.contains("rows.csv:4"), "{}", ran.stderr);
        assert!(!ran.printed().contains(VALUE), "a value is shown: {}", ran.printed());
        nothing_published(&house.path("out/lake"));
    }
}

/// Root may mount in a namespace of its own; others need a user namespace for that.
fn own_mounts() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    }
}

#[test]
fn a_full_disk_is_temporary_and_leaves_nothing() {
    let house = house("drops", CSV);
    let mut dice = Dice::fixed(4);
    let rows: String = (0..20_000).map(|id| format!("{id},{VALUE}{}\n", dice.text(60))).collect();
    house.write("in/drops/rows.csv", &format!("id,name\n{rows}"));
    fs::create_dir_all(house.path("out/lake")).unwrap();
    // The little disk exists only as long as the call; what it holds at the end is told by `find`.
    let script = "mount -t tmpfs -o size=256k little lake || exit 99\n\
                  \"$@\"; code=$?; find lake -type f >left; exit $code";
    let ran = house.through(own_mounts(), script, &["sync", "bad"]);
    refused(&house, &ran, 75, &["disk is full"]);
    assert_eq!(fs::read_to_string(house.path("out/left")).unwrap(), "");
}

#[test]
fn a_read_only_folder_is_denied() {
    let house = house("drops", CSV);
    fs::create_dir_all(house.path("out/lake")).unwrap();
    let script = "mount --bind lake lake && mount -o remount,ro,bind lake || exit 99\nexec \"$@\"";
    let ran = house.through(own_mounts(), script, &["sync", "bad"]);
    refused(&house, &ran, 77, &["read-only"]);
}

/// A bucket that can be listed, is empty, and answers every write with 403.
fn read_only_bucket() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_reads_only(stream));
        }
    });
    port
}

/// Answers one request per connection; a client that goes away is no concern of ours.
fn answer_reads_only(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let head = loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&chunk[..read]),
        }
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8_lossy(&request[..end]).to_lowercase();
        }
    };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let mut left = (head.len() + 4 + length.unwrap_or(0)).saturating_sub(request.len());
    while left > 0 {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
    let lists =
        head.starts_with("get ") && head.lines().next().is_some_and(|line| line.contains("list-type"));
    let (status, body) = if lists {
        (
            "200 OK",
            "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>",
        )
    } else if head.starts_with("get ") || head.starts_with("head ") {
        ("404 Not Found", "<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>")
    } else {
        ("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    };
    let body = if head.starts_with("head ") { "" } else { body };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

#[test]
fn a_read_only_bucket_is_denied() {
    let mut house = house("drops", CSV);
    let store = format!(
        "lake: {{url: \"s3://bucket/lake\", endpoint: \"http://127.0.0.1:{}\", access_key_id: \"env:TEST_KEY_ID\", \
         secret_access_key: \"env:TEST_SECRET\"}}",
        read_only_bucket()
    );
    house.config(&store, "");
    house.env("TEST_KEY_ID", "reader");
    house.env("TEST_SECRET", "not-to-be-shown-Jd3");
    let ran = house.run(&["sync", "bad"]);
    refused(&house, &ran, 77, &["store refuses"]);
    assert!(!ran.printed().contains("not-to-be-shown-Jd3"));
}

#[test]
fn a_column_that_no_rule_covers_is_held() {
    let house = house("drops", CSV);
    house.policy("- {tags: [public], action: allow}");
    refused(&house, &house.run(&["sync", "bad"]), 76, &["name"]);
}

#[test]
fn an_invalid_document_and_a_misspelt_command_have_their_own_codes() {
    let house = house("drops", CSV);
    house.run(&["syncc", "bad"]).expect(2);
    house.run(&["sync", "no-such-pipeline"]).expect(2);
    house.pipeline("bad", "conection: drops\nstreams: {}");
    for command in [&["validate"] as &[&str], &["sync", "bad"]] {
        let ran = house.run(command);
        ran.expect(78);
        assert!(ran.stderr.contains("bad.yaml:5") && ran.stderr.contains("connection"), "{}", ran.stderr);
    }
}

#[test]
fn a_failed_run_says_its_outcome_in_the_summary_too() {
    let house = house("drops", CSV);
    house.policy("- {tags: [public], action: allow}");
    assert_eq!(house.json(&["sync", "bad"], 76)["outcome"], "held");
    house.write("in/drops/rows.csv", &format!("id,name\n1,{VALUE},2\n"));
    house.policy("- {tags: [\"*\"], action: allow}");
    assert_eq!(house.json(&["sync", "bad"], 65)["outcome"], "data");
}
