//! The daemon over real HTTP on loopback, with a runner that does as the test says.

pub(crate) mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeZone, Utc};
use reqwest::{Method, StatusCode};
use sealift::error::Kind;
use sealift::govern::{Permission, Role, audit, token};
use sealift::run::ledger::{Order, RequestKey, RunId, State, Trigger, Under};
use sealift::serve::{Daemon, Entrance, Limits, Registry, Reloads, Settings, Views};
use sealift::spec::config::Observability;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use world::{Act, Fake, World, name};

#[tokio::test]
async fn a_triggered_run_is_told_to_its_end() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let response = world
        .request(Method::POST, "/v1/pipelines/crm/runs")
        .bearer_auth(&world.token)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let run_id = response.json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/v1/runs/{run_id}"));

    let run = world.over(&run_id).await;
    assert_eq!(run["state"], "succeeded");
    assert_eq!(run["outcome"], "done");
    assert_eq!(run["pipeline"], "crm");
    assert_eq!(run["streams"][0]["rows"], 7);
    assert_eq!(run["streams"][0]["state"], "published");

    let rows = audit::entries(&world.ledger, 1).await.unwrap();
    assert_eq!((rows[0].actor.as_str(), rows[0].action.as_str()), ("token:airflow", "run.trigger"));
    assert_eq!(rows[0].subject, format!("crm {run_id}"));
}

#[tokio::test]
async fn how_a_run_fails_is_told_by_its_outcome() {
    let world = World::new(&[("held", Act::BeHeld), ("crash", Act::Crash)]).await;
    let run_id = world.trigger("held").await;
    let run = world.over(&run_id).await;
    assert_eq!((run["state"].as_str(), run["outcome"].as_str()), (Some("held"), Some("held")));
    assert_eq!(run["error"], "column `ssn` has no action");

    let run_id = world.trigger("crash").await;
    let run = world.over(&run_id).await;
    assert_eq!((run["state"].as_str(), run["outcome"].as_str()), (Some("failed"), Some("failed")));
    assert!(!run["error"].as_str().unwrap().contains("as the test asked"));
}

#[tokio::test]
async fn a_pipeline_has_one_active_run() {
    let mut world = World::new(&[("crm", Act::WaitForGo)]).await;
    let first = world.trigger("crm").await;
    world.started.recv().await.unwrap();
    let (status, problem) = world.ask(Method::POST, "/v1/pipelines/crm/runs").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["type"], "urn:sealift:problem:run-active");
    assert_eq!(problem["run_id"], first.as_str());
    world.go.add_permits(1);
    world.over(&first).await;
    // The run is over in the ledger a moment before its lease is free.
    let second = loop {
        let (status, body) = world.ask(Method::POST, "/v1/pipelines/crm/runs").await;
        if status == StatusCode::ACCEPTED {
            break body;
        }
        assert_eq!(status, StatusCode::CONFLICT);
    };
    assert_ne!(second["run_id"], first.as_str());
}

#[tokio::test]
async fn a_key_has_another_run_only_where_a_retry_may_help() {
    let world = World::new(&[("a", Act::WaitForCancel), ("b", Act::BeHeld)]).await;
    let ask = async |pipeline: &str, key: &str| {
        let trigger = world.request(Method::POST, &format!("/v1/pipelines/{pipeline}/runs"));
        let sent = trigger.bearer_auth(&world.token).header("idempotency-key", key).send();
        sent.await.unwrap().json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned()
    };
    let held = ask("b", "one").await;
    world.over(&held).await;
    assert_eq!(ask("b", "one").await, held, "it would be held again");

    let first = ask("a", "two").await;
    assert_eq!(ask("a", "two").await, first);
    world.ask(Method::POST, &format!("/v1/runs/{first}/cancel")).await;
    assert_eq!(world.over(&first).await["outcome"], "cancelled");
    let second = ask("a", "two").await;
    assert_ne!(second, first);
    assert_eq!(ask("a", "two").await, second);
}

