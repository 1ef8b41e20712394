//! How far schedules were handled, so that each occurrence has one run, whoever takes it on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::{Ledger, fault, get};
use crate::error::Result;
use crate::govern::store::{begin_writing, now_ms, write};
use crate::spec::{DatasetName, PipelineName};

/// How far the schedule of a pipeline was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// What the schedule says.
    pub timing: String,
    /// The last occurrence that was handled, or when the schedule began.
    pub through: DateTime<Utc>,
    /// What falls due after this is to have a run; before, the schedule was not there, or rested.
    pub since: DateTime<Utc>,
    /// Since when the pipeline, or its schedule, is not there.
    pub gone: Option<DateTime<Utc>>,
    /// Which runs and versions of others had their run.
    pub followed: String,
}

/// What it takes to tell whether a pipeline is late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// What its schedule says.
    pub timing: String,
    /// What falls due after this is to have a run.
    pub since: DateTime<Utc>,
    /// When a run of it last succeeded, by the clock of who ran it.
    pub success: Option<DateTime<Utc>>,
}

/// What a scheduled run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// An occurrence.
    Occurrence {
        /// Which one: later than all that were handled.
        at: DateTime<Utc>,
        /// What was handled that is later than this was so by a wrong clock.
        believed_until: DateTime<Utc>,
    },
    /// What others have done.
    Followed {
        /// What had its run before.
        before: String,
        /// What has its run with this one.
        now: String,
    },
}

