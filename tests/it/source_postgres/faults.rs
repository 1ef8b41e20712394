//! What goes wrong is said in our own words, with the right kind, and without a row value.

use std::net::TcpListener;

use futures::{StreamExt, TryStreamExt};
use sealift::error::Kind;
use sealift::secret::Reference;
use sealift::spec::config::{self, Tls};

use super::{no_snapshot, query, read, relation, snapshot, table};
use crate::servers::postgres::{Database, Server, certificates};

const CANARY: &str = "123-45-6789";

/// Settings of a new role that may connect and use the public schema, with a further grant to `ROLE`.
pub async fn as_role(database: &Database, role: &str, grant: &str) -> config::Postgres {
    let role = format!("{role}_{}", database.name);
    let grant = grant.replace("ROLE", &role);
    let sql =
        format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA public TO {role}; {grant}");
    database.run(&sql).await;
    let password = database.server.folder().join(format!("{role}.pw"));
    std::fs::write(&password, "pw").unwrap();
    config::Postgres { user: role, password: Some(Reference::File(password)), ..database.settings() }
}

#[tokio::test]
async fn connections_that_are_refused_are_invalid_and_name_what_to_mend() {
    let database = Database::create().await;
    let role = as_role(&database, "someone", "").await;
    let wrong = database.server.folder().join("wrong");
    std::fs::write(&wrong, "hunter2").unwrap();
    let error =
        no_snapshot(&config::Postgres { password: Some(Reference::File(wrong)), ..role.clone() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains(&role.user) && error.message().contains("28P01"), "{error}");
    assert!(!error.to_string().contains("hunter2"));

    let error = no_snapshot(&config::Postgres { user: "nobody_here".into(), ..role.clone() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("nobody_here"), "{error}");

    let error = no_snapshot(&config::Postgres { database: "no_such_db".into(), ..role.clone() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("has no database `no_such_db`"), "{error}");

    let error = no_snapshot(&config::Postgres { password: None, ..role.clone() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("asks for a password"), "{error}");

    database.run(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database.name)).await;
    let error = no_snapshot(&role).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("may not connect"), "{error}");
}

#[tokio::test]
async fn an_unreachable_server_is_a_passing_fault() {
    let database = Database::create().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = no_snapshot(&config::Postgres { port: closed, ..database.settings() }).await;
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.message().contains(&format!("127.0.0.1:{closed}: connection refused")), "{error}");
    let error = no_snapshot(&config::Postgres { host: "host.invalid".into(), ..database.settings() }).await;
    assert_eq!(error.kind(), Kind::Temporary);
}

#[tokio::test]
async fn a_missing_right_says_what_to_grant() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (v int); CREATE SCHEMA closed; CREATE TABLE closed.u (v int)").await;
    let settings = as_role(&database, "reader", "").await;
    let mut snapshot = snapshot(&settings).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let error = snapshot.describe(&found).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.message(), format!("role `{}` may not read public.t", settings.user));
    assert_eq!(error.remedy().unwrap(), format!("GRANT SELECT ON public.t TO {}", settings.user));
    let found = relation(snapshot.as_mut(), &table("closed", "u")).await;
    let error = snapshot.describe(&found).await.unwrap_err();
    assert_eq!(error.remedy().unwrap(), format!("GRANT USAGE ON SCHEMA closed TO {}", settings.user));
    let found = relation(snapshot.as_mut(), &query("SELECT * FROM t")).await;
    let error = snapshot.describe(&found).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("may not read all that the query names (SQLSTATE 42501)"), "{error}");

    // What the remedy says is enough.
    database.run(&format!("GRANT SELECT ON public.t TO {}; INSERT INTO t VALUES (1)", settings.user)).await;
    let mut snapshot = super::snapshot(&settings).await;
    assert_eq!(super::rows(&read(snapshot.as_mut(), &table("public", "t")).await.unwrap()), 1);
}

#[tokio::test]
async fn rows_hidden_by_row_security_are_not_silently_left_out() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (v int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (v < 2); INSERT INTO t VALUES (1), (2)").await;
    let settings = as_role(&database, "filtered", "GRANT SELECT ON t TO ROLE").await;
    let mut snapshot = snapshot(&settings).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let error = snapshot.describe(&found).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("row security hides rows"), "{error}");
    assert_eq!(super::rows(&read(snapshot.as_mut(), &query("SELECT v FROM t")).await.unwrap()), 1);
}

#[tokio::test]
async fn a_wrong_query_is_told_with_its_place_and_does_not_end_the_snapshot() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (v int); INSERT INTO t VALUES (1)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    for (sql, message) in [
        (
            "SELECT v\nFROM  tt",
            "the query fails at line 2, column 7: there is no such table (SQLSTATE 42P01)",
        ),
        ("SELECT é.v, v FRM t", "the query fails at line 1, column 19: it is not valid SQL (SQLSTATE 42601)"),
        ("SELECT w FROM t", "the query fails at line 1, column 8: there is no such column (SQLSTATE 42703)"),
        ("SELECT $1::int AS a", "the query has a parameter, and a stream's query has none"),
        (
            "SELECT 1 AS a) AS q; DROP TABLE t; --",
            "the query fails at line 1, column 38: it is not valid SQL (SQLSTATE 42601)",
        ),
        (
            "DELETE FROM t RETURNING v",
            "the query fails at line 1, column 8: it is not valid SQL (SQLSTATE 42601)",
        ),
        ("SELECT 1 AS a, 2 AS a", "the query has two columns named `a`"),
    ] {
        let found = relation(snapshot.as_mut(), &query(sql)).await;
        let error = snapshot.describe(&found).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{sql}");
        assert_eq!(error.message(), message, "{sql}");
    }
    assert_eq!(super::rows(&read(snapshot.as_mut(), &table("public", "t")).await.unwrap()), 1);
}

