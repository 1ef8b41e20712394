//! Alerts, by webhook and by mail.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use reqwest::Method;
use sealift::error::Error;
use sealift::govern::Store as _;
use sealift::run::ledger::{RunId, StreamOutcome, StreamState, Trigger};
use sealift::serve::Limits;
use sealift::spec::Pipeline;
use sealift::spec::config::{Address, Alert, Channel, Concern, Observability, Webhook};
use serde_json::Value;

use super::{BAD_ROWS, ROWS, ended, holds_no_value, house, port, started};
use crate::house::{House, script};
use crate::serve::world::{Act, World, name, pipeline};
use crate::servers::mail::Mail;
use crate::servers::receiver::{Received, Receiver};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A house with one webhook, signed.
fn alerted(port: u16, receiver: &Receiver) -> House {
    let url = receiver.url("/alerts");
    let webhook = format!("{{url: \"{url}\", token: \"env:ALERT_TOKEN\", secret: \"env:ALERT_SECRET\"}}");
    let mut house = house(port, &format!("alerts:\n  - {{webhook: {webhook}}}"));
    house.env("ALERT_TOKEN", "alert-token-of-tests");
    house.env("ALERT_SECRET", SECRET);
    house
}

/// What an alert says, checked as its receiver would.
fn read(house: &House, received: &Received) -> Value {
    holds_no_value("an alert", &received.body);
    assert_eq!(received.headers["authorization"], "Bearer alert-token-of-tests");
    house.write("out/secret", SECRET);
    house.write("out/headers", &serde_json::to_string(&received.headers).unwrap());
    std::fs::write(house.path("out/body"), &received.body).unwrap();
    let paths = ["out/secret", "out/body", "out/headers"].map(|path| house.path(path));
    let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    script("webhook.py", &paths, &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_hears_of_each_change_once() {
    let (port, receiver) = (port(), Receiver::start().await);
    let mut house = alerted(port, &receiver);
    let daemon = started(&mut house, port).await;
    let people = house.path("in/drops/people.csv");
    house.run(&["trigger", "crm", "--wait"]).expect(0);
    std::fs::remove_file(&people).unwrap();
    // Busy at first, it hears it later.
    receiver.answer_next(503, 2);
    let failed = house.run(&["trigger", "crm", "--wait", "--json"]).summary();
    let again = house.run(&["trigger", "crm", "--wait", "--json"]).summary();
    assert_ne!(failed["run_id"], again["run_id"]);
    receiver.taken("an alert of the failure", |taken| taken.len() == 1).await;
    house.write("in/drops/people.csv", BAD_ROWS);
    house.run(&["trigger", "crm", "--wait"]).expect(0);
    receiver.taken("an alert of quality", |taken| taken.len() == 2).await;
    house.write("in/drops/people.csv", ROWS);
    house.run(&["trigger", "crm", "--wait"]).expect(0);
    house.run(&["trigger", "held", "--wait"]).expect(76);
    let taken = receiver.taken("four alerts", |taken| taken.len() >= 4).await;
    let alerts: Vec<Value> = taken.iter().map(|it| read(&house, it)).collect();
    let kinds: Vec<&str> = alerts.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pipeline.failed", "pipeline.quality", "pipeline.recovered", "pipeline.held"]);
    let first = &alerts[0]["data"];
    assert_eq!((&first["pipeline"], &first["owner"]), (&"crm".into(), &"tests".into()));
    assert_eq!(first["run"]["run_id"], failed["run_id"]);
    assert!(first["run"]["error"].is_string());
    assert_eq!(alerts[1]["data"]["run"]["quarantined_rows"], 1);
    assert_eq!(alerts[2]["data"]["was"], "quality");
    // Sent again it had the same id.
    let ids: Vec<_> = receiver.received().iter().map(|it| it.headers["webhook-id"].clone()).collect();
    assert_eq!(ids[0], ids[1]);
    ended(&house, daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_delivered_survives_the_daemon() {
    let (port, receiver) = (port(), Receiver::start().await);
    let mut house = alerted(port, &receiver);
    let daemon = started(&mut house, port).await;
    receiver.answer_next(503, 10_000);
    let held = house.run(&["trigger", "held", "--wait", "--json"]).summary();
    let said = ended(&house, daemon);
    holds_no_value("a log line", said.as_bytes());
    // Of a run beside the daemon it hears too.
    std::fs::remove_file(house.path("in/drops/people.csv")).unwrap();
    let failed = house.run(&["sync", "crm", "--json"]).summary();
    receiver.answer_well();
    let daemon = started(&mut house, port).await;
    let taken = receiver.taken("two alerts", |taken| taken.len() >= 2).await;
    let of: Vec<Value> = taken.iter().map(|it| read(&house, it)["data"]["run"]["run_id"].clone()).collect();
    assert_eq!(of, [held["run_id"].clone(), failed["run_id"].clone()]);
    ended(&house, daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_hear_of_it_by_mail() {
    let (port, open, closed) = (port(), Mail::start(), Mail::start_tls());
    let config = format!(
        "alerts:\n  \
         - {{on: [held], email: {{smtp: {{host: localhost, port: {}, user: sealift, password: \"env:MAIL_PASSWORD\"}}, \
         from: \"Sealift <sealift@example.org>\", to: [gone@example.org, ops@example.org, dpo@example.org]}}}}\n  \
         - {{on: [held, failed], pipelines: [\"c*\"], email: {{smtp: {{host: 127.0.0.1, port: {}, tls: disable}}, \
         from: sealift@example.org, to: [crm@example.org]}}}}",
        closed.port, open.port
    );
    let mut house = house(port, &config);
    house.env("MAIL_PASSWORD", "mail-password-of-tests");
    house.env("SSL_CERT_FILE", closed.authority().to_str().unwrap());
    let daemon = started(&mut house, port).await;
    house.run(&["trigger", "held", "--wait"]).expect(76);
    std::fs::remove_file(house.path("in/drops/people.csv")).unwrap();
    house.run(&["trigger", "crm", "--wait"]);
    // Who is unknown to the server keeps it from nobody else.
    let mut mails = closed.mails(2).await;
    mails.sort_by_key(|mail| mail["to"].to_string());
    assert_eq!(
        (&mails[0]["to"][0], &mails[1]["to"][0]),
        (&"dpo@example.org".into(), &"ops@example.org".into())
    );
    let mail = mails.remove(0);
    assert_eq!((&mail["tls"], &mail["login"]), (&true.into(), &"sealift".into()), "{mail}");
    assert!(mail["headers"]["To"].as_str().unwrap().contains("ops@example.org"), "{mail}");
    assert_eq!(mail["headers"]["Subject"], "Sealift: held is held");
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("pipeline     held") && text.contains("owner        tests"), "{text}");
    holds_no_value("a mail", mail.to_string().as_bytes());
    let other = open.mails(1).await.remove(0);
    assert_eq!((&other["tls"], &other["headers"]["Subject"]), (&false.into(), &"Sealift: crm failed".into()));
    ended(&house, daemon);
    assert_eq!(
        (closed.mails(2).await.len(), open.mails(1).await.len()),
        (2, 1),
        "each hears what it asked for"
    );
}

/// A world that tells a receiver of these concerns.
async fn telling(
    acts: &[(&'static str, Act)],
    pipelines: Vec<Pipeline>,
    on: &[Concern],
    urls: &[String],
) -> World {
    let alert = |url: &String| Alert {
        on: on.to_vec(),
        pipelines: vec!["*".into()],
        late_after: Duration::from_secs(30 * 60),
        channel: Channel::Webhook(Webhook {
            url: Address::Written(Address::read(url).unwrap()),
            token: None,
            secret: None,
        }),
    };
    let told = Observability { alerts: urls.iter().map(alert).collect(), ..Observability::default() };
    World::telling(acts, pipelines, Limits::default(), Duration::from_secs(60), told).await
}

fn at(hour: u32, minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 3, hour, minute, 0).unwrap()
}

/// Kinds of alerts, and whom they are about.
fn told(taken: &[Received]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    taken
        .iter()
        .map(|it| it.json())
        .map(|alert| (text(&alert["type"]), text(&alert["data"]["pipeline"])))
        .collect()
}

/// Records a run of another process that is over.
async fn end(world: &World, result: Result<(), Error>, quarantined: u64) -> RunId {
    let run_id = world.ledger.queue(&name("crm"), "d", Trigger::Cli).await.unwrap();
    world.ledger.start(&run_id).await.unwrap();
    let outcome = StreamOutcome {
        receipt: None,
        stream: "people".into(),
        dataset: "crm.people".into(),
        version: Some(0),
        rows: 7,
        quarantined,
        bytes: 70,
        seconds: 0.25,
        state: StreamState::Published,
    };
    world.ledger.stream_published(&run_id, &outcome).await.unwrap();
    world.ledger.conclude(&run_id, &result).await.unwrap();
    run_id
}

#[tokio::test]
async fn a_receiver_of_failures_alone_hears_of_each_whatever_else_there_is_and_whatever_clocks_say() {
    let receiver = Receiver::start().await;
    let crm = vec![pipeline("crm", None)];
    let world = telling(&[], crm, &[Concern::Failed], &[receiver.url("/")]).await;
    let failed = || Err(Error::failed("the disk is full"));
    // Who ran it had a clock that was ahead by years.
    end(&world, failed(), 0).await;
    sqlx::query("UPDATE runs SET created_ms = created_ms * 2, finished_ms = finished_ms * 2")
        .execute(world.ledger.pool())
        .await
        .unwrap();
    receiver.taken("the failure", |taken| taken.len() == 1).await;
    // A row in the quarantine is not what it wants to hear of: the run succeeded.
    end(&world, Ok(()), 1).await;
    receiver.taken("the end of it", |taken| taken.len() == 2).await;
    end(&world, failed(), 0).await;
    let taken = receiver.taken("the next failure", |taken| taken.len() >= 3).await;
    let kinds: Vec<String> = told(&taken).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["pipeline.failed", "pipeline.recovered", "pipeline.failed"]);
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [format!("http://{}/", silent.local_addr().unwrap()), receiver.url("/")];
    let acts = [("first", Act::BeHeld), ("second", Act::BeHeld)];
    let pipelines = vec![pipeline("first", None), pipeline("second", None)];
    let world = telling(&acts, pipelines, &[Concern::Held], &urls).await;
    world.trigger("first").await;
    receiver.taken("the first alert", |taken| taken.len() == 1).await;
    let begun = std::time::Instant::now();
    world.trigger("second").await;
    receiver.taken("the second alert", |taken| taken.len() == 2).await;
    assert!(
        begun.elapsed() < Duration::from_secs(7),
        "an attempt may take ten seconds: {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn what_rests_or_was_not_there_when_it_would_have_been_due_is_not_late() {
    let receiver = Receiver::start().await;
    let hourly = |name| pipeline(name, Some("0 * * * *"));
    let acts = [("crm", Act::WaitForGo), ("rests", Act::Publish), ("new", Act::Publish)];
    let pipelines = vec![hourly("crm"), hourly("rests")];
    let mut world = telling(&acts, pipelines, &[Concern::Late], &[receiver.url("/")]).await;
    let dispatcher = world.daemon.as_ref().unwrap().dispatcher().clone();
    dispatcher.pause(&name("rests"), "token:ops").await.unwrap();
    world.clock.0.send_replace(at(13, 0));
    world.started.recv().await.unwrap();
    world.clock.0.send_replace(at(14, 10));
    let taken = receiver.taken("an alert", |taken| !taken.is_empty()).await;
    assert_eq!(told(&taken), [("pipeline.late".to_owned(), "crm".to_owned())]);
    // It would have been due an hour ago.
    let next = [hourly("crm"), hourly("rests"), pipeline("new", Some("0 13 * * *"))];
    world.registry.replace(next.into_iter().map(|one| (one.name.clone(), Arc::new(one))).collect());
    while !world.ledger.schedules().await.unwrap().contains_key("new") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    dispatcher.resume(&name("rests"), "token:ops").await.unwrap();
    // Two looks of the watch.
    tokio::time::sleep(Duration::from_secs(11)).await;
    world.clock.0.send_replace(at(14, 12));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let taken = receiver.taken("the same alert", |taken| !taken.is_empty()).await;
    assert_eq!(told(&taken), [("pipeline.late".to_owned(), "crm".to_owned())]);
}

#[tokio::test]
async fn a_pipeline_that_has_not_succeeded_in_time_is_late_until_it_does() {
    let receiver = Receiver::start().await;
    let crm = vec![pipeline("crm", Some("0 * * * *"))];
    let mut world = telling(&[("crm", Act::WaitForGo)], crm, &[Concern::Late], &[receiver.url("/")]).await;
    world.clock.0.send_replace(at(13, 0));
    world.started.recv().await.unwrap();
    world.clock.0.send_replace(at(13, 29));
    world.clock.0.send_replace(at(13, 31));
    let taken = receiver.taken("an alert", |taken| !taken.is_empty()).await;
    assert_eq!(taken[0].json()["type"], "pipeline.late");
    assert_eq!(taken[0].json()["data"]["due_at"], "2026-11-03T13:00:00.000Z");
    let (_, runs) = world.ask(Method::GET, "/v1/runs").await;
    world.go.add_permits(1);
    world.over(runs["runs"][0]["run_id"].as_str().unwrap()).await;
    let taken = receiver.taken("its end", |taken| taken.len() >= 2).await;
    assert_eq!(taken[1].json()["type"], "pipeline.recovered");
    assert_eq!(taken[1].json()["data"]["was"], "late");
}
