//! Users of a real directory, OpenLDAP.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sealift::govern::Role;
use sealift::secret::Reference;
use sealift::serve::Entrance;
use sealift::spec::access::{Access, Ldap, Roles, Users};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{denials, is_told};
use crate::serve::world::World;
use crate::servers::door::Door;
use crate::servers::slapd::Slapd;

/// `ann` is in `dataops`, a group of `platform`, a group of `everybody`, which is a group of `dataops` again; `bob` is in
/// a group that means nothing, `(*)` has a name that a filter could be broken with.
fn directory() -> Slapd {
    let mut entries = String::from(
        "dn: ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: ou=groups,dc=example,dc=com\nobjectClass: organizationalUnit\nou: groups\n\n",
    );
    for (user, password) in [("ann", "right"), ("bob", "right"), ("service", "searching")] {
        entries.push_str(&format!(
            "dn: uid={user},ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: {user}\ncn: {user}\n\
             sn: {user}\nuserPassword: {password}\n\n"
        ));
    }
    for (group, member) in [
        ("dataops", "uid=ann,ou=people,dc=example,dc=com"),
        ("platform", "cn=dataops,ou=groups,dc=example,dc=com"),
        ("everybody", "cn=platform,ou=groups,dc=example,dc=com"),
        ("chess", "uid=bob,ou=people,dc=example,dc=com"),
    ] {
        let cycle =
            if group == "dataops" { "member: cn=everybody,ou=groups,dc=example,dc=com\n" } else { "" };
        entries.push_str(&format!(
            "dn: cn={group},ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: {group}\n\
             member: {member}\n{cycle}\n"
        ));
    }
    Slapd::start(&entries)
}

fn given(url: String, ca_file: Option<PathBuf>, users: Users, nested: bool) -> Entrance {
    let roles: Roles = [
        ("CN=DataOps, OU=groups, DC=example, DC=com", Role::Scheduler),
        ("cn=everybody,ou=groups,dc=example,dc=com", Role::Auditor),
    ]
    .into_iter()
    .map(|(group, role)| (group.to_owned(), BTreeSet::from([role])))
    .collect();
    let ldap = Ldap {
        url,
        ca_file,
        users,
        group_base: "ou=groups,dc=example,dc=com".into(),
        group_filter: "(member={dn})".into(),
        nested,
        roles,
    };
    Entrance { access: Access { ldap: Some(ldap), oidc: None }, ..Entrance::default() }
}

fn by_dn() -> Users {
    Users::BindDn("uid={user},ou=people,dc=example,dc=com".into())
}

fn by_search(folder: &tempfile::TempDir) -> Users {
    let password = folder.path().join("password");
    std::fs::write(&password, "searching\n").unwrap();
    Users::Search {
        base: "ou=people,dc=example,dc=com".into(),
        filter: "(&(objectClass=inetOrgPerson)(uid={user}))".into(),
        bind_dn: "uid=service,ou=people,dc=example,dc=com".into(),
        password: Reference::File(password),
    }
}

async fn asked(world: &World, method: Method, path: &str, user: &str, password: &str) -> StatusCode {
    let request = world.request(method, path).basic_auth(user, Some(password));
    request.send().await.unwrap().status()
}

async fn listed(world: &World, user: &str, password: &str) -> StatusCode {
    asked(world, Method::GET, "/v1/runs", user, password).await
}

#[tokio::test]
async fn a_user_is_what_the_groups_say_and_those_of_groups() {
    let server = directory();
    let secrets = tempfile::tempdir().unwrap();
    let tls = (server.tls_url(), Some(server.authority()));
    let ways = [(server.url(), None, by_dn()), (tls.0, tls.1, by_search(&secrets))];
    for (url, ca_file, users) in ways {
        let world = World::through(given(url, ca_file, users, true)).await;
        // Of `dataops`, as a scheduler.
        assert_eq!(
            asked(&world, Method::POST, "/v1/pipelines/crm/runs", "ann", "right").await,
            StatusCode::ACCEPTED
        );
        let rows = sealift::govern::audit::entries(&world.ledger, 50).await.unwrap();
        assert!(rows.iter().any(|row| row.actor == "ldap:ann" && row.action == "run.trigger"), "{rows:?}");
        // The same person in capitals; a password is a password.
        assert_eq!(listed(&world, "ANN", "right").await, StatusCode::OK);
        for (user, password) in
            [("ann", "wrong"), ("ann", "RIGHT"), ("ann", ""), ("eve", "right"), ("", "right")]
        {
            assert_eq!(listed(&world, user, password).await, StatusCode::UNAUTHORIZED, "{user} {password}");
        }
        // Somebody who came in is told by name.
        is_told(&world, "address:127.0.0.1", "name or password of ldap user ann").await;
        is_told(&world, "address:127.0.0.1", "name or password of ldap user #").await;
        // Known, and nothing.
        assert_eq!(listed(&world, "bob", "right").await, StatusCode::FORBIDDEN);
        is_told(&world, "ldap:bob", "no role").await;
        for (_, subject) in denials(&world).await {
            assert!(!subject.contains("right") && !subject.contains("RIGHT"), "{subject}");
            assert!(!subject.contains("eve"), "nobody's name may be anything: {subject}");
        }
    }
}

