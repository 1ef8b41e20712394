//! What is too much, malformed or too slow is refused, while others are served.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use sealift::govern::{Role, token};
use sealift::serve::{Bounds, Entrance, Limits};
use sealift::spec::config::Runs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;
use crate::serve::world::{Act, World};

async fn bounded() -> World {
    let bounds = Bounds {
        connections: 24,
        handshake: Duration::from_secs(1),
        headers: Duration::from_secs(1),
        body: Duration::from_secs(1),
        ..Bounds::default()
    };
    World::through(Entrance { bounds, ..Entrance::default() }).await
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.base.trim_start_matches("http://")).await.unwrap()
}

/// Sends this, and gives what comes back until the connection is closed.
async fn said(world: &World, bytes: &[u8]) -> String {
    let mut stream = connect(world).await;
    // It may be closed before all is sent.
    let _ = stream.write_all(bytes).await;
    heard(&mut stream).await
}

/// What comes until the connection is closed, which it must be.
async fn heard(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open after {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

async fn serves_others(world: &World) {
    assert_eq!(world.ask(Method::GET, "/v1/runs").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_too_much_or_malformed_is_refused() {
    let world = bounded().await;
    let long = format!("GET /v1/runs HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    let many = format!("GET /v1/runs HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(64 << 10));
    for (what, request, expected) in [
        ("a long header", long.as_str(), &["431"][..]),
        ("many headers", &many, &["431"]),
        ("a long path", &long_path, &["414", "431"]),
        ("no HTTP", "\u{16}\u{3}\u{1}garbage\r\n\r\n", &["400"]),
        ("a bad version", "GET / HTTP/9.9\r\n\r\n", &["400"]),
        (
            "two lengths",
            "POST /v1/runs HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            &["400"],
        ),
    ] {
        let answer = said(&world, request.as_bytes()).await;
        let is_refused = expected.iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")));
        assert!(is_refused, "{what}: {answer:?}");
        serves_others(&world).await;
    }
    // Not spoken here, and hung up on.
    assert_eq!(said(&world, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "");
    serves_others(&world).await;
    // With and without a length told.
    let head = format!(
        "POST /v1/pipelines/crm/runs HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nconnection: close\r\n",
        world.token
    );
    let large = format!("{head}content-length: 1000000000\r\n\r\n");
    assert!(said(&world, large.as_bytes()).await.starts_with("HTTP/1.1 413"));
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let answer = said(&world, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    serves_others(&world).await;
}

#[tokio::test]
async fn who_may_not_write_is_told_so_before_a_document_is_read() {
    let world = bounded().await;
    let token = token::create(&world.ledger, "os:0", "reader", Role::Modeler, None).await.unwrap();
    for asked in ["PUT /v1/pipelines/crm", "POST /v1/pipelines/validate"] {
        // The document never comes.
        let head = format!(
            "{asked} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nconnection: close\r\ncontent-length: 9\r\n\r\n",
            token.expose_str().unwrap()
        );
        let answer = said(&world, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{asked}: {answer}");
    }
}

#[tokio::test]
async fn who_is_slow_is_sent_away_while_others_are_served() {
    let world = bounded().await;
    // Headers that never end, on many connections.
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut stream = connect(&world).await;
        stream.write_all(b"GET /v1/runs HTTP/1.1\r\nx-slow: ").await.unwrap();
        slow.push(stream);
    }
    serves_others(&world).await;
    for stream in &mut slow {
        heard(stream).await;
    }
    // A connection that says nothing at all, and one that says nothing more.
    assert_eq!(said(&world, b"").await, "");
    let request =
        format!("GET /v1/runs HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", world.token);
    assert!(said(&world, request.as_bytes()).await.starts_with("HTTP/1.1 200"));

    // A body that trickles.
    let mut stream = connect(&world).await;
    let head = format!(
        "POST /v1/pipelines/crm/runs HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n",
        world.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while to.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(PATIENCE, from.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    serves_others(&world).await;
    tokio::time::timeout(PATIENCE, trickle).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so_and_there_is_room_again_later() {
    let world = bounded().await;
    let mut kept = Vec::new();
    for _ in 0..24 {
        kept.push(connect(&world).await);
    }
    let mut refused = 0;
    for _ in 0..8 {
        refused += u32::from(heard(&mut connect(&world).await).await.starts_with("HTTP/1.1 503"));
    }
    assert!(refused > 0);
    drop(kept);
    let begun = Instant::now();
    loop {
        let answer = world.request(Method::GET, "/v1/runs").bearer_auth(&world.token).send().await;
        if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_again_while_others_are_served() {
    let number = |number| NonZeroU32::new(number).unwrap();
    let bounds = Bounds { per_second: number(1), burst: number(4), ..Bounds::default() };
    let world = World::within(&[], bounds, Limits::default()).await;
    let asked = (0..64).map(|_| world.request(Method::GET, "/v1/runs").bearer_auth(&world.token).send());
    let answers = try_join_all(asked).await.unwrap();
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status() == StatusCode::OK);
    assert!(served.len() >= 4 && !refused.is_empty(), "{} were served", served.len());
    for answer in refused {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(header("retry-after"), "1");
        assert_eq!(header("ratelimit-policy"), "\"caller\";q=4;w=4");
        assert_eq!(header("content-type"), "application/problem+json");
    }
    let other = token::create(&world.ledger, "os:0", "control-m", Role::Scheduler, None).await.unwrap();
    let other = other.expose_str().unwrap().to_owned();
    let answer = world.request(Method::GET, "/v1/runs").bearer_auth(other).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn requests_beyond_the_bound_are_told_so_and_there_is_room_again_later() {
    let bounds = Bounds { requests: 2, ..Bounds::default() };
    let world = World::within(&[("crm", Act::WaitForGo)], bounds, Limits::default()).await;
    let run = world.trigger("crm").await;
    let waiting = format!("/v1/runs/{run}?wait=25");
    let waits = async || {
        loop {
            // It may itself be the one too many.
            let (status, _) = world.ask(Method::GET, &waiting).await;
            if status != StatusCode::SERVICE_UNAVAILABLE {
                return status;
            }
        }
    };
    let refused = async {
        let begun = Instant::now();
        loop {
            let (status, told) = world.ask(Method::GET, "/v1/runs").await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                world.go.add_permits(1);
                return told;
            }
            assert!(begun.elapsed() < PATIENCE);
        }
    };
    let (one, other, told) = tokio::join!(waits(), waits(), refused);
    assert_eq!(
        (one, other, &told["type"]),
        (StatusCode::OK, StatusCode::OK, &"urn:sealift:problem:busy".into())
    );
    serves_others(&world).await;
}

#[tokio::test]
async fn runs_beyond_those_that_may_wait_are_refused_and_taken_later() {
    let runs = Runs { at_once: 1, waiting: 1 };
    let acts = [("a", Act::WaitForGo), ("b", Act::WaitForGo), ("c", Act::WaitForGo)];
    let limits = Limits { runs, ..Limits::default() };
    let mut world = World::within(&acts, Bounds::default(), limits).await;
    world.trigger("a").await;
    world.started.recv().await.unwrap();
    world.trigger("b").await;
    let (status, told) = world.ask(Method::POST, "/v1/pipelines/c/runs").await;
    assert_eq!(
        (status, &told["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"urn:sealift:problem:full".into())
    );
    world.go.add_permits(3);
    world.started.recv().await.unwrap();
    world.trigger("c").await;
}
