//! What can be wrong, in words that say what and hold neither a value nor a secret.

use std::time::Duration;

use sealift::error::Kind;
use sealift::spec::config;

use super::{
    mariadb, no_snapshot, of_mariadb, of_postgres, query, read, relation, secret, settings, snapshot, table,
};
use crate::servers::postgres;

/// No part of the connection string that an error may repeat.
#[track_caller]
fn is_silent(error: &sealift::error::Error) {
    for word in ["hunter2", "127.0.0.1", "se;cr", "correct horse", "PWD", "123-45"] {
        assert!(!error.to_string().contains(word), "`{word}` in: {error}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_invalid_and_is_not_repeated() {
    let wrong = Some(secret("wrong", "hunter2"));
    let (pg, ma) = (postgres::Database::create().await, mariadb::Database::create());
    for settings in [of_postgres(&pg), of_mariadb(&ma)] {
        let error = no_snapshot(&config::Odbc { password: wrong.clone(), ..settings }).await;
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.to_string().contains("password"), "{error}");
        is_silent(&error);
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_temporary() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for driver in ["psqlodbcw.so", "libmaodbc.so"] {
        let driver = super::driver(driver);
        let string = format!("Driver={};Server=127.0.0.1;Port={port};Database=x", driver.display());
        let error = no_snapshot(&config::Odbc { user: Some("x".to_owned()), ..settings(string) }).await;
        assert_eq!(error.kind(), Kind::Temporary, "{error}");
        is_silent(&error);
    }
}

#[tokio::test]
async fn a_driver_source_or_database_that_is_not_there_is_invalid() {
    for string in ["Driver=/nowhere/libnone.so;Server=x", "DSN=no_such_source", "Driver={No Such Driver}"] {
        let error = no_snapshot(&settings(string.to_owned())).await;
        assert_eq!(error.kind(), Kind::Invalid, "{string}: {error}");
    }
    let database = postgres::Database::create().await;
    let mut own = of_postgres(&database);
    own.connection_string = own.connection_string.replace(&database.name, "no_such_database");
    assert_eq!(no_snapshot(&own).await.kind(), Kind::Invalid);
    let twice = config::Odbc { connection_string: "DSN=a;UID=b".to_owned(), ..of_postgres(&database) };
    assert!(sealift::source::odbc::Odbc::new(&twice, Default::default()).is_err());
}

#[tokio::test]
async fn a_query_that_fails_says_so_without_quoting_a_value() {
    let (pg, ma) = (postgres::Database::create().await, mariadb::Database::create());
    pg.run("CREATE TABLE t (ssn text); INSERT INTO t VALUES ('123-45-6789')").await;
    ma.run("CREATE TABLE t (ssn varchar(20)); INSERT INTO t VALUES ('123-45-6789')");
    for settings in [of_postgres(&pg), of_mariadb(&ma)] {
        let mut snapshot = snapshot(&settings).await;
        for sql in
            ["SELEC 1", "SELECT gone FROM t", "SELECT * FROM gone", "SELECT ssn, ssn FROM t", "DELETE FROM t"]
        {
            let found = relation(snapshot.as_mut(), &query(sql)).await;
            let error = snapshot.describe(&found).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
            is_silent(&error);
        }
        // The snapshot serves on.
        assert_eq!(read(snapshot.as_mut(), &query("SELECT ssn FROM t")).await.unwrap().len(), 1);
    }
    let mut snapshot = snapshot(&of_postgres(&pg)).await;
    let error = read(snapshot.as_mut(), &query("SELECT ssn::int AS n FROM t")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data, "{error}");
    is_silent(&error);
}

#[tokio::test]
async fn a_statement_over_its_timeout_is_temporary() {
    let database = postgres::Database::create().await;
    let limited =
        config::Odbc { statement_timeout: Some(Duration::from_millis(200)), ..of_postgres(&database) };
    let mut snapshot_pg = snapshot(&limited).await;
    let error = read(snapshot_pg.as_mut(), &query("SELECT 1 AS v FROM pg_sleep(60)")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    let database = mariadb::Database::create();
    let limited = config::Odbc { statement_timeout: Some(Duration::from_secs(1)), ..of_mariadb(&database) };
    let mut snapshot_ma = snapshot(&limited).await;
    let sql = "SELECT count(*) AS v FROM seq_1_to_100000000 a JOIN seq_1_to_100000000 b";
    let error = read(snapshot_ma.as_mut(), &query(sql)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
}

#[tokio::test]
async fn wildcards_leave_the_database_s_own_schemas_out() {
    let database = postgres::Database::create().await;
    database.run("CREATE SCHEMA shop; CREATE TABLE shop.orders (v int); CREATE TABLE shop.order_lines (v int); CREATE VIEW shop.ordered AS SELECT 1 AS v; CREATE TABLE shop.xorders (v int)").await;
    let mut snapshot_pg = snapshot(&of_postgres(&database)).await;
    let found = snapshot_pg.find(&table("*", "order*")).await.unwrap();
    let names: Vec<_> = found.iter().map(|relation| relation.stream.to_string()).collect();
    assert_eq!(names, ["shop.order_lines", "shop.ordered", "shop.orders"]);
    let database = mariadb::Database::create();
    database.run("CREATE TABLE orders (v int); CREATE VIEW ordered AS SELECT 1 AS v");
    let mut snapshot_ma = snapshot(&of_mariadb(&database)).await;
    assert_eq!(snapshot_ma.find(&table(&database.name, "order*")).await.unwrap().len(), 2);
}
