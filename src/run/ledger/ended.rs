//! Runs that are over, in the order of their ends: that in which they were recorded, whatever the clocks of those who did
//! it say.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;

use super::listing::{SELECT, read_run};
use super::{Ledger, Run, RunId, fault, get};
use crate::error::Result;

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedRun {
    /// The run; its streams are left out.
    pub run: Run,
    /// Rows of all its streams that went to a quarantine.
    pub quarantined: u64,
    /// The number of its end.
    pub seq: i64,
}

/// Of what there were ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The pipelines of which a run is over.
    pub pipelines: BTreeSet<String>,
    /// The datasets of which these runs published versions.
    pub datasets: BTreeSet<String>,
    /// The number of the newest end; 0 where there was none.
    pub newest: i64,
}

impl Ledger {
    /// Runs that ended after the end of this number, in the order of their ends; at most `limit`.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn ended_after(&self, seq: i64, limit: u32) -> Result<Vec<EndedRun>> {
        let sql = format!(
            "SELECT known.*, COALESCE(
                 (SELECT CAST(sum(s.quarantined) AS BIGINT) FROM run_streams s WHERE s.run_id = known.run_id), 0
             ) AS set_aside
             FROM ({SELECT} WHERE r.end_seq > $1 ORDER BY r.end_seq LIMIT $2) AS known
             ORDER BY known.end_seq"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(seq)
            .bind(i64::from(limit))
            .fetch_all(self.here())
            .await
            .map_err(|e| fault(&e))?;
        let mut ended = Vec::with_capacity(rows.len());
        for row in &rows {
            let quarantined = get::<i64>(row, "set_aside")?.unsigned_abs();
            ended.push(EndedRun { run: read_run(row)?, quarantined, seq: get(row, "end_seq")? });
        }
        Ok(ended)
    }

    /// Of what there were ends after the end of this number.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn ends_after(&self, seq: i64) -> Result<Ends> {
        let rows = sqlx::query(
            "SELECT r.pipeline, s.dataset, max(r.end_seq) AS newest
             FROM runs r LEFT JOIN run_streams s ON s.run_id = r.run_id AND s.state = 'published'
             WHERE r.end_seq > $1 GROUP BY r.pipeline, s.dataset",
        )
        .bind(seq)
        .fetch_all(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let mut ends = Ends::default();
        for row in &rows {
            ends.pipelines.insert(get(row, "pipeline")?);
            ends.datasets.extend(get::<Option<String>>(row, "dataset")?);
            ends.newest = ends.newest.max(get(row, "newest")?);
        }
        Ok(ends)
    }

    /// The number of the newest end; 0 where there was none.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn newest_end(&self) -> Result<i64> {
        let row =
            sqlx::query("SELECT seq FROM run_ends").fetch_one(self.here()).await.map_err(|e| fault(&e))?;
        get(&row, "seq")
    }

    /// When a run of each pipeline last succeeded, in Unix milliseconds.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn last_successes_ms(&self) -> Result<BTreeMap<String, i64>> {
        let rows = sqlx::query(
            "SELECT pipeline, max(finished_ms) AS at_ms FROM runs WHERE state = 'succeeded' GROUP BY pipeline",
        )
        .fetch_all(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let mut successes = BTreeMap::new();
        for row in &rows {
            if let Some(at_ms) = get::<Option<i64>>(row, "at_ms")? {
                successes.insert(get(row, "pipeline")?, at_ms);
            }
        }
        Ok(successes)
    }

    /// The number of the end up to which something was looked at; that of the newest, and recorded so, where it never was.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn watch_mark(&self, name: &str) -> Result<i64> {
        sqlx::query(
            "INSERT INTO watch_marks (name, seq) SELECT $1, seq FROM run_ends WHERE id = 1
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let row = sqlx::query("SELECT seq FROM watch_marks WHERE name = $1")
            .bind(name)
            .fetch_one(self.here())
            .await
            .map_err(|e| fault(&e))?;
        get(&row, "seq")
    }

    /// Records up to which end something was looked at; it never goes back.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn move_watch_mark(&self, name: &str, seq: i64) -> Result<()> {
        sqlx::query("UPDATE watch_marks SET seq = $1 WHERE name = $2 AND seq < $3")
            .bind(seq)
            .bind(name)
            .bind(seq)
            .execute(self.here())
            .await
            .map_err(|e| fault(&e))?;
        Ok(())
    }
}