#[tokio::test]
async fn a_token_or_a_password_that_is_sent_for_a_name_is_not_told() {
    let server = directory();
    let secrets = tempfile::tempdir().unwrap();
    for users in [by_dn(), by_search(&secrets)] {
        let world = World::through(given(server.url(), None, users, true)).await;
        // As `curl -u TOKEN:` does it.
        for (user, password) in
            [(world.token.as_str(), ""), ("hunter2-secret", "ann"), ("hunter2-secret", "")]
        {
            assert_eq!(listed(&world, user, password).await, StatusCode::UNAUTHORIZED);
        }
        is_told(&world, "address:127.0.0.1", "a user whose name cannot be one").await;
        is_told(&world, "address:127.0.0.1", "name or password of ldap user #").await;
        for entry in sealift::govern::audit::entries(&world.ledger, 50).await.unwrap() {
            assert!(!entry.subject.contains(&world.token) && !entry.subject.contains("hunter2"), "{entry:?}");
        }
    }
}

#[tokio::test]
async fn groups_of_groups_count_only_where_they_are_meant_to() {
    let server = directory();
    let scheduler = "CN=DataOps, OU=groups, DC=example, DC=com";
    for (nested, expected) in [(true, StatusCode::OK), (false, StatusCode::FORBIDDEN)] {
        let mut entrance = given(server.url(), None, by_dn(), nested);
        entrance.access.ldap.as_mut().unwrap().roles.remove(scheduler);
        let world = World::through(entrance).await;
        assert_eq!(listed(&world, "ann", "right").await, expected, "nested: {nested}");
    }
}

#[tokio::test]
async fn a_name_cannot_break_out_of_filter_or_dn() {
    let server = directory();
    let secrets = tempfile::tempdir().unwrap();
    let names = [
        "*",
        "ann)(uid=*",
        "ann*",
        "*)(objectClass=*",
        "ann,ou=people,dc=example,dc=com",
        "ann+cn=ann",
        "\\61nn",
        "ann\0",
        " ann",
        "ann ",
        "{user}",
    ];
    for users in [by_dn(), by_search(&secrets)] {
        // More of them would be too many for one daemon.
        for some in names.chunks(5) {
            let world = World::through(given(server.url(), None, users.clone(), true)).await;
            for name in some {
                assert_eq!(listed(&world, name, "right").await, StatusCode::UNAUTHORIZED, "{name:?}");
            }
            assert_eq!(listed(&world, "ann", "right").await, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_directory_that_is_down_is_no_reason_to_deny_or_to_let_in() {
    let mut server = directory();
    let world = World::through(given(server.url(), None, by_dn(), true)).await;
    assert_eq!(listed(&world, "ann", "right").await, StatusCode::OK);
    server.stop();
    let answer =
        world.request(Method::GET, "/v1/runs").basic_auth("bob", Some("right")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    // What was right a moment ago still is, and what is wrong is not.
    assert_eq!(listed(&world, "ann", "right").await, StatusCode::OK);
    assert_eq!(listed(&world, "ann", "wrong").await, StatusCode::SERVICE_UNAVAILABLE);
    server.resume();
    assert_eq!(listed(&world, "ann", "wrong").await, StatusCode::UNAUTHORIZED);
    // Nobody it cannot trust is told a password.
    let untrusted = World::through(given(server.tls_url(), None, by_dn(), true)).await;
    assert_eq!(listed(&untrusted, "ann", "right").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_passwords_of_a_user_are_guessed_ten_times_a_minute_and_others_come_in() {
    let server = directory();
    let mut entrance = given(server.url(), None, by_dn(), true);
    let chess = ("cn=chess,ou=groups,dc=example,dc=com".to_owned(), BTreeSet::from([Role::Auditor]));
    entrance.access.ldap.as_mut().unwrap().roles.extend([chess]);
    let world = World::through(entrance).await;
    assert_eq!(listed(&world, "bob", "right").await, StatusCode::OK);
    for _ in 0..10 {
        assert_eq!(listed(&world, "Ann", "wrong").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        listed(&world, "ann", "right").await,
        StatusCode::TOO_MANY_REQUESTS,
        "the password is not tried"
    );
    assert_eq!(listed(&world, "bob", "right").await, StatusCode::OK);
    let token = world.request(Method::GET, "/v1/runs").bearer_auth(&world.token).send().await.unwrap();
    assert_eq!(token.status(), StatusCode::OK);
}

#[tokio::test]
async fn passwords_that_are_guessed_at_once_are_no_more_than_those_one_after_the_other() {
    let server = directory();
    let port = server.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let door = Door::before(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let world = World::through(given(format!("ldap://127.0.0.1:{}", door.port()), None, by_dn(), true)).await;
    let guesses = (0..50).map(|_| listed(&world, "ann", "wrong"));
    let answers = futures::future::join_all(guesses).await;
    let refused = answers.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((refused, door.came()), (40, 10), "{answers:?}");
    assert_eq!(listed(&world, "ann", "right").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(door.came(), 10);
}

#[tokio::test]
async fn who_is_right_comes_in_however_many_do_at_once() {
    let server = directory();
    let world = World::through(given(server.url(), None, by_dn(), true)).await;
    let answers = futures::future::join_all((0..40).map(|_| listed(&world, "ann", "right"))).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
}

#[tokio::test]
async fn a_guess_counts_and_is_told_although_whoever_made_it_hangs_up() {
    let server = directory();
    let port = server.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let door = Door::before(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let world = World::through(given(format!("ldap://127.0.0.1:{}", door.port()), None, by_dn(), true)).await;
    // `ann:wrong`.
    let request = "GET /v1/runs HTTP/1.1\r\nhost: a\r\nauthorization: Basic YW5uOndyb25n\r\n\r\n";
    for guess in 1..=10 {
        let mut stream = TcpStream::connect(world.base.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // Gone while the directory is asked.
        while door.came() < guess {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    is_told(&world, "address:127.0.0.1", "name or password of ldap user #").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // As many as an address has in a minute.
    assert_eq!(listed(&world, "bob", "right").await, StatusCode::TOO_MANY_REQUESTS);
}
