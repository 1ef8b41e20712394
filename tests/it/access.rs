//! Who is let in by the daemon, who is not, and that the trail tells of it.

mod bounds;
mod certificates;
mod ldap;
mod oidc;
mod roles;

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use sealift::govern::token::{self, Terms};
use sealift::govern::{Role, Scope, audit};
use serde_json::Value;

use crate::house::House;
use crate::serve::world::{Act, World};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the trail holds of logins and requests that were denied, newest first: who and what.
async fn denials(world: &World) -> Vec<(String, String)> {
    let entries = audit::entries(&world.ledger, 200).await.unwrap();
    let denials = entries
        .into_iter()
        .filter(|entry| matches!(entry.action.as_str(), "login" | "request") && entry.outcome == "denied");
    denials.map(|entry| (entry.actor, entry.subject)).collect()
}

/// Whether the trail tells of a denial, once it does.
async fn is_told(world: &World, actor: &str, words: &str) {
    let begun = Instant::now();
    loop {
        let denials = denials(world).await;
        if denials.iter().any(|(who, what)| who == actor && what.contains(words)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing of {actor} {words}: {denials:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn status(world: &World, path: &str, token: &str) -> StatusCode {
    world.request(Method::GET, path).bearer_auth(token).send().await.unwrap().status()
}

#[tokio::test]
async fn an_unknown_an_expired_and_a_revoked_token_are_denied_alike_and_told_apart_in_the_trail() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let past = Some(chrono::DateTime::UNIX_EPOCH);
    let expired = token::create(&world.ledger, "os:0", "old", Role::Admin, past).await.unwrap();
    let revoked = token::create(&world.ledger, "os:0", "gone", Role::Admin, None).await.unwrap();
    token::revoke(&world.ledger, "os:0", "gone").await.unwrap();
    let mut answers = Vec::new();
    for wrong in [expired.expose_str().unwrap(), revoked.expose_str().unwrap(), "sl_unknown", "a.b.c"] {
        let answer = world.request(Method::GET, "/v1/runs").bearer_auth(wrong).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(answer.headers().contains_key("www-authenticate"));
        answers.push(answer.json::<Value>().await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let from_here = "address:127.0.0.1";
    for words in
        ["token old, which has expired", "token gone, which was revoked", "nobody has", "none of ours"]
    {
        is_told(&world, from_here, words).await;
    }
    assert_eq!(
        world.request(Method::GET, "/v1/runs").send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    is_told(&world, from_here, "nothing that tells who it is").await;
    for entry in audit::entries(&world.ledger, 200).await.unwrap() {
        assert!(!entry.subject.contains("sl_"), "{}", entry.subject);
    }
}

#[tokio::test]
async fn a_revocation_is_heeded_within_its_bound_also_by_who_listens() {
    let world = World::new(&[("crm", Act::WaitForGo)]).await;
    let run_id = world.trigger("crm").await;
    let listener = token::create(&world.ledger, "os:0", "listener", Role::Modeler, None).await.unwrap();
    let events = world.request(Method::GET, &format!("/v1/runs/{run_id}/events"));
    let mut events = events.bearer_auth(listener.expose_str().unwrap()).send().await.unwrap();
    assert_eq!(events.status(), StatusCode::OK);
    assert_eq!(status(&world, "/v1/runs", &world.token).await, StatusCode::OK);
    let revoked = Instant::now();
    for name in ["airflow", "listener"] {
        token::revoke(&world.ledger, "os:0", name).await.unwrap();
    }
    while status(&world, "/v1/runs", &world.token).await == StatusCode::OK {
        assert!(revoked.elapsed() < Duration::from_secs(10), "5 seconds, and some for a busy machine");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let to_its_end = async { while events.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), to_its_end).await.expect("the events go on");
    is_told(&world, "address:127.0.0.1", "token listener, which was revoked").await;
    world.go.add_permits(1);
}

#[tokio::test]
async fn who_comes_in_is_told_once_with_role_and_place() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    for _ in 0..5 {
        assert_eq!(status(&world, "/v1/runs", &world.token).await, StatusCode::OK);
    }
    let entries = audit::entries(&world.ledger, 10).await.unwrap();
    let logins: Vec<_> = entries.iter().filter(|entry| entry.action == "login").collect();
    assert_eq!(logins.len(), 1, "{logins:?}");
    assert_eq!(
        (logins[0].actor.as_str(), logins[0].outcome.as_str(), logins[0].subject.as_str()),
        ("token:airflow", "done", "scheduler from 127.0.0.1")
    );
}

#[tokio::test]
async fn a_token_for_some_pipelines_deals_with_no_other() {
    let world = World::new(&[("crm_eu", Act::Publish), ("hr", Act::Publish)]).await;
    let terms = Terms { role: Role::Scheduler, scope: Scope::of(&["crm_*"]).unwrap(), expires_at: None };
    let secret = token::create_with(&world.ledger, "os:0", "narrow", &terms).await.unwrap();
    let trigger = async |pipeline: &str| {
        let path = format!("/v1/pipelines/{pipeline}/runs");
        let sent = world.request(Method::POST, &path).bearer_auth(secret.expose_str().unwrap()).send();
        sent.await.unwrap().status()
    };
    assert_eq!(trigger("crm_eu").await, StatusCode::ACCEPTED);
    assert_eq!(trigger("hr").await, StatusCode::FORBIDDEN);
    is_told(&world, "token:narrow", "POST /v1/pipelines/hr/runs").await;
    let hidden = world.trigger("hr").await;
    let token = secret.expose_str().unwrap();
    for (path, expected) in [
        ("/v1/runs?pipeline=crm_eu".to_owned(), StatusCode::OK),
        ("/v1/runs?pipeline=hr".to_owned(), StatusCode::FORBIDDEN),
        ("/v1/runs".to_owned(), StatusCode::FORBIDDEN),
        (format!("/v1/runs/{hidden}"), StatusCode::FORBIDDEN),
        ("/metrics".to_owned(), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(status(&world, &path, token).await, expected, "{path}");
    }
    let listed = world.request(Method::GET, "/v1/pipelines").bearer_auth(token).send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    let names: Vec<_> = listed["pipelines"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["crm_eu"]);
}

#[tokio::test]
async fn guessing_is_throttled_and_what_is_right_is_let_in_all_the_while() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let mut refused = Vec::new();
    for number in 0..40 {
        let token = format!("sl_guess{number}");
        let answer = world.request(Method::GET, "/v1/runs").bearer_auth(token).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=61).contains(&seconds), "{seconds}");
            assert_eq!(answer.json::<Value>().await.unwrap()["type"], "urn:sealift:problem:throttled");
            refused.push(number);
        } else {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(refused.first(), Some(&10), "{refused:?}");
    assert_eq!(status(&world, "/v1/runs", &world.token).await, StatusCode::OK);
    is_told(&world, "address:127.0.0.1", "too many attempts").await;
    let denials = denials(&world).await;
    assert!(denials.len() < 10, "40 denials fill the trail: {denials:?}");
}

#[test]
fn tokens_are_made_listed_and_revoked_by_command() {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}");
    let made = house.json(&["token", "create", "airflow", "--role", "scheduler", "--pipeline", "crm_*"], 0);
    let text = made["token"].as_str().unwrap().to_owned();
    assert!(made["expires_at"].is_string(), "a token ends by itself unless somebody says otherwise: {made}");
    assert_eq!(made["pipelines"][0], "crm_*");
    let made = house.json(&["token", "create", "robot", "--role", "auditor", "--expires", "never"], 0);
    assert!(made["expires_at"].is_null(), "{made}");
    house.run(&["token", "create", "x", "--role", "auditor", "--expires", "soon"]).expect(2);
    house.run(&["token", "create", "x", "--role", "auditor", "--pipeline", "["]).expect(2);
    house.run(&["token", "create", "x", "--role", "king"]).expect(2);
    house.run(&["token", "revoke", "nobody"]).expect(2);
    house.run(&["token", "revoke", "robot"]).expect(0);
    let listed = house.json(&["token", "list"], 0);
    let names: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["airflow", "robot"]);
    assert!(listed["tokens"][1]["revoked_at"].is_string(), "{listed}");
    let shown = house.run(&["token", "list"]);
    assert!(shown.expect(0).stdout.contains("crm_*") && !shown.stdout.contains(&text), "{shown:?}");
}

#[test]
fn an_address_that_others_reach_needs_tls_or_a_word_for_it() {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}");
    house.config_listening("", "", "listen: {http: \"0.0.0.0:8470\"}");
    let refused = house.run(&["validate"]);
    assert!(
        refused.expect(78).stderr.contains("sealift.yaml:") && refused.stderr.contains("TLS"),
        "{refused:?}"
    );
    house.config_listening("", "", "listen: {http: \"0.0.0.0:8470\", plaintext_allowed: true}");
    assert!(!house.run(&["validate"]).stderr.contains("TLS"));
    house.config_listening(
        "",
        "",
        "listen: {http: \"0.0.0.0:8470\", tls: {certificate: server.pem, key: \"env:KEY\"}, plaintext_allowed: true}",
    );
    assert!(house.run(&["validate"]).expect(78).stderr.contains("plaintext_allowed"));
}