/// Numbers the ends of runs. The last that a transaction does before it commits: until then nobody else has a number.
pub(super) async fn number(all: &mut AnyConnection, run_ids: &[RunId]) -> Result<()> {
    for run_id in run_ids {
        sqlx::query("UPDATE run_ends SET seq = seq + 1 WHERE id = 1")
            .execute(&mut *all)
            .await
            .map_err(|e| fault(&e))?;
        sqlx::query("UPDATE runs SET end_seq = (SELECT seq FROM run_ends WHERE id = 1) WHERE run_id = $1")
            .bind(run_id.to_string())
            .execute(&mut *all)
            .await
            .map_err(|e| fault(&e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ledger::{State, StreamOutcome, StreamState, Trigger};
    use crate::spec::config::Metadata;
    use crate::spec::{DatasetName, PipelineName};

    async fn ledger(folder: &tempfile::TempDir) -> Ledger {
        Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap()
    }

    async fn begun(ledger: &Ledger, pipeline: &str) -> RunId {
        let pipeline = PipelineName::parse(pipeline).unwrap();
        let run_id = ledger.queue(&pipeline, "d", Trigger::Cli).await.unwrap();
        ledger.start(&run_id).await.unwrap();
        run_id
    }

    async fn publish(ledger: &Ledger, run_id: &RunId, version: u64) {
        let outcome = StreamOutcome {
            receipt: None,
            stream: "people".into(),
            dataset: "crm.people".into(),
            version: Some(version),
            rows: 1,
            quarantined: 2,
            bytes: 1,
            seconds: 0.5,
            state: StreamState::Published,
        };
        ledger.stream_published(run_id, &outcome).await.unwrap();
    }

    #[tokio::test]
    async fn ends_have_the_order_in_which_they_were_recorded_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        let crm = PipelineName::parse("crm").unwrap();
        let (first, second) = (begun(&ledger, "crm").await, begun(&ledger, "crm").await);
        publish(&ledger, &second, 7).await;
        ledger.conclude(&second, &Ok(())).await.unwrap();
        // The clock was years ahead, and is right again.
        sqlx::query("UPDATE runs SET created_ms = created_ms * 2, finished_ms = finished_ms * 2")
            .execute(ledger.here())
            .await
            .unwrap();
        let mark = ledger.watch_mark("test").await.unwrap();
        assert_eq!(mark, ledger.newest_end().await.unwrap());
        // A dataset that was removed begins anew with version 0.
        publish(&ledger, &first, 0).await;
        ledger.conclude(&first, &Ok(())).await.unwrap();
        assert!(ledger.conclude(&first, &Ok(())).await.is_err(), "over once");

        let news = ledger.ended_after(mark, 10).await.unwrap();
        assert_eq!(news.len(), 1);
        assert_eq!((news[0].run.run_id, news[0].quarantined, news[0].seq), (first, 2, mark + 1));
        let ends = ledger.ends_after(mark).await.unwrap();
        assert_eq!((ends.newest, ends.datasets.len()), (mark + 1, 1));
        assert!(ends.pipelines.contains("crm"));
        assert_eq!(ledger.newest_success(&crm).await.unwrap(), Some(first.to_string()));
        let (dataset, other) =
            (DatasetName::parse("crm.people").unwrap(), PipelineName::parse("mart").unwrap());
        assert_eq!(ledger.newest_version(&dataset, &other).await.unwrap(), Some(0));

        ledger.move_watch_mark("test", mark + 1).await.unwrap();
        ledger.move_watch_mark("test", mark).await.unwrap();
        assert_eq!(ledger.watch_mark("test").await.unwrap(), mark + 1);
    }

    #[tokio::test]
    async fn what_an_interrupted_run_came_to_is_an_end_too() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        let crm = PipelineName::parse("crm").unwrap();
        let run_id = begun(&ledger, "crm").await;
        assert!(ledger.ended_after(0, 10).await.unwrap().is_empty());
        let lease = ledger.lease(&crm).await.unwrap().unwrap();
        ledger.bury(&crm, &lease).await.unwrap();
        let buried = ledger.ended_after(0, 10).await.unwrap();
        assert_eq!((buried[0].run.run_id, buried[0].run.state, buried[0].seq), (run_id, State::Failed, 1));
    }
}
