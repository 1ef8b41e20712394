//! What goes wrong is said in our own words, with the right kind, and without a row value.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sealift::error::{Error, Kind};
use sealift::spec::config::{self, Tls};

use super::{no_snapshot, query, read, relation, shown, snapshot, table};
use crate::servers::mariadb::{Database, Server};
use crate::servers::postgres::certificates;

const CANARY: &str = "123-45-6789";

#[tokio::test]
async fn connections_that_are_refused_are_invalid_and_name_what_to_mend() {
    let database = Database::create().await;
    let user = database.as_user("someone", &["SELECT ON {db}.*"]).await;
    let wrong = config::Mysql { password: Some(database.secret("hunter2")), ..user.clone() };
    let error = no_snapshot(&wrong).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains(&user.user) && error.message().contains("1045"), "{error}");
    assert!(!error.to_string().contains("hunter2"));
    let error = no_snapshot(&config::Mysql { password: None, ..user.clone() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    let error = no_snapshot(&config::Mysql { user: "nobody_here".into(), ..user.clone() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("nobody_here"), "{error}");
    let error = no_snapshot(&config::Mysql { database: "no_such_db".into(), ..database.settings() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("has no database `no_such_db`"), "{error}");
    let error = no_snapshot(&config::Mysql { database: "no_such_db".into(), ..user }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("may not use database"), "{error}");
}

#[tokio::test]
async fn an_unreachable_server_is_a_passing_fault() {
    let database = Database::create().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = no_snapshot(&config::Mysql { port: closed, ..database.settings() }).await;
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.message().contains(&format!("127.0.0.1:{closed}: connection refused")), "{error}");
}

#[tokio::test]
async fn what_answers_but_is_no_server_is_an_error_and_no_panic() {
    let database = Database::create().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"\x10\x00\x00\x00HTTP/1.1 400 Bad").await;
        }
    });
    let error = no_snapshot(&config::Mysql { port, ..database.settings() }).await;
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    answering.abort();
}

#[tokio::test]
async fn a_user_is_known_by_ed25519_too() {
    let database = Database::create().await;
    let user = format!("ed_{}", database.name);
    database
        .run(&[
            &format!("CREATE USER {user}@'%' IDENTIFIED VIA ed25519 USING PASSWORD('s3cret é')"),
            &format!("GRANT SELECT ON {}.* TO {user}@'%'", database.name),
        ])
        .await;
    let settings =
        config::Mysql { user, password: Some(database.secret("s3cret é")), ..database.settings() };
    let mut snapshot = snapshot(&settings).await;
    assert_eq!(shown(&read(snapshot.as_mut(), &query("SELECT 1 AS one")).await.unwrap()).len(), 1);
    drop(snapshot);
    let error = no_snapshot(&config::Mysql { password: Some(database.secret("wrong")), ..settings }).await;
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
}

#[tokio::test]
async fn a_missing_right_says_what_to_grant() {
    let database = Database::create().await;
    let db = database.name.clone();
    database.run(&["CREATE TABLE t (v int)", "INSERT INTO t VALUES (1)"]).await;
    let settings = database.as_user("writer", &["INSERT ON {db}.t"]).await;
    let mut shot = snapshot(&settings).await;
    let found = relation(shot.as_mut(), &table(&db, "t")).await;
    let error = shot.describe(&found).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.message(), format!("user `{}` may not read {db}.t", settings.user));
    assert_eq!(error.remedy().unwrap(), format!("GRANT SELECT ON {db}.t TO {}", settings.user));
    let found = relation(shot.as_mut(), &query("SELECT * FROM t")).await;
    let error = shot.describe(&found).await.unwrap_err();
    assert!(error.message().contains("may not read all that the query names (error 1142)"), "{error}");
    // What the remedy says is enough.
    database.run(&[&format!("GRANT SELECT ON {db}.t TO {}@'%'", settings.user)]).await;
    let mut shot = snapshot(&settings).await;
    assert_eq!(shown(&read(shot.as_mut(), &table(&db, "t")).await.unwrap()).len(), 1);
}

#[tokio::test]
async fn trap_no_value_of_a_row_is_in_an_error() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE t (v varchar(20))",
            &format!("INSERT INTO t VALUES ('{CANARY}')"),
            &format!(
                "CREATE FUNCTION complain(v varchar(20)) RETURNS int DETERMINISTIC NO SQL BEGIN \
                 SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'bad value {CANARY}'; RETURN 0; END"
            ),
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    for sql in [
        "SELECT complain(v) AS c FROM t",
        "SELECT JSON_VALUE(v, '$[') AS c, EXTRACTVALUE('<a>', CONCAT('[', v)) AS d FROM t",
    ] {
        let error = read(snapshot.as_mut(), &query(sql)).await.unwrap_err();
        assert!(!error.to_string().contains("6789"), "{error}");
        assert!(!format!("{error:?}").contains("6789"), "{error:?}");
    }
}