impl Ledger {
    /// How far every schedule was handled, by pipeline.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn schedules(&self) -> Result<BTreeMap<String, Handled>> {
        let rows =
            sqlx::query("SELECT pipeline, timing, through_ms, followed, since_ms, gone_ms FROM schedules")
                .fetch_all(self.here())
                .await
                .map_err(|e| fault(&e))?;
        let mut schedules = BTreeMap::new();
        for row in &rows {
            let handled = Handled {
                timing: get(row, "timing")?,
                through: at(get(row, "through_ms")?),
                since: at(get(row, "since_ms")?),
                gone: get::<Option<i64>>(row, "gone_ms")?.map(at),
                followed: get(row, "followed")?,
            };
            schedules.insert(get(row, "pipeline")?, handled);
        }
        Ok(schedules)
    }

    /// What it takes to tell whether a pipeline is late; `None` when its schedule never began.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn awaited(&self, pipeline: &PipelineName) -> Result<Option<Awaited>> {
        let row = sqlx::query(
            "SELECT timing, since_ms, (SELECT r.finished_ms FROM runs r
                 WHERE r.pipeline = schedules.pipeline AND r.state = 'succeeded'
                 ORDER BY r.end_seq DESC, r.finished_ms DESC LIMIT 1) AS success_ms
             FROM schedules WHERE pipeline = $1",
        )
        .bind(pipeline.as_str())
        .fetch_optional(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Awaited {
            timing: get(&row, "timing")?,
            since: at(get(&row, "since_ms")?),
            success: get::<Option<i64>>(&row, "success_ms")?.map(at),
        }))
    }

    /// Records that schedules begin, as those that are new or were changed do, and those that are there again; one that is
    /// recorded with the same timing stays as it is.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn schedules_begin(&self, begun: &[(PipelineName, Handled)]) -> Result<()> {
        let mut all = begin_writing(self.here()).await?;
        for (pipeline, handled) in begun {
            sqlx::query(
                "INSERT INTO schedules (pipeline, timing, through_ms, followed, since_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (pipeline) DO UPDATE SET timing = excluded.timing, through_ms = excluded.through_ms,
                     followed = excluded.followed, since_ms = excluded.since_ms, gone_ms = NULL
                 WHERE schedules.timing <> excluded.timing OR schedules.gone_ms IS NOT NULL",
            )
            .bind(pipeline.as_str())
            .bind(&handled.timing)
            .bind(handled.through.timestamp_millis())
            .bind(&handled.followed)
            .bind(handled.since.timestamp_millis())
            .execute(&mut *all)
            .await
            .map_err(|e| fault(&e))?;
        }
        all.commit().await.map_err(|e| fault(&e))
    }

    /// Records that the schedules of pipelines are not there any more.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn schedules_end(&self, pipelines: &[PipelineName], at: DateTime<Utc>) -> Result<()> {
        if pipelines.is_empty() {
            return Ok(());
        }
        let mut all = begin_writing(self.here()).await?;
        for pipeline in pipelines {
            sqlx::query("UPDATE schedules SET gone_ms = $2 WHERE pipeline = $1")
                .bind(pipeline.as_str())
                .bind(at.timestamp_millis())
                .execute(&mut *all)
                .await
                .map_err(|e| fault(&e))?;
        }
        all.commit().await.map_err(|e| fault(&e))
    }

    /// Records that an occurrence was left out, and all before it.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn left_out(&self, pipeline: &PipelineName, turn: &Turn) -> Result<()> {
        let mut alone = begin_writing(self.here()).await?;
        take_turn(&mut alone, pipeline, turn).await?;
        alone.commit().await.map_err(|e| fault(&e))
    }

    /// As [`Ledger::left_out`], because the schedule rests: nobody waits for what fell due meanwhile.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn rested(&self, pipeline: &PipelineName, turn: &Turn) -> Result<()> {
        let mut both = begin_writing(self.here()).await?;
        if take_turn(&mut both, pipeline, turn).await? {
            sqlx::query("UPDATE schedules SET since_ms = through_ms WHERE pipeline = $1")
                .bind(pipeline.as_str())
                .execute(&mut *both)
                .await
                .map_err(|e| fault(&e))?;
        }
        both.commit().await.map_err(|e| fault(&e))
    }

    /// The run of a pipeline that succeeded last.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn newest_success(&self, pipeline: &PipelineName) -> Result<Option<String>> {
        let row = sqlx::query(
            "SELECT run_id FROM runs WHERE pipeline = $1 AND state = 'succeeded'
             ORDER BY end_seq DESC, finished_ms DESC LIMIT 1",
        )
        .bind(pipeline.as_str())
        .fetch_optional(self.here())
        .await
        .map_err(|e| fault(&e))?;
        row.map(|row| get(&row, "run_id")).transpose()
    }

    /// The version of a dataset that a pipeline other than this one published last. A dataset that was removed counts from 0
    /// again.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn newest_version(&self, dataset: &DatasetName, but_of: &PipelineName) -> Result<Option<i64>> {
        let row = sqlx::query(
            "SELECT s.version FROM run_streams s JOIN runs r ON r.run_id = s.run_id
             WHERE s.dataset = $1 AND s.state = 'published' AND s.version IS NOT NULL AND r.pipeline <> $2
             ORDER BY r.end_seq DESC, s.version DESC LIMIT 1",
        )
        .bind(dataset.to_string())
        .bind(but_of.as_str())
        .fetch_optional(self.here())
        .await
        .map_err(|e| fault(&e))?;
        row.map(|row| get(&row, "version")).transpose()
    }

    /// Lets the schedule of a pipeline rest; told again, the first who said it stays.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn pause(&self, pipeline: &PipelineName, actor: &str) -> Result<()> {
        let pause = sqlx::query(
            "INSERT INTO pauses (pipeline, actor, paused_ms) VALUES ($1, $2, $3)
             ON CONFLICT (pipeline) DO NOTHING",
        );
        write(self.here(), pause.bind(pipeline.as_str()).bind(actor).bind(now_ms())).await.map(drop)
    }

    /// Ends the rest of a pipeline's schedule.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn resume(&self, pipeline: &PipelineName) -> Result<()> {
        let resume = sqlx::query("DELETE FROM pauses WHERE pipeline = $1");
        write(self.here(), resume.bind(pipeline.as_str())).await.map(drop)
    }

    /// The pipelines whose schedules rest.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn paused(&self) -> Result<BTreeSet<PipelineName>> {
        let rows =
            sqlx::query("SELECT pipeline FROM pauses").fetch_all(self.here()).await.map_err(|e| fault(&e))?;
        rows.iter().map(|row| PipelineName::parse(row.try_get("pipeline").map_err(|e| fault(&e))?)).collect()
    }
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// Takes a turn; false when it is taken already, by this process or another.
pub(super) async fn take_turn(
    store: &mut sqlx::AnyConnection,
    pipeline: &PipelineName,
    turn: &Turn,
) -> Result<bool> {
    let taken = match turn {
        Turn::Occurrence { at, believed_until } => sqlx::query(
            "UPDATE schedules SET through_ms = $2 WHERE pipeline = $1 AND (through_ms < $2 OR through_ms > $3)",
        )
        .bind(pipeline.as_str())
        .bind(at.timestamp_millis())
        .bind(believed_until.timestamp_millis()),
        Turn::Followed { before, now } => {
            sqlx::query("UPDATE schedules SET followed = $2 WHERE pipeline = $1 AND followed = $3")
                .bind(pipeline.as_str())
                .bind(now)
                .bind(before)
        }
    };
    Ok(taken.execute(store).await.map_err(|e| fault(&e))?.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::run::ledger::{Order, Under};
    use crate::spec::config::Metadata;

    async fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        (folder, ledger)
    }

    async fn queue_turn(ledger: &Ledger, pipeline: &PipelineName, turn: Turn) -> bool {
        let (spec_digest, actor) = ("d".to_owned(), "schedule".to_owned());
        let (pipeline, under) = (pipeline.clone(), Under::Turn(turn));
        let order = Order { pipeline, spec_digest, actor, under, instead_of: None, if_idle: false };
        ledger.take_orders(&[order]).await.unwrap()[0].is_some()
    }

    /// Of times in seconds.
    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn handled(timing: &str, through: i64) -> Handled {
        let (timing, followed) = (timing.to_owned(), String::new());
        Handled { timing, through: at(through), since: at(through), gone: None, followed }
    }

    #[tokio::test]
    async fn an_occurrence_is_taken_once_and_never_one_before_it() {
        let (_folder, ledger) = ledger().await;
        let crm = PipelineName::parse("crm").unwrap();
        ledger.schedules_begin(&[(crm.clone(), handled("daily", 100))]).await.unwrap();
        let take = async |seconds, believed_until| {
            let turn = Turn::Occurrence { at: at(seconds), believed_until: at(believed_until) };
            queue_turn(&ledger, &crm, turn).await
        };
        assert!(!take(100, 1_000).await);
        assert!(take(200, 1_000).await);
        assert!(!take(200, 1_000).await, "a second daemon, or the clock went back");
        assert!(!take(150, 1_000).await);
        assert!(take(50, 60).await, "what a wrong clock had taken does not silence the schedule");
        assert_eq!(ledger.runs(None, 10).await.unwrap().len(), 2);
        let turn = Turn::Occurrence { at: at(300), believed_until: at(1_000) };
        ledger.left_out(&crm, &turn).await.unwrap();
        assert!(!take(300, 1_000).await);
        assert_eq!(ledger.schedules().await.unwrap()["crm"].through, at(300));
    }

    #[tokio::test]
    async fn another_timing_begins_anew_and_the_same_one_goes_on() {
        let (_folder, ledger) = ledger().await;
        let crm = PipelineName::parse("crm").unwrap();
        for (timing, through, stands) in [("a", 100, 100), ("a", 200, 100), ("b", 300, 300)] {
            ledger.schedules_begin(&[(crm.clone(), handled(timing, through))]).await.unwrap();
            assert_eq!(ledger.schedules().await.unwrap()["crm"], handled(timing, stands));
        }
    }

    #[tokio::test]
    async fn what_is_there_again_goes_on_as_it_is_told_and_what_rested_is_not_waited_for() {
        let (_folder, ledger) = ledger().await;
        let crm = PipelineName::parse("crm").unwrap();
        assert_eq!(ledger.awaited(&crm).await.unwrap(), None);
        ledger.schedules_begin(&[(crm.clone(), handled("daily", 100))]).await.unwrap();
        ledger.schedules_end(std::slice::from_ref(&crm), at(150)).await.unwrap();
        assert_eq!(ledger.schedules().await.unwrap()["crm"].gone, Some(at(150)));
        ledger.schedules_begin(&[(crm.clone(), handled("daily", 200))]).await.unwrap();
        assert_eq!(ledger.schedules().await.unwrap()["crm"], handled("daily", 200));

        let turn = |seconds| Turn::Occurrence { at: at(seconds), believed_until: at(1_000) };
        ledger.left_out(&crm, &turn(300)).await.unwrap();
        assert_eq!(ledger.awaited(&crm).await.unwrap().unwrap().since, at(200));
        ledger.rested(&crm, &turn(400)).await.unwrap();
        ledger.rested(&crm, &turn(350)).await.unwrap();
        let awaited = Awaited { timing: "daily".to_owned(), since: at(400), success: None };
        assert_eq!(ledger.awaited(&crm).await.unwrap(), Some(awaited));
    }

    #[tokio::test]
    async fn what_others_did_is_followed_once() {
        let (_folder, ledger) = ledger().await;
        let mart = PipelineName::parse("mart").unwrap();
        ledger.schedules_begin(&[(mart.clone(), handled("after", 0))]).await.unwrap();
        let turn = Turn::Followed { before: String::new(), now: "run 1".to_owned() };
        assert!(queue_turn(&ledger, &mart, turn.clone()).await);
        assert!(!queue_turn(&ledger, &mart, turn).await);
        assert_eq!(ledger.schedules().await.unwrap()["mart"].followed, "run 1");
    }

    #[tokio::test]
    async fn a_pause_lasts_until_it_is_ended() {
        let (_folder, ledger) = ledger().await;
        let crm = PipelineName::parse("crm").unwrap();
        ledger.pause(&crm, "token:a").await.unwrap();
        ledger.pause(&crm, "token:b").await.unwrap();
        assert!(ledger.paused().await.unwrap().contains(&crm));
        ledger.resume(&crm).await.unwrap();
        ledger.resume(&crm).await.unwrap();
        assert!(ledger.paused().await.unwrap().is_empty());
    }
}
