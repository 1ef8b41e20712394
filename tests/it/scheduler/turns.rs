//! Whose turn it is, how often a run is tried, and what becomes of runs that go wrong.

use std::sync::Arc;
use std::time::Duration;

use sealift::govern::Store as _;
use sealift::run::ledger::{State, Trigger};
use sealift::spec::schedule::{Retry, Schedule, WhenActive};
use sealift::spec::{ConnectionName, Pipeline};

use super::{A_WHILE, GRACE, at, hourly, limits, retrying, scheduled, world_of};
use crate::serve::world::{Act, World, name, pipeline};

#[tokio::test]
async fn a_run_is_tried_again_where_that_may_help_and_stays_the_same_run() {
    let acts = [("away", Act::Stumble(2)), ("gone", Act::Stumble(9)), ("held", Act::BeHeld)];
    let world = world_of(&acts, vec![retrying("away", 3), retrying("gone", 3), retrying("held", 3)], 4).await;
    let away = world.ask_for("away").await;
    let run = world.end_of(away).await;
    assert_eq!((run.state, run.attempt, run.error), (State::Succeeded, 3, None));
    assert!(run.heartbeat_at.is_some());
    let gone = world.ask_for("gone").await;
    let run = world.end_of(gone).await;
    assert_eq!((run.state, run.outcome.as_deref(), run.attempt), (State::Failed, Some("temporary"), 3));
    assert!(run.error.unwrap().contains("the source is away"));
    let held = world.ask_for("held").await;
    let run = world.end_of(held).await;
    assert_eq!((run.state, run.attempt), (State::Held, 1), "it would be held again");
}

#[tokio::test]
async fn a_further_attempt_that_cannot_be_recorded_is_made_once_it_can() {
    let mut world = world_of(&[("away", Act::Stumble(1))], vec![retrying("away", 3)], 4).await;
    let full = "CREATE TRIGGER full BEFORE UPDATE OF state ON runs WHEN NEW.state <> 'running'
                BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(full).execute(world.ledger.pool()).await.unwrap();
    let run_id = world.ask_for("away").await;
    world.started.recv().await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.ledger.run(&run_id).await.unwrap().unwrap().state, State::Running);
    sqlx::query("DROP TRIGGER full").execute(world.ledger.pool()).await.unwrap();
    let run = world.end_of(run_id).await;
    assert_eq!((run.state, run.attempt), (State::Succeeded, 2));
}