/// Reads something that takes its time, and does this to the server meanwhile.
async fn interrupted(database: &Database, settings: &config::Mysql, act: impl AsyncFnOnce()) -> Error {
    let mut snapshot = snapshot(settings).await;
    let found =
        relation(snapshot.as_mut(), &query("SELECT a.seq AS v FROM seq_1_to_10000 a, seq_1_to_100000 b"))
            .await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some(), "{}", database.name);
    act().await;
    let rest = async {
        loop {
            match stream.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the read ended as if it were whole"),
                Err(error) => return error,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rest).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_is_cut_is_a_passing_fault() {
    let database = Database::create().await;
    let settings = database.settings();
    for how in ["CONNECTION", "QUERY"] {
        let error = interrupted(&database, &settings, async || {
            let sql = format!(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}' AND COMMAND = 'Execute'",
                database.name
            );
            for row in database.rows(&sql).await {
                database.run(&[&format!("KILL {how} {}", row[0].as_deref().unwrap())]).await;
            }
        })
        .await;
        assert_eq!(error.kind(), Kind::Temporary, "{how}: {error}");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_a_passing_fault() {
    let database = Database::create().await;
    let settings =
        config::Mysql { statement_timeout: Some(Duration::from_millis(1500)), ..database.settings() };
    let error = interrupted(&database, &settings, async || {}).await;
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.message().contains("statement timeout"), "{error}");
}

#[tokio::test]
async fn a_server_that_dies_is_a_passing_fault_and_one_that_comes_back_is_read() {
    let server = Arc::new(Server::start(&|_| None));
    let database = Database::on(Arc::clone(&server)).await;
    database
        .run(&[
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
            "CREATE TABLE t (a int)",
            "INSERT INTO t VALUES (7)",
        ])
        .await;
    let settings = database.settings();
    let name = database.name.clone();
    let mut held = snapshot(&settings).await;
    let found =
        relation(held.as_mut(), &query("SELECT a.seq AS v FROM seq_1_to_10000 a, seq_1_to_100000 b")).await;
    let columns = held.describe(&found).await.unwrap().columns;
    let mut stream = held.read(&found, &columns).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(database);
    let mut server = Arc::into_inner(server).unwrap();
    server.crash();
    let error = loop {
        match stream.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the read ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    drop(stream);
    let error = held.find(&table(&name, "t")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    assert_eq!(no_snapshot(&settings).await.kind(), Kind::Temporary);
    server.run();
    let mut snapshot = snapshot(&settings).await;
    assert_eq!(shown(&read(snapshot.as_mut(), &table(&name, "t")).await.unwrap()), [[Some("7".to_owned())]]);
}

#[tokio::test]
async fn tls_checks_who_the_server_is() {
    let server = Arc::new(Server::start(&|folder| Some(certificates(folder, "IP:127.0.0.1"))));
    let database = Database::on(Arc::clone(&server)).await;
    let tls = config::Mysql {
        tls: Tls::VerifyFull,
        ca_file: Some(server.folder().join("ca.pem")),
        ..database.settings()
    };
    let mut shot = snapshot(&tls).await;
    let cipher = "SELECT VARIABLE_VALUE AS v FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'SSL_CIPHER'";
    let rows = shown(&read(shot.as_mut(), &query(cipher)).await.unwrap());
    assert!(rows[0][0].as_deref().is_some_and(|cipher| !cipher.is_empty()), "{rows:?}");
    // Much data and a cancel go through it too.
    let found =
        relation(shot.as_mut(), &query("SELECT a.seq AS v FROM seq_1_to_10000 a, seq_1_to_100000 b")).await;
    let columns = shot.describe(&found).await.unwrap().columns;
    let mut stream = shot.read(&found, &columns).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    assert_eq!(shown(&read(shot.as_mut(), &query("SELECT 1 AS one")).await.unwrap()).len(), 1);

    let other = config::Mysql { host: "localhost".into(), ..tls.clone() };
    let error = no_snapshot(&other).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("another host name"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let stranger = certificates(folder.path(), "IP:127.0.0.1").authority;
    let error = no_snapshot(&config::Mysql { ca_file: Some(stranger), ..tls }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("not signed by a trusted authority"), "{error}");
    let plain = Database::create().await;
    let ca_file = Some(server.folder().join("ca.pem"));
    let error = no_snapshot(&config::Mysql { tls: Tls::VerifyFull, ca_file, ..plain.settings() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("does not offer TLS"), "{error}");
}