#[tokio::test]
async fn a_run_that_waits_for_a_daemon_that_is_gone_is_carried_out_by_the_one_that_is_asked() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let key = RequestKey::of("token:airflow", b"order-1").unwrap();
    let order = Order {
        pipeline: name("crm"),
        spec_digest: "d".to_owned(),
        actor: "token:airflow".to_owned(),
        under: Under::Key(Trigger::Api, key),
        instead_of: None,
        if_idle: false,
    };
    let left = world.ledger.take_orders(&[order]).await.unwrap()[0].unwrap();
    let lease = world.ledger.lease(&name("crm")).await.unwrap().unwrap();
    let ask = async || {
        let trigger = world.request(Method::POST, "/v1/pipelines/crm/runs").bearer_auth(&world.token);
        let answer = trigger.header("idempotency-key", "order-1").send().await.unwrap();
        answer.json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask().await, left.to_string(), "another process is at it");
    drop(lease);
    assert_eq!(ask().await, left.to_string());
    assert_eq!(world.over(&left.to_string()).await["state"], "succeeded");
}

#[tokio::test]
async fn a_pipeline_that_another_process_runs_is_left_alone() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let lease = world.ledger.lease(&name("crm")).await.unwrap().unwrap();
    let (status, problem) = world.ask(Method::POST, "/v1/pipelines/crm/runs").await;
    assert_eq!(
        (status, problem["detail"].as_str()),
        (StatusCode::CONFLICT, Some("another process is running the pipeline"),)
    );
    let theirs = world.ledger.queue(&name("crm"), "d", Trigger::Cli).await.unwrap();
    world.ledger.start(&theirs).await.unwrap();
    let (status, problem) = world.ask(Method::POST, "/v1/pipelines/crm/runs").await;
    assert_eq!((status.as_u16(), problem["run_id"].as_str()), (409, Some(theirs.to_string().as_str())));
    let (status, problem) = world.ask(Method::POST, &format!("/v1/runs/{theirs}/cancel")).await;
    assert_eq!((status.as_u16(), &problem["type"]), (409, &"urn:sealift:problem:run-elsewhere".into()));
    world.ledger.conclude(&theirs, &Ok(())).await.unwrap();
    drop(lease);
    let run_id = world.trigger("crm").await;
    assert_eq!(world.over(&run_id).await["state"], "succeeded");
}

#[tokio::test]
async fn what_a_killed_process_left_beside_the_daemon_is_marked_at_the_next_trigger() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    // A run of the command line that was killed after the daemon had started: its lease is free.
    let left = world.ledger.queue(&name("crm"), "d", Trigger::Cli).await.unwrap();
    world.ledger.start(&left).await.unwrap();
    let other = world.ledger.queue(&name("erp"), "d", Trigger::Cli).await.unwrap();
    let run_id = world.trigger("crm").await;
    assert_eq!(world.over(&run_id).await["state"], "succeeded");
    let run = world.ledger.run(&left).await.unwrap().unwrap();
    assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")));
    let unfinished = world.ledger.unfinished(None).await.unwrap();
    assert_eq!(unfinished.iter().map(|run| run.run_id).collect::<Vec<_>>(), [other]);
}

#[tokio::test]
async fn no_more_runs_go_at_once_than_there_are_slots() {
    let acts = [("a", Act::WaitForGo), ("b", Act::WaitForGo), ("c", Act::WaitForGo)];
    let mut world = World::with(&acts, None, Duration::from_secs(60), 2).await;
    let ids = [world.trigger("a").await, world.trigger("b").await, world.trigger("c").await];
    world.started.recv().await.unwrap();
    world.started.recv().await.unwrap();
    let unfinished = world.ledger.unfinished(None).await.unwrap();
    let waiting = unfinished.iter().filter(|run| run.state == State::Queued).count();
    assert_eq!((unfinished.len(), waiting), (3, 1));
    assert!(world.started.try_recv().is_err());
    world.go.add_permits(1);
    world.started.recv().await.unwrap();
    world.go.add_permits(2);
    for id in ids {
        assert_eq!(world.over(&id).await["state"], "succeeded");
    }
}