#[tokio::test]
async fn trap_database_errors_do_not_quote_rows() {
    let database = Database::create().await;
    database
        .run(&format!(
            "CREATE TABLE t (n int, secret text); INSERT INTO t SELECT g, g::text FROM generate_series(1, 5000) g;
             INSERT INTO t VALUES (0, '{CANARY}');
             CREATE FUNCTION tell(s text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', s; RAISE EXCEPTION 'bad %', s; END $$"
        ))
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    for (sql, message) in [
        (
            "SELECT secret::int AS v FROM t",
            "the query fails: a value does not have the form of the type it is cast to (SQLSTATE 22P02)",
        ),
        ("SELECT 1 / n AS v FROM t", "the query fails: division by zero (SQLSTATE 22012)"),
        (
            "SELECT tell(secret) AS v FROM t WHERE n = 0",
            "the query fails: a function of the database raised an exception (SQLSTATE P0001)",
        ),
        (
            "SELECT (secret || '999999999999')::text::date AS v FROM t",
            "the query fails: a value cannot be computed (SQLSTATE 22008)",
        ),
    ] {
        let error = read(snapshot.as_mut(), &query(sql)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{sql}");
        assert_eq!(error.message(), message, "{sql}");
        assert!(!format!("{error} {error:?}").contains(CANARY));
    }
}

#[tokio::test]
async fn a_query_that_writes_is_refused() {
    let database = Database::create().await;
    database.run("CREATE SEQUENCE s; CREATE TABLE t (v int)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    let error = read(snapshot.as_mut(), &query("SELECT nextval('s') AS v")).await.unwrap_err();
    assert_eq!((error.kind(), error.message().contains("it writes")), (Kind::Invalid, true), "{error}");
}

#[tokio::test]
async fn a_connection_lost_in_mid_read_is_a_passing_fault() {
    let database = Database::create().await;
    let mut snapshot = snapshot(&database.settings()).await;
    let endless = relation(snapshot.as_mut(), &query("SELECT generate_series(1, 1000000000000) AS g")).await;
    let columns = snapshot.describe(&endless).await.unwrap().columns;
    let mut stream = snapshot.read(&endless, &columns).await.unwrap();
    stream.next().await.unwrap().unwrap();
    database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sealift' AND datname = current_database()").await;
    let error = stream.try_for_each(|_| async { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    let error = snapshot.describe(&endless).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
}

#[tokio::test]
async fn a_statement_timeout_is_a_passing_fault() {
    let database = Database::create().await;
    database.run(&format!("ALTER DATABASE {} SET statement_timeout = '300ms'", database.name)).await;
    let mut snapshot = snapshot(&database.settings()).await;
    let error = read(snapshot.as_mut(), &query("SELECT 1 AS a FROM pg_sleep(60)")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.message().contains("SQLSTATE 57014"), "{error}");
}

#[tokio::test]
async fn tls_is_verified_in_full() {
    let other = tempfile::tempdir().unwrap();
    let stranger = certificates(other.path(), "DNS:localhost").authority;
    let server = Server::start(&|folder| Some(certificates(folder, "DNS:localhost")));
    let authority = server.folder().join("ca.pem");
    let good = config::Postgres {
        host: "localhost".into(),
        tls: Tls::VerifyFull,
        ca_file: Some(authority),
        ..server.settings("postgres")
    };
    let mut snapshot = snapshot(&good).await;
    let batches = read(snapshot.as_mut(), &query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        .await
        .unwrap();
    assert_eq!(super::shown(batches[0].column(0)), [Some("true".to_owned())]);
    // Cancelling goes by TLS too.
    let endless = relation(snapshot.as_mut(), &query("SELECT generate_series(1, 1000000000000) AS g")).await;
    let columns = snapshot.describe(&endless).await.unwrap().columns;
    drop(snapshot.read(&endless, &columns).await.unwrap());
    snapshot.describe(&endless).await.unwrap();

    for (settings, words) in [
        (config::Postgres { host: "127.0.0.1".into(), ..good.clone() }, "is for another host name"),
        (config::Postgres { ca_file: Some(stranger), ..good.clone() }, "not signed by a trusted authority"),
        (
            config::Postgres { ca_file: Some(server.folder().join("server.ext")), ..good.clone() },
            "it holds no certificate",
        ),
        (
            config::Postgres { ca_file: Some(server.folder().join("absent")), ..good.clone() },
            "entity not found",
        ),
    ] {
        let error = no_snapshot(&settings).await;
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_the_clear() {
    let database = Database::create().await;
    let error = no_snapshot(&config::Postgres { tls: Tls::VerifyFull, ..database.settings() }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("does not offer TLS"), "{error}");
}
