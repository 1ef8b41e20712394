//! TLS: the daemon's certificate, and those of clients.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode};
use sealift::govern::Role;
use sealift::secret::Reference;
use sealift::serve::Entrance;
use sealift::spec::listen::{Clients, Tls};
use tempfile::TempDir;

use super::{PATIENCE, is_told};
use crate::house::House;
use crate::serve::world::World;
use crate::servers::postgres::{certificates, issue};

/// An authority, and a certificate of the daemon.
fn made() -> TempDir {
    let folder = tempfile::Builder::new().prefix("sealift-tls-").tempdir().unwrap();
    certificates(folder.path(), "DNS:localhost,IP:127.0.0.1");
    folder
}

fn entrance(folder: &TempDir, clients: Option<bool>) -> Entrance {
    let path = |name: &str| folder.path().join(name);
    let roles = [
        ("uri:spiffe://bank.example/airflow", Role::Scheduler),
        ("dns:etl.example.com", Role::Engineer),
        ("cn:ann", Role::Auditor),
    ];
    let clients = clients.map(|is_required| Clients {
        ca_file: path("ca.pem"),
        is_required,
        roles: roles.iter().map(|(name, role)| ((*name).to_owned(), BTreeSet::from([*role]))).collect(),
    });
    let tls = Tls { certificate: path("server.pem"), key: Reference::File(path("server.key")), clients };
    Entrance { tls: Some(tls), ..Entrance::default() }
}

/// A client that trusts the authority, with a certificate of its own, and a connection for each request.
fn client(folder: &TempDir, name: Option<&str>) -> Client {
    trusting(folder, name).pool_max_idle_per_host(0).build().unwrap()
}

/// The same, with connections that are used again.
fn trusting(folder: &TempDir, name: Option<&str>) -> ClientBuilder {
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let mut builder = Client::builder()
        .use_rustls_tls()
        .no_proxy()
        .tls_built_in_root_certs(false)
        .add_root_certificate(Certificate::from_pem(&read("ca.pem")).unwrap());
    if let Some(name) = name {
        let pem = [read(&format!("{name}.key")), read(&format!("{name}.pem"))].concat();
        builder = builder.identity(Identity::from_pem(&pem).unwrap());
    }
    builder
}

