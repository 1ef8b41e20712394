//! Schedules and the runs that they have, with a clock that is set by hand and a runner that does as the test says.

mod clocks;
mod turns;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use sealift::govern::Store as _;
use sealift::run::ledger::{Run, RunId, State, Trigger};
use sealift::serve::Limits;
use sealift::spec::Pipeline;
use sealift::spec::config::Runs;
use sealift::spec::pipeline::Position;
use sealift::spec::schedule::{After, Missed, Retry, Schedule, Timing, When, WhenActive};
use tokio_util::sync::CancellationToken;

use crate::serve::world::{Act, World, name, pipeline};

const GRACE: Duration = Duration::from_secs(60);
/// Longer than a schedule takes to hear of the end of a run.
const A_WHILE: Duration = Duration::from_secs(3);

/// Of 3 November 2026, when the world begins at noon.
fn at(hour: u32, minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 3, hour, minute, 0).unwrap()
}

fn hourly() -> Schedule {
    Schedule::of(Timing::Cron("0 * * * *".into()))
}

fn following(names: &[&str], when: When) -> Schedule {
    let names = names.iter().map(|text| name(text)).collect();
    let after = After::Pipelines { names, when, position: Position { line: 1, column: 1 } };
    Schedule { when_active: WhenActive::Queue, ..Schedule::of(Timing::After(after)) }
}

fn scheduled(name: &str, schedule: Schedule) -> Pipeline {
    Pipeline { schedule: Some(schedule), ..pipeline(name, None) }
}

fn limits(at_once: usize) -> Limits {
    Limits { runs: Runs { at_once, ..Runs::default() }, ..Limits::default() }
}

fn retrying(name: &str, attempts: u32) -> Pipeline {
    let millisecond = Duration::from_millis(1);
    let retry = Retry { attempts, backoff: millisecond, max_backoff: millisecond, ..Retry::default() };
    Pipeline { retry, ..pipeline(name, None) }
}