#[tokio::test]
async fn a_run_that_waits_for_its_next_attempt_says_why_and_can_be_cancelled() {
    let hour = Duration::from_secs(3600);
    let retry = Retry { attempts: 2, backoff: hour, max_backoff: hour, ..Retry::default() };
    let patient = Pipeline { retry, ..pipeline("away", None) };
    let world = world_of(&[("away", Act::Stumble(1))], vec![patient], 1).await;
    let run_id = world.ask_for("away").await;
    let run = loop {
        let run = world.ledger.run(&run_id).await.unwrap().unwrap();
        if run.attempt == 2 {
            break run;
        }
        tokio::task::yield_now().await;
    };
    assert!(run.state == State::Queued && run.not_before.is_some() && run.outcome.is_none());
    assert_eq!(run.error.as_deref(), Some("the source is away"));
    assert!(world.daemon.as_ref().unwrap().dispatcher().cancel(&run_id).await.unwrap());
    assert_eq!(world.end_of(run_id).await.state, State::Cancelled);
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_stopped_or_dropped_and_says_so() {
    let short = |name| Pipeline { timeout: Duration::from_millis(30), ..pipeline(name, None) };
    let heeds = world_of(&[("heeds", Act::WaitForCancel)], vec![short("heeds")], 1).await;
    let ignores = world_of(&[("ignores", Act::HeedNothing)], vec![short("ignores")], 1).await;
    for (world, name) in [(&heeds, "heeds"), (&ignores, "ignores")] {
        let run_id = world.ask_for(name).await;
        let run = world.end_of(run_id).await;
        assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")), "{name}");
        assert!(run.error.unwrap().contains("`timeout: 30ms`"), "{name}");
    }
}

#[tokio::test]
async fn a_poisoned_pipeline_holds_up_no_other() {
    let acts =
        [("poisoned", Act::HeedNothing), ("crashing", Act::Crash), ("a", Act::Publish), ("b", Act::Publish)];
    let poisoned = Pipeline { timeout: Duration::from_millis(30), ..retrying("poisoned", 20) };
    let mut pipelines = vec![poisoned, retrying("crashing", 20)];
    pipelines.extend([pipeline("a", None), pipeline("b", None)]);
    let world = world_of(&acts, pipelines, 1).await;
    let poisoned = world.ask_for("poisoned").await;
    for _ in 0..5 {
        for name in ["crashing", "a", "b"] {
            let run_id = world.ask_for(name).await;
            world.end_of(run_id).await;
        }
    }
    assert_eq!(world.end_of(poisoned).await.attempt, 20, "it had its attempts, too");
}

#[tokio::test]
async fn an_occurrence_that_finds_a_run_is_left_out_or_waits_for_its_end() {
    let waits = |name, when_active| scheduled(name, Schedule { when_active, ..hourly() });
    let acts = [("skips", Act::WaitForGo), ("queues", Act::WaitForGo)];
    let pipelines = vec![waits("skips", WhenActive::Skip), waits("queues", WhenActive::Queue)];
    let mut world = world_of(&acts, pipelines, 8).await;
    world.set(at(13, 0));
    world.started.recv().await.unwrap();
    world.started.recv().await.unwrap();
    for hour in [14, 15] {
        world.set(at(hour, 0));
        for pipeline in ["skips", "queues"] {
            world.handled(pipeline, at(hour, 0)).await;
        }
    }
    assert_eq!(world.runs_of("skips").await.len(), 1);
    let states: Vec<_> = world.runs_of("queues").await.iter().map(|run| run.state).collect();
    assert_eq!(states, [State::Queued, State::Running], "one waits, and no second one");
    world.go.add_permits(3);
    world.ended("queues", 2).await;
    world.ended("skips", 1).await;
}

#[tokio::test]
async fn no_more_runs_read_through_a_connection_than_may() {
    let mut connections = limits(8);
    connections.connections.insert(pipeline("a", None).connection, 1);
    let acts = [("a", Act::WaitForGo), ("b", Act::WaitForGo), ("c", Act::Publish)];
    let elsewhere = Pipeline { connection: ConnectionName::parse("other").unwrap(), ..pipeline("c", None) };
    let pipelines = vec![pipeline("a", None), pipeline("b", None), elsewhere];
    let mut world = World::of(&acts, pipelines, connections, GRACE).await;
    let (first, second, third) =
        (world.ask_for("a").await, world.ask_for("b").await, world.ask_for("c").await);
    world.end_of(third).await;
    let mut started = [world.started.recv().await.unwrap(), world.started.recv().await.unwrap()];
    started.sort();
    assert_eq!(started, ["a", "c"], "b waits for a, and holds up nobody");
    assert_eq!(world.ledger.run(&second).await.unwrap().unwrap().state, State::Queued);
    world.go.add_permits(2);
    for run_id in [first, second] {
        assert_eq!(world.end_of(run_id).await.state, State::Succeeded);
    }
}

#[tokio::test]
async fn what_a_daemon_that_is_gone_had_queued_or_was_at_is_taken_over() {
    let mut world = world_of(
        &[
            ("queued", Act::Publish),
            ("tried", Act::Publish),
            ("left", Act::Publish),
            ("unknown", Act::Publish),
        ],
        vec![pipeline("queued", None), retrying("tried", 2), pipeline("left", None)],
        4,
    )
    .await;
    world.stop().await;
    let queued = world.ledger.queue(&name("queued"), "d", Trigger::Api).await.unwrap();
    let unknown = world.ledger.queue(&name("unknown"), "d", Trigger::Api).await.unwrap();
    let mut under_way = Vec::new();
    for pipeline in ["tried", "left"] {
        let run_id = world.ledger.queue(&name(pipeline), "d", Trigger::Schedule).await.unwrap();
        world.ledger.start(&run_id).await.unwrap();
        under_way.push(run_id);
    }
    world.start().await;
    assert_eq!(world.end_of(queued).await.state, State::Succeeded);
    let tried = world.end_of(under_way[0]).await;
    assert_eq!((tried.state, tried.attempt), (State::Succeeded, 2));
    let left = world.end_of(under_way[1]).await;
    assert_eq!((left.state, left.outcome.as_deref()), (State::Failed, Some("temporary")));
    assert!(left.error.unwrap().starts_with("interrupted"));
    // Its document may be one that is to be mended.
    assert_eq!(world.ledger.run(&unknown).await.unwrap().unwrap().state, State::Queued);
    let mended = pipeline("unknown", None);
    world.registry.replace([(mended.name.clone(), Arc::new(mended))].into());
    assert_eq!(world.end_of(unknown).await.state, State::Succeeded);
}

#[tokio::test]
async fn a_run_begins_by_the_document_that_is_in_force_then() {
    let acts = [("first", Act::WaitForGo), ("changes", Act::Publish), ("goes", Act::Publish)];
    let pipelines = ["first", "changes", "goes"].map(|name| pipeline(name, None));
    let mut world = world_of(&acts, pipelines.to_vec(), 1).await;
    world.ask_for("first").await;
    world.started.recv().await.unwrap();
    let (changes, goes) = (world.ask_for("changes").await, world.ask_for("goes").await);
    assert_eq!(world.ledger.run(&changes).await.unwrap().unwrap().spec_digest, "d1");
    let other = ConnectionName::parse("other").unwrap();
    let tightened = Pipeline { digest: "d2".into(), connection: other, ..pipeline("changes", None) };
    let next = [pipeline("first", None), tightened].map(|one| (one.name.clone(), Arc::new(one)));
    world.registry.replace(next.into());
    world.go.add_permits(1);
    let run = world.end_of(changes).await;
    assert_eq!((run.state, run.spec_digest.as_str()), (State::Succeeded, "d2"));
    let run = world.end_of(goes).await;
    assert_eq!(
        (run.state, run.error.as_deref()),
        (State::Cancelled, Some("the pipeline is no longer there"))
    );
}

#[tokio::test]
async fn a_run_has_its_attempts_although_another_one_of_its_pipeline_waits() {
    let queues = Schedule { when_active: WhenActive::Queue, ..hourly() };
    let crm = Pipeline { schedule: Some(queues), ..retrying("crm", 2) };
    let mut world = world_of(&[("crm", Act::StumbleOnGo)], vec![crm], 2).await;
    let first = world.ask_for("crm").await;
    world.started.recv().await.unwrap();
    world.set(at(13, 0));
    world.handled("crm", at(13, 0)).await;
    world.go.add_permits(2);
    let runs = world.ended("crm", 2).await;
    assert!(runs.iter().any(|run| run.run_id == first));
    for run in runs {
        assert_eq!((run.state, run.attempt), (State::Succeeded, 2), "{run:?}");
    }
}

#[tokio::test]
async fn a_run_that_no_daemon_had_for_a_day_is_over_and_one_that_waits_here_is_not() {
    let acts = [("first", Act::WaitForGo), ("old", Act::Publish)];
    let pipelines = ["first", "old"].map(|name| pipeline(name, None));
    let mut world = world_of(&acts, pipelines.to_vec(), 1).await;
    world.ask_for("first").await;
    world.started.recv().await.unwrap();
    let (old, unknown) =
        (world.ask_for("old").await, world.ledger.queue(&name("unknown"), "d", Trigger::Api).await.unwrap());
    let mut store = world.store().await;
    let long_ago = "UPDATE runs SET created_ms = created_ms - 90000000, waited_ms = NULL";
    sqlx::query(long_ago).execute(&mut store).await.unwrap();
    let run = world.end_of(unknown).await;
    assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")));
    assert!(run.error.unwrap().contains("no daemon took it on within a day"));
    assert_eq!(world.ledger.run(&old).await.unwrap().unwrap().state, State::Queued);
    world.go.add_permits(1);
    assert_eq!(world.end_of(old).await.state, State::Succeeded);
}

#[tokio::test]
async fn a_pipeline_that_another_process_runs_meanwhile_is_waited_for() {
    let mut world = world_of(
        &[("first", Act::WaitForGo), ("crm", Act::Publish)],
        vec![pipeline("first", None), pipeline("crm", None)],
        1,
    )
    .await;
    world.ask_for("first").await;
    world.started.recv().await.unwrap();
    let waits = world.ask_for("crm").await;
    let lease = world.ledger.lease(&name("crm")).await.unwrap().unwrap();
    world.go.add_permits(1);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.ledger.run(&waits).await.unwrap().unwrap().state, State::Queued);
    drop(lease);
    assert_eq!(world.end_of(waits).await.state, State::Succeeded);
}