async fn asked(world: &World, client: &Client, token: Option<&str>) -> Option<StatusCode> {
    let mut request = client.get(format!("{}/v1/runs", world.base));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.ok().map(|answer| answer.status())
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says_and_a_token_goes_before_it() {
    let folder = made();
    let names = [
        ("airflow", "/CN=ann", "subjectAltName=URI:spiffe://bank.example/airflow", StatusCode::OK),
        ("etl", "/CN=whoever", "subjectAltName=DNS:other.example.com,DNS:ETL.example.com", StatusCode::OK),
        ("ann", "/CN=ann", "", StatusCode::OK),
        ("bob", "/CN=bob", "subjectAltName=email:ann@example.com", StatusCode::FORBIDDEN),
    ];
    let world = World::through(entrance(&folder, Some(false))).await;
    for (name, subject, extensions, expected) in names {
        issue(folder.path(), name, subject, extensions, 2);
        assert_eq!(asked(&world, &client(&folder, Some(name)), None).await, Some(expected), "{name}");
    }
    is_told(&world, "cert:email:ann@example.com", "no role").await;
    let trigger = client(&folder, Some("airflow")).post(format!("{}/v1/pipelines/crm/runs", world.base));
    assert_eq!(trigger.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let rows = sealift::govern::audit::entries(&world.ledger, 50).await.unwrap();
    let actor = "cert:uri:spiffe://bank.example/airflow";
    assert!(rows.iter().any(|row| row.actor == actor && row.action == "run.trigger"), "{rows:?}");

    // Without one, a token; with a wrong token, nothing.
    let plain = client(&folder, None);
    assert_eq!(asked(&world, &plain, None).await, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(asked(&world, &plain, Some(&world.token)).await, Some(StatusCode::OK));
    let ann = client(&folder, Some("ann"));
    assert_eq!(asked(&world, &ann, Some("sl_wrong")).await, Some(StatusCode::UNAUTHORIZED));
    // Plain HTTP is not answered.
    assert!(Client::new().get(world.base.replace("https", "http")).send().await.is_err());
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_certificate_of_a_browser() {
    let folder = made();
    issue(folder.path(), "airflow", "/CN=x", "subjectAltName=URI:spiffe://bank.example/airflow", 2);
    let world = World::through(entrance(&folder, Some(false))).await;
    let pause = |headers: &[(&str, &str)]| {
        let path = format!("{}/v1/pipelines/crm/pause", world.base);
        let request = client(&folder, Some("airflow")).post(path);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(pause(&[foreign]).send().await.unwrap().status(), StatusCode::FORBIDDEN, "{foreign:?}");
        // A token is sent by who has it.
        let with_token = pause(&[foreign]).bearer_auth(&world.token).send().await.unwrap();
        assert_eq!(with_token.status(), StatusCode::OK);
    }
    is_told(&world, "cert:uri:spiffe://bank.example/airflow", "for a page of another site").await;
    for ours in [&[][..], &[("origin", world.base.as_str())], &[("sec-fetch-site", "same-origin")]] {
        assert_eq!(pause(ours).send().await.unwrap().status(), StatusCode::OK, "{ours:?}");
    }
}

#[tokio::test]
async fn an_authority_that_is_trusted_no_longer_ends_the_connections_of_its_clients() {
    let folder = made();
    issue(folder.path(), "airflow", "/CN=x", "subjectAltName=URI:spiffe://bank.example/airflow", 2);
    let world = World::through(entrance(&folder, Some(false))).await;
    let kept = trusting(&folder, Some("airflow")).build().unwrap();
    // Read to its end, so that the connection is used again.
    let ask = async || {
        let answer = kept.get(format!("{}/v1/runs", world.base)).send().await.ok()?;
        let status = answer.status();
        answer.bytes().await.ok().map(|_| status)
    };
    assert_eq!(ask().await, Some(StatusCode::OK));
    fs::copy(made().path().join("ca.pem"), folder.path().join("ca.pem")).unwrap();
    let begun = Instant::now();
    while ask().await == Some(StatusCode::OK) {
        assert!(begun.elapsed() < PATIENCE, "its connection is good for as long as it is used");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn the_health_of_a_daemon_that_lets_nobody_in_without_a_certificate_is_told_to_who_has_one() {
    let folder = made();
    issue(folder.path(), "probe", "/CN=probe", "", 2);
    let path = |name: &str| folder.path().join(name);
    let both = [fs::read(path("probe.key")).unwrap(), fs::read(path("probe.pem")).unwrap()].concat();
    fs::write(path("both.pem"), both).unwrap();
    let world = World::through(entrance(&folder, Some(true))).await;
    let url = world.base.clone();
    let ca_file = path("ca.pem").display().to_string();
    let certificate = path("both.pem").display().to_string();
    // The program blocks this thread's runtime no longer than the daemon may.
    tokio::task::spawn_blocking(move || {
        let house = House::new();
        let health = ["health", "--url", &url, "--ca-file", &ca_file];
        house.run(&health).expect(69);
        house.run(&[&health[..], &["--client-certificate", &certificate]].concat()).expect(0);
        house.run(&[&health[..], &["--client-certificate", "missing.pem"]].concat()).expect(78);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_expired_and_a_foreign_certificate_fail_the_handshake_and_are_told_of() {
    let folder = made();
    let foreign = made();
    issue(folder.path(), "late", "/CN=ann", "", -1);
    issue(folder.path(), "server-only", "/CN=ann", "extendedKeyUsage=serverAuth", 2);
    issue(foreign.path(), "stranger", "/CN=ann", "", 2);
    for ending in ["pem", "key"] {
        let name = format!("stranger.{ending}");
        fs::copy(foreign.path().join(&name), folder.path().join(&name)).unwrap();
    }
    for is_required in [false, true] {
        let world = World::through(entrance(&folder, Some(is_required))).await;
        for (name, why) in [
            ("late", "it has expired"),
            // Of another authority with the name of ours.
            ("stranger", "its signature is wrong"),
            ("server-only", "it is not for clients"),
        ] {
            assert_eq!(asked(&world, &client(&folder, Some(name)), Some(&world.token)).await, None, "{name}");
            is_told(&world, "address:127.0.0.1", why).await;
        }
        let without = asked(&world, &client(&folder, None), Some(&world.token)).await;
        assert_eq!(without, if is_required { None } else { Some(StatusCode::OK) });
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let folder = made();
    let world = World::through(entrance(&folder, None)).await;
    let old = client(&folder, None);
    assert_eq!(asked(&world, &old, Some(&world.token)).await, Some(StatusCode::OK));
    // A broken one first: what was in use stays.
    let path = |name: &str| folder.path().join(name);
    fs::write(path("server.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(asked(&world, &old, Some(&world.token)).await, Some(StatusCode::OK));

    let renewed = made();
    for name in ["server.key", "server.pem", "ca.pem"] {
        fs::copy(renewed.path().join(name), path(name)).unwrap();
    }
    let new = client(&folder, None);
    let begun = Instant::now();
    while asked(&world, &new, Some(&world.token)).await != Some(StatusCode::OK) {
        assert!(begun.elapsed() < PATIENCE, "the certificate is not read again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(asked(&world, &old, Some(&world.token)).await, None, "the old authority has not signed it");
}

#[tokio::test]
async fn a_job_asks_a_daemon_over_tls_with_a_private_authority_and_with_a_certificate() {
    let folder = made();
    issue(folder.path(), "airflow", "/CN=x", "subjectAltName=URI:spiffe://bank.example/airflow", 2);
    let path = |name: &str| folder.path().join(name);
    let both = [fs::read(path("airflow.key")).unwrap(), fs::read(path("airflow.pem")).unwrap()].concat();
    fs::write(path("both.pem"), both).unwrap();
    let world = World::through(entrance(&folder, Some(false))).await;
    let (url, token) = (world.base.clone(), world.token.clone());
    let ca_file = path("ca.pem").display().to_string();
    let certificate = path("both.pem").display().to_string();
    // The program blocks this thread's runtime no longer than the daemon may.
    tokio::task::spawn_blocking(move || {
        let mut house = House::new();
        house.env("SEALIFT_URL", &url);
        house.env("SEALIFT_CA_FILE", &ca_file);
        house.run(&["trigger", "crm"]).expect(78);
        house.run(&["trigger", "crm", "--wait", "--client-certificate", &certificate]).expect(0);
        house.env("SEALIFT_TOKEN", &token);
        house.run(&["trigger", "crm", "--wait"]).expect(0);
        house.run(&["trigger", "crm", "--ca-file", "missing.pem"]).expect(78);
        house.run(&["trigger", "crm", "--ca-file", &ca_file, "--url", "https://127.0.0.1:1"]).expect(69);
    })
    .await
    .unwrap();
}