#[tokio::test]
async fn a_run_is_cancelled_on_request() {
    let mut world =
        World::with(&[("a", Act::WaitForCancel), ("b", Act::Publish)], None, Duration::from_secs(60), 1)
            .await;
    let running = world.trigger("a").await;
    world.started.recv().await.unwrap();
    let waiting = world.trigger("b").await;
    for id in [&waiting, &running] {
        let (status, body) = world.ask(Method::POST, &format!("/v1/runs/{id}/cancel")).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        let run = world.over(id).await;
        assert_eq!((run["state"].as_str(), run["outcome"].as_str()), (Some("cancelled"), Some("cancelled")));
    }
    assert!(world.started.try_recv().is_err(), "the waiting run must never have begun");
    // Were its daemon lost before it has stopped, it would be over by that.
    let recorded = world.ledger.run(&RunId::parse(&running).unwrap()).await.unwrap().unwrap();
    assert!(recorded.is_to_stop);
    let (status, problem) = world.ask(Method::POST, &format!("/v1/runs/{running}/cancel")).await;
    assert_eq!((status, problem["state"].as_str()), (StatusCode::CONFLICT, Some("cancelled")));
}

#[tokio::test]
async fn everything_under_v1_needs_a_token() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let paths = ["/v1/pipelines", "/v1/runs", "/v1/runs/x", "/v1/nothing", "/v1/pipelines/crm/runs"];
    for path in paths {
        for authorization in [None, Some("Bearer sl_wrong"), Some("Basic abc"), Some("Bearer")] {
            let mut request = world.request(Method::POST, path);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {authorization:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"sealift\"");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }
    assert!(world.ledger.runs(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_some_roles_start_and_stop_runs_and_all_may_read() {
    let mut world = World::new(&[("crm", Act::WaitForCancel)]).await;
    let run_id = world.trigger("crm").await;
    world.started.recv().await.unwrap();
    for role in Role::ALL {
        let secret = token::create(&world.ledger, "os:0", role.word(), role, None).await.unwrap();
        let status = async |method: Method, path: String| {
            let request = world.request(method, &path).bearer_auth(secret.expose_str().unwrap());
            request.send().await.unwrap().status()
        };
        let trigger = status(Method::POST, "/v1/pipelines/crm/runs".into()).await;
        let expected = if Permission::RunTrigger.roles().contains(&role) {
            StatusCode::CONFLICT
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(trigger, expected, "{role}");
        if !Permission::RunTrigger.roles().contains(&role) {
            let cancel = status(Method::POST, format!("/v1/runs/{run_id}/cancel")).await;
            assert_eq!(cancel, StatusCode::FORBIDDEN, "{role}");
        }
        assert_eq!(status(Method::GET, format!("/v1/runs/{run_id}")).await, StatusCode::OK, "{role}");
    }
    let run = world.ledger.run(&RunId::parse(&run_id).unwrap()).await.unwrap().unwrap();
    assert_eq!(run.state, State::Running);
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let big = "x".repeat((64 << 10) + 1);
    let cases = [
        (Method::GET, "/nothing", "", 404),
        (Method::GET, "/v1/nothing", "", 404),
        (Method::POST, "/v1/pipelines/nothing/runs", "", 404),
        (Method::POST, "/v1/pipelines/No%20slug/runs", "", 404),
        (Method::GET, "/v1/runs/not-an-id", "", 404),
        (Method::GET, "/v1/runs/01976f8e-0000-7000-8000-000000000000", "", 404),
        (Method::DELETE, "/v1/runs", "", 405),
        (Method::GET, "/v1/pipelines/crm/runs", "", 405),
        (Method::POST, "/v1/pipelines/crm/runs", big.as_str(), 413),
        (Method::POST, "/v1/pipelines/crm/runs", r#"{"full_refresh": true}"#, 400),
        (Method::GET, "/v1/runs?limit=0", "", 400),
        (Method::GET, "/v1/runs?limit=many", "", 400),
        (Method::GET, "/v1/runs?pipline=crm", "", 400),
    ];
    for (method, path, body, status) in cases {
        let request = world.request(method.clone(), path).bearer_auth(&world.token);
        let response = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path}");
        if status == 405 {
            assert!(response.headers().contains_key("allow"), "{method} {path}");
        }
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status, "{method} {path}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:sealift:problem:"));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
    assert!(world.ledger.runs(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn runs_and_pipelines_are_listed() {
    let world = World::with(
        &[("a", Act::Publish), ("b", Act::Publish)],
        Some("0 2 * * *"),
        Duration::from_secs(60),
        2,
    )
    .await;
    let first = world.trigger("a").await;
    world.over(&first).await;
    let second = world.trigger("b").await;
    world.over(&second).await;
    let (_, all) = world.ask(Method::GET, "/v1/runs").await;
    let ids: Vec<_> = all["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_str()).collect();
    assert_eq!(ids, [Some(second.as_str()), Some(first.as_str())]);
    let (_, some) = world.ask(Method::GET, "/v1/runs?pipeline=a&limit=1").await;
    assert_eq!(some["runs"][0]["run_id"], first.as_str());
    let (_, pipelines) = world.ask(Method::GET, "/v1/pipelines").await;
    let shown = &pipelines["pipelines"][0];
    assert_eq!(shown["name"], "a");
    assert_eq!(shown["owner"], "retail-data");
    assert_eq!(shown["schedule"]["cron"], "0 2 * * *");
    assert_eq!(shown["next_run_at"], "2026-11-04T02:00:00+00:00");
}

#[tokio::test]
async fn the_schedule_starts_what_is_due_and_skips_what_was_missed() {
    let mut world =
        World::with(&[("crm", Act::Publish)], Some("0 * * * *"), Duration::from_secs(60), 2).await;
    let at = |day, hour, minute| Utc.with_ymd_and_hms(2026, 11, day, hour, minute, 0).unwrap();
    world.clock.0.send_replace(at(3, 12, 59));
    world.clock.0.send_replace(at(3, 13, 0));
    world.started.recv().await.unwrap();
    let run = world.ledger.runs(None, 10).await.unwrap().remove(0);
    assert_eq!(run.trigger, Trigger::Schedule);
    world.over(&run.run_id.to_string()).await;
    while world.ledger.lease(&name("crm")).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    // Three days pass at once: none of seventy-two is in time, and the next one is.
    world.clock.0.send_replace(at(6, 13, 30));
    while world.ledger.schedules().await.unwrap()["crm"].through != at(6, 13, 0) {
        tokio::task::yield_now().await;
    }
    world.clock.0.send_replace(at(6, 13, 59));
    let (_, pipelines) = world.ask(Method::GET, "/v1/pipelines").await;
    assert_eq!(pipelines["pipelines"][0]["next_run_at"], "2026-11-06T14:00:00+00:00");
    assert_eq!(world.ledger.runs(None, 10).await.unwrap().len(), 1);
    world.clock.0.send_replace(at(6, 14, 0));
    world.started.recv().await.unwrap();
    assert_eq!(world.ledger.runs(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_stopping_daemon_lets_runs_end_and_takes_no_more() {
    let mut world = World::new(&[("a", Act::WaitForGo), ("b", Act::Publish)]).await;
    let run_id = world.trigger("a").await;
    world.started.recv().await.unwrap();
    assert_eq!(world.ask(Method::GET, "/readyz").await.0, StatusCode::OK);

    let stopping = tokio::spawn(world.daemon.take().unwrap().shut_down(15, CancellationToken::new()));
    while world.ask(Method::GET, "/readyz").await.0 == StatusCode::OK {}
    assert_eq!(world.ask(Method::GET, "/healthz").await.0, StatusCode::OK);
    let (status, problem) = world.ask(Method::POST, "/v1/pipelines/b/runs").await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("urn:sealift:problem:stopping"),)
    );
    world.go.add_permits(1);
    assert_eq!(stopping.await.unwrap(), Ok(()));
    let run = world.ledger.run(&RunId::parse(&run_id).unwrap()).await.unwrap().unwrap();
    assert_eq!(run.state, State::Succeeded);
}

#[tokio::test]
async fn what_outlasts_the_grace_period_and_what_waits_is_left_to_the_next_daemon() {
    let mut world =
        World::with(&[("a", Act::WaitForCancel), ("b", Act::Publish)], None, Duration::ZERO, 1).await;
    let running = world.trigger("a").await;
    world.started.recv().await.unwrap();
    let waiting = world.trigger("b").await;
    let error = world.daemon.take().unwrap().shut_down(15, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled(15));
    assert_eq!(error.message(), "stopped with 1 runs cut short");
    let stands = async |id: &String| {
        let run = world.ledger.run(&RunId::parse(id).unwrap()).await.unwrap().unwrap();
        (run.state, run.attempt, run.error)
    };
    let cut = Some("interrupted: the daemon stopped".to_owned());
    assert_eq!(stands(&running).await, (State::Queued, 2, cut));
    assert_eq!(stands(&waiting).await, (State::Queued, 1, None));

    world.start().await;
    assert_eq!(world.started.recv().await.unwrap(), "a");
    world.ask(Method::POST, &format!("/v1/runs/{running}/cancel")).await;
    let run = world.over(&running).await;
    assert_eq!((&run["state"], &run["attempt"]), (&"cancelled".into(), &2.into()), "{run}");
    assert_eq!(world.over(&waiting).await["state"], "succeeded");
}

#[tokio::test]
async fn a_run_that_heeds_nothing_is_dropped_and_left_to_the_next_daemon() {
    let mut world = World::new(&[("a", Act::HeedNothing)]).await;
    let run_id = world.trigger("a").await;
    world.started.recv().await.unwrap();
    // The grace period is a minute: a second signal ends it.
    let hurry = CancellationToken::new();
    hurry.cancel();
    let error = world.daemon.take().unwrap().shut_down(2, hurry).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled(2));
    let run = world.ledger.run(&RunId::parse(&run_id).unwrap()).await.unwrap().unwrap();
    assert_eq!((run.state, run.attempt), (State::Queued, 2));
}

#[tokio::test]
async fn what_is_cancelled_on_request_while_the_daemon_stops_is_over() {
    let mut world = World::new(&[("a", Act::WaitForCancel)]).await;
    let run_id = world.trigger("a").await;
    world.started.recv().await.unwrap();
    let stopping = tokio::spawn(world.daemon.take().unwrap().shut_down(15, CancellationToken::new()));
    while world.ask(Method::GET, "/readyz").await.0 == StatusCode::OK {}
    world.ask(Method::POST, &format!("/v1/runs/{run_id}/cancel")).await;
    assert_eq!(stopping.await.unwrap(), Ok(()));
    let run = world.ledger.run(&RunId::parse(&run_id).unwrap()).await.unwrap().unwrap();
    assert_eq!(run.state, State::Cancelled);
}

#[tokio::test]
async fn a_cancellation_that_cannot_be_recorded_is_refused_and_the_run_goes_on_waiting() {
    let acts = [("a", Act::WaitForGo), ("b", Act::Publish)];
    let mut world = World::with(&acts, None, Duration::from_secs(60), 1).await;
    let first = world.trigger("a").await;
    world.started.recv().await.unwrap();
    let waiting = world.trigger("b").await;
    let mut store = world.store().await;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN NEW.state = 'cancelled'
                  BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(refuse).execute(&mut store).await.unwrap();
    let cancel = async || world.ask(Method::POST, &format!("/v1/runs/{waiting}/cancel")).await.0.as_u16();
    assert_eq!(cancel().await, 500);
    assert_eq!(world.daemon.as_ref().unwrap().dispatcher().count(), 2);
    sqlx::query("DROP TRIGGER refuse").execute(&mut store).await.unwrap();
    assert_eq!(cancel().await, 202);
    assert_eq!(world.over(&waiting).await["state"], "cancelled");
    world.go.add_permits(1);
    assert_eq!(world.over(&first).await["state"], "succeeded");
}

#[tokio::test]
async fn what_a_killed_daemon_left_is_marked_as_interrupted_at_the_next_start() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let left = world.ledger.queue(&name("crm"), "d", Trigger::Api).await.unwrap();
    world.ledger.start(&left).await.unwrap();
    let elsewhere = world.ledger.queue(&name("erp"), "d", Trigger::Cli).await.unwrap();
    world.ledger.start(&elsewhere).await.unwrap();
    let lease = world.ledger.lease(&name("erp")).await.unwrap();

    let (started, _keep) = mpsc::unbounded_channel();
    let settings = Settings {
        registry: Registry::of(Vec::new()),
        documents: None,
        reloads: Reloads::default(),
        views: Views::default(),
        ledger: world.ledger.clone(),
        runner: Arc::new(Fake {
            acts: BTreeMap::new(),
            ledger: world.ledger.clone(),
            started,
            go: Arc::new(Semaphore::new(0)),
        }),
        clock: world.clock.clone(),
        observability: Observability::default(),
        limits: Limits::default(),
        grace: Duration::ZERO,
        cancel_wait: Duration::ZERO,
        entrance: Entrance::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _next = Daemon::start(settings, listener).await.unwrap();
    let run = world.ledger.run(&left).await.unwrap().unwrap();
    assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")));
    assert_eq!(world.ledger.run(&elsewhere).await.unwrap().unwrap().state, State::Running);
    drop((lease, world.folder));
}
