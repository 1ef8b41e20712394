//! How far schedules were handled, so that each occurrence has one run, whoever takes it on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::{Ledger, fault, get};
use crate::error::Result;
use crate::govern::store::{begin_writing, now_ms};
use crate::spec::{DatasetName, PipelineName};

/// How far the schedule of a pipeline was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// What the schedule says.
    pub timing: String,
    /// The last occurrence that was handled, or when the schedule began.
    pub through: DateTime<Utc>,
    /// Which runs and versions of others had their run.
    pub followed: String,
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
        let rows = sqlx::query("SELECT pipeline, timing, through_ms, followed FROM schedules")
            .fetch_all(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        let mut schedules = BTreeMap::new();
        for row in &rows {
            let through = DateTime::from_timestamp_millis(get(row, "through_ms")?).unwrap_or_default();
            let handled = Handled { timing: get(row, "timing")?, through, followed: get(row, "followed")? };
            schedules.insert(get(row, "pipeline")?, handled);
        }
        Ok(schedules)
    }

    /// Records that schedules begin, as those that are new or were changed do; one that is recorded with the same
    /// timing stays as it is.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn schedules_begin(&self, begun: &[(PipelineName, Handled)]) -> Result<()> {
        let mut all = begin_writing(&self.pool).await?;
        for (pipeline, handled) in begun {
            sqlx::query(
                "INSERT INTO schedules (pipeline, timing, through_ms, followed) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (pipeline) DO UPDATE SET timing = excluded.timing, through_ms = excluded.through_ms,
                     followed = excluded.followed
                 WHERE schedules.timing <> excluded.timing",
            )
            .bind(pipeline.as_str())
            .bind(&handled.timing)
            .bind(handled.through.timestamp_millis())
            .bind(&handled.followed)
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
        let mut alone = self.pool.acquire().await.map_err(|e| fault(&e))?;
        take_turn(&mut alone, pipeline, turn).await.map(drop)
    }

    /// The newest run of a pipeline that succeeded.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn newest_success(&self, pipeline: &PipelineName) -> Result<Option<String>> {
        let row = sqlx::query(
            "SELECT run_id FROM runs WHERE pipeline = $1 AND state = 'succeeded'
             ORDER BY created_ms DESC, run_id DESC LIMIT 1",
        )
        .bind(pipeline.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        row.map(|row| get(&row, "run_id")).transpose()
    }

    /// The newest version of a dataset that a pipeline other than this one published.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn newest_version(&self, dataset: &DatasetName, but_of: &PipelineName) -> Result<Option<i64>> {
        let row = sqlx::query(
            "SELECT max(s.version) AS newest FROM run_streams s JOIN runs r ON r.run_id = s.run_id
             WHERE s.dataset = $1 AND s.state = 'published' AND r.pipeline <> $2",
        )
        .bind(dataset.to_string())
        .bind(but_of.as_str())
        .fetch_one(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        get(&row, "newest")
    }

    /// The pipelines of which a run was over after `since`, and when the newest was, in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn ended_since(&self, since: DateTime<Utc>) -> Result<BTreeMap<String, i64>> {
        let rows = sqlx::query(
            "SELECT pipeline, max(finished_ms) AS newest FROM runs WHERE finished_ms > $1 GROUP BY pipeline",
        )
        .bind(since.timestamp_millis())
        .fetch_all(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        rows.iter().map(|row| Ok((get(row, "pipeline")?, get(row, "newest")?))).collect()
    }

    /// Lets the schedule of a pipeline rest; told again, the first who said it stays.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn pause(&self, pipeline: &PipelineName, actor: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO pauses (pipeline, actor, paused_ms) VALUES ($1, $2, $3)
             ON CONFLICT (pipeline) DO NOTHING",
        )
        .bind(pipeline.as_str())
        .bind(actor)
        .bind(now_ms())
        .execute(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Ends the rest of a pipeline's schedule.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn resume(&self, pipeline: &PipelineName) -> Result<()> {
        sqlx::query("DELETE FROM pauses WHERE pipeline = $1")
            .bind(pipeline.as_str())
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        Ok(())
    }

    /// The pipelines whose schedules rest.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn paused(&self) -> Result<BTreeSet<PipelineName>> {
        let rows =
            sqlx::query("SELECT pipeline FROM pauses").fetch_all(&self.pool).await.map_err(|e| fault(&e))?;
        rows.iter().map(|row| PipelineName::parse(row.try_get("pipeline").map_err(|e| fault(&e))?)).collect()
    }
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
        let order = Order { pipeline, spec_digest, actor, under, instead_of: None };
        ledger.take_orders(&[order]).await.unwrap()[0].is_some()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn handled(timing: &str, through: i64) -> Handled {
        Handled { timing: timing.to_owned(), through: at(through), followed: String::new() }
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