async fn world_of(acts: &[(&'static str, Act)], pipelines: Vec<Pipeline>, at_once: usize) -> World {
    World::of(acts, pipelines, limits(at_once), GRACE).await
}

impl World {
    fn set(&self, at: DateTime<Utc>) {
        self.clock.0.send_replace(at);
    }

    async fn stop(&mut self) {
        let daemon = self.daemon.take().unwrap();
        daemon.shut_down(15, CancellationToken::new()).await.unwrap();
    }

    async fn runs_of(&self, pipeline: &str) -> Vec<Run> {
        self.ledger.runs(Some(&name(pipeline)), 1000).await.unwrap()
    }

    /// Waits until so many runs of a pipeline are over, and no more are there.
    async fn ended(&self, pipeline: &str, count: usize) -> Vec<Run> {
        loop {
            let runs = self.runs_of(pipeline).await;
            assert!(runs.len() <= count, "{runs:?}");
            if runs.len() == count && runs.iter().all(|run| run.state.is_final()) {
                return runs;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a schedule is handled up to an occurrence.
    async fn handled(&self, pipeline: &str, at: DateTime<Utc>) {
        while self.ledger.schedules().await.unwrap().get(pipeline).is_none_or(|one| one.through != at) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ask_for(&self, pipeline: &str) -> RunId {
        RunId::parse(&self.trigger(pipeline).await).unwrap()
    }

    /// The run once it is over.
    async fn end_of(&self, run_id: RunId) -> Run {
        self.over(&run_id.to_string()).await;
        self.ledger.run(&run_id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn what_was_missed_while_no_daemon_ran_has_no_run_or_one_or_one_each() {
    let missing = |name, missed| scheduled(name, Schedule { missed, ..hourly() });
    let acts = [("skip", Act::Publish), ("once", Act::Publish), ("all", Act::Publish)];
    let pipelines =
        vec![missing("skip", Missed::Skip), missing("once", Missed::Once), missing("all", Missed::All)];
    let mut world = world_of(&acts, pipelines, 8).await;
    for pipeline in ["skip", "once", "all"] {
        world.handled(pipeline, at(12, 0)).await;
    }
    world.stop().await;
    world.set(at(15, 30));
    world.start().await;
    for (pipeline, count) in [("skip", 0), ("once", 1), ("all", 3)] {
        world.ended(pipeline, count).await;
        world.handled(pipeline, at(15, 0)).await;
        world.ended(pipeline, count).await;
    }
}

#[tokio::test]
async fn several_daemons_have_one_run_for_each_occurrence() {
    let mut world = world_of(&[("crm", Act::Publish)], vec![scheduled("crm", hourly())], 2).await;
    world.handled("crm", at(12, 0)).await;
    // Nobody stops the first.
    let _first = world.daemon.take();
    world.start().await;
    for (count, hour) in (13..18).enumerate() {
        world.set(at(hour, 0));
        world.handled("crm", at(hour, 0)).await;
        world.ended("crm", count + 1).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_repeats_nothing_and_silences_nobody() {
    let world = world_of(&[("crm", Act::Publish)], vec![scheduled("crm", hourly())], 2).await;
    world.set(at(13, 0));
    world.ended("crm", 1).await;
    world.set(at(12, 30));
    world.set(at(13, 0));
    world.set(at(13, 59));
    tokio::time::sleep(A_WHILE).await;
    world.ended("crm", 1).await;
    world.set(at(14, 0));
    world.ended("crm", 2).await;

    let yesterday = at(14, 30) - TimeDelta::days(1);
    world.set(yesterday);
    // It is seen within a second that the clock was set back.
    tokio::time::sleep(A_WHILE).await;
    world.set(yesterday + TimeDelta::minutes(30));
    world.ended("crm", 3).await;
    world.handled("crm", at(15, 0) - TimeDelta::days(1)).await;
}

#[tokio::test]
async fn a_pipeline_follows_others_once_for_what_each_has_done() {
    let acts = [("a", Act::Publish), ("b", Act::Publish), ("both", Act::Publish), ("either", Act::Publish)];
    let pipelines = vec![
        pipeline("a", None),
        pipeline("b", None),
        scheduled("both", following(&["a", "b"], When::All)),
        scheduled("either", following(&["a", "b"], When::Any)),
    ];
    let mut world = world_of(&acts, pipelines, 8).await;
    world.trigger("a").await;
    world.ended("either", 1).await;
    tokio::time::sleep(A_WHILE).await;
    world.ended("both", 0).await;
    world.trigger("b").await;
    world.ended("both", 1).await;
    world.ended("either", 2).await;
    // What happens while no daemon keeps the schedule is followed afterwards.
    world.stop().await;
    for upstream in ["a", "b"] {
        let run_id = world.ledger.queue(&name(upstream), "d", Trigger::Cli).await.unwrap();
        world.ledger.start(&run_id).await.unwrap();
        world.ledger.conclude(&run_id, &Ok(())).await.unwrap();
    }
    world.start().await;
    for follower in ["both", "either"] {
        let runs = world.ended(follower, if follower == "both" { 2 } else { 3 }).await;
        assert!(runs.iter().all(|run| run.trigger == Trigger::Schedule));
    }
}

#[tokio::test]
async fn what_was_done_by_a_clock_that_was_ahead_hides_nothing_that_is_done_after_it() {
    let pipelines = vec![pipeline("a", None), scheduled("mart", following(&["a"], When::All))];
    let world = world_of(&[("mart", Act::Publish)], pipelines, 8).await;
    for count in 1..=3 {
        let run_id = world.ledger.queue(&name("a"), "d", Trigger::Cli).await.unwrap();
        world.ledger.start(&run_id).await.unwrap();
        world.ledger.conclude(&run_id, &Ok(())).await.unwrap();
        if count == 1 {
            sqlx::query("UPDATE runs SET created_ms = created_ms * 2, finished_ms = finished_ms * 2")
                .execute(world.ledger.pool())
                .await
                .unwrap();
        }
        world.ended("mart", count).await;
    }
}

#[tokio::test]
async fn a_schedule_that_is_away_for_a_moment_goes_on_and_one_that_comes_back_later_is_another() {
    let hourly = scheduled("crm", Schedule { missed: Missed::All, ..hourly() });
    let world = world_of(&[("crm", Act::Publish)], vec![hourly.clone()], 2).await;
    let is_there = |is_there: bool| {
        let pipelines = is_there.then(|| (name("crm"), std::sync::Arc::new(hourly.clone())));
        world.registry.replace(pipelines.into_iter().collect());
    };
    let gone = async || {
        while world.ledger.schedules().await.unwrap()["crm"].gone.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    world.handled("crm", at(12, 0)).await;
    is_there(false);
    gone().await;
    world.set(at(12, 59));
    is_there(true);
    while world.ledger.schedules().await.unwrap()["crm"].gone.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.set(at(13, 0));
    world.ended("crm", 1).await;

    world.ledger.pause(&name("crm"), "token:ops").await.unwrap();
    is_there(false);
    gone().await;
    world.set(at(17, 30));
    is_there(true);
    world.handled("crm", at(17, 30)).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(world.ledger.paused().await.unwrap().is_empty());
    let trail = sealift::govern::audit::entries(&world.ledger, 10).await.unwrap();
    let lifted = trail.iter().filter(|entry| entry.action == "pipeline.resume");
    let lifted: Vec<_> = lifted.map(|entry| (entry.actor.as_str(), entry.subject.as_str())).collect();
    assert_eq!(lifted, [("schedule", "crm")]);
    world.ended("crm", 1).await;
    world.set(at(18, 0));
    world.ended("crm", 2).await;
}

#[tokio::test]
async fn a_pipeline_follows_versions_that_others_publish_of_a_dataset() {
    let dataset = sealift::spec::DatasetName::parse("crm.people").unwrap();
    let after = After::Dataset { name: dataset, position: Position { line: 1, column: 1 } };
    let follower = scheduled("mart", Schedule::of(Timing::After(after)));
    let acts = [("crm", Act::Publish), ("mart", Act::Publish)];
    let world = world_of(&acts, vec![pipeline("crm", None), follower], 8).await;
    // Both publish version 0 of it: what it does itself it does not follow.
    world.trigger("crm").await;
    world.ended("mart", 1).await;
    world.trigger("crm").await;
    world.ended("crm", 2).await;
    tokio::time::sleep(A_WHILE).await;
    world.ended("mart", 1).await;
}

#[tokio::test]
async fn a_schedule_rests_until_it_is_resumed() {
    let world = world_of(&[("crm", Act::Publish)], vec![scheduled("crm", hourly())], 2).await;
    let dispatcher = world.daemon.as_ref().unwrap().dispatcher();
    dispatcher.pause(&name("crm"), "token:ops").await.unwrap();
    assert!(dispatcher.pause(&name("nobody"), "token:ops").await.is_err());
    world.set(at(13, 0));
    world.handled("crm", at(13, 0)).await;
    assert!(world.runs_of("crm").await.is_empty());
    let asked = world.ask_for("crm").await;
    assert_eq!(world.end_of(asked).await.state, State::Succeeded, "what people ask for runs");
    dispatcher.resume(&name("crm"), "token:ops").await.unwrap();
    world.set(at(14, 0));
    world.ended("crm", 2).await;
    let rows = sealift::govern::audit::entries(&world.ledger, 10).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    assert!(told.contains(&"pipeline.pause") && told.contains(&"pipeline.resume"), "{told:?}");
    let (status, said) = world.ask(reqwest::Method::POST, "/v1/pipelines/crm/pause").await;
    assert_eq!((status.as_u16(), &said["paused"]), (200, &true.into()));
    assert!(dispatcher.is_paused(&name("crm")));
    assert_eq!(world.ask(reqwest::Method::POST, "/v1/pipelines/crm/resume").await.0.as_u16(), 200);
    assert_eq!(world.ask(reqwest::Method::POST, "/v1/pipelines/nobody/pause").await.0.as_u16(), 404);
    // Another process lets it rest.
    world.ledger.pause(&name("crm"), "token:else").await.unwrap();
    while !dispatcher.is_paused(&name("crm")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_stays_of_the_pipelines_goes_on_and_what_changes_begins_anew() {
    let acts = [("stays", Act::Publish), ("changes", Act::Publish), ("comes", Act::Publish)];
    let pipelines = vec![scheduled("stays", hourly()), scheduled("changes", hourly())];
    let world = world_of(&acts, pipelines, 8).await;
    world.handled("stays", at(12, 0)).await;
    let half = Schedule::of(Timing::Cron("30 * * * *".into()));
    let next = vec![
        scheduled("stays", hourly()),
        scheduled("changes", half),
        scheduled(
            "comes",
            Schedule::of(Timing::Every { interval: Duration::from_secs(600), anchor: DateTime::UNIX_EPOCH }),
        ),
    ];
    world
        .registry
        .replace(next.into_iter().map(|one| (one.name.clone(), std::sync::Arc::new(one))).collect());
    world.handled("comes", at(12, 0)).await;
    world.set(at(12, 10));
    world.ended("comes", 1).await;
    world.set(at(12, 30));
    world.ended("changes", 1).await;
    assert!(world.runs_of("stays").await.is_empty());
    world.set(at(13, 0));
    world.ended("stays", 1).await;
    world.ended("changes", 1).await;
}
