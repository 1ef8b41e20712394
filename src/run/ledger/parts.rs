//! Parts of full loads that are written and not yet published.

use super::{Ledger, RunId, fault, get, to_i64};
use crate::error::Result;
use crate::govern::Store as _;
use crate::govern::store::done_at;
use crate::spec::{PipelineName, StreamName};

/// One part that a run has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenPart {
    /// The run.
    pub run_id: RunId,
    /// Its place among the parts, from 0.
    pub part: u32,
    /// A digest of what was asked for: two loads that differ in it have nothing to give each other.
    pub asked: String,
    /// The source's name for the instant.
    pub instant: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Its files, sealed.
    pub manifest: String,
}

impl Ledger {
    /// Records a part of a stream as written, by a run that may publish.
    ///
    /// # Errors
    /// As [`Ledger::check_standing`].
    pub async fn part_written(&self, stream: &StreamName, part: &WrittenPart) -> Result<()> {
        let (ledger, stream, part) = (self.clone(), stream.clone(), part.clone());
        done_at(self.home(), async move { ledger.add_part(&stream, &part).await }).await
    }

    async fn add_part(&self, stream: &StreamName, part: &WrittenPart) -> Result<()> {
        let mut alone = self.begin_standing(&part.run_id).await?;
        sqlx::query(
            "INSERT INTO run_parts (run_id, stream, part, asked, instant, rows, bytes, manifest)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (run_id, stream, part) DO UPDATE
             SET asked = excluded.asked, instant = excluded.instant, rows = excluded.rows, bytes = excluded.bytes,
                 manifest = excluded.manifest",
        )
        .bind(part.run_id.to_string())
        .bind(stream.as_str())
        .bind(i64::from(part.part))
        .bind(&part.asked)
        .bind(&part.instant)
        .bind(to_i64(part.rows))
        .bind(to_i64(part.bytes))
        .bind(&part.manifest)
        .execute(&mut *alone)
        .await
        .map_err(|e| fault(&e))?;
        alone.commit().await.map_err(|e| fault(&e))
    }

    /// The parts of a stream that were written and not published, by run and place; of a part that
    /// several runs wrote, all.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn parts(&self, pipeline: &PipelineName, stream: &StreamName) -> Result<Vec<WrittenPart>> {
        let rows = sqlx::query(
            "SELECT p.* FROM run_parts p JOIN runs r ON r.run_id = p.run_id
             WHERE r.pipeline = $1 AND p.stream = $2 ORDER BY p.run_id, p.part",
        )
        .bind(pipeline.as_str())
        .bind(stream.as_str())
        .fetch_all(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let read = |row| {
            Ok(WrittenPart {
                run_id: RunId::parse(&get::<String>(row, "run_id")?)?,
                part: u32::try_from(get::<i64>(row, "part")?).unwrap_or(u32::MAX),
                asked: get(row, "asked")?,
                instant: get(row, "instant")?,
                rows: get::<i64>(row, "rows")?.unsigned_abs(),
                bytes: get::<i64>(row, "bytes")?.unsigned_abs(),
                manifest: get(row, "manifest")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The streams of a pipeline that have such parts.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn streams_with_parts(&self, pipeline: &PipelineName) -> Result<Vec<StreamName>> {
        let rows = sqlx::query(
            "SELECT DISTINCT p.stream FROM run_parts p JOIN runs r ON r.run_id = p.run_id WHERE r.pipeline = $1",
        )
        .bind(pipeline.as_str())
        .fetch_all(self.here())
        .await
        .map_err(|e| fault(&e))?;
        rows.iter().map(|row| StreamName::parse(&get::<String>(row, "stream")?)).collect()
    }

    /// When the oldest run began that may still publish a file it wrote: one that is under way, or one of which
    /// parts are kept. Milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn oldest_writer_ms(&self) -> Result<Option<i64>> {
        let row = sqlx::query(
            "SELECT min(created_ms) AS oldest FROM runs
             WHERE state IN ('queued', 'running') OR run_id IN (SELECT run_id FROM run_parts)",
        )
        .fetch_one(self.here())
        .await
        .map_err(|e| fault(&e))?;
        get(&row, "oldest")
    }

    /// Forgets all parts of a stream for a run that may publish: it publishes their files, or they are of no use any more.
    /// Nobody else takes them over from here on. Where that is refused, another process may have done so.
    ///
    /// # Errors
    /// As [`Ledger::check_standing`].
    pub async fn forget_parts(&self, run_id: &RunId, stream: &StreamName) -> Result<()> {
        let (ledger, run_id, stream) = (self.clone(), *run_id, stream.clone());
        done_at(self.home(), async move { ledger.delete_parts(&run_id, &stream).await }).await
    }

    async fn delete_parts(&self, run_id: &RunId, stream: &StreamName) -> Result<()> {
        let mut alone = self.begin_standing(run_id).await?;
        sqlx::query(
            "DELETE FROM run_parts WHERE stream = $1 AND run_id IN
             (SELECT run_id FROM runs WHERE pipeline = (SELECT pipeline FROM runs WHERE run_id = $2))",
        )
        .bind(stream.as_str())
        .bind(run_id.to_string())
        .execute(&mut *alone)
        .await
        .map_err(|e| fault(&e))?;
        alone.commit().await.map_err(|e| fault(&e))
    }

    /// Forgets all parts of a stream, whose files are removed. Whoever calls holds the pipeline's lease.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn parts_removed(&self, pipeline: &PipelineName, stream: &StreamName) -> Result<()> {
        sqlx::query(
            "DELETE FROM run_parts WHERE stream = $1
             AND run_id IN (SELECT run_id FROM runs WHERE pipeline = $2)",
        )
        .bind(stream.as_str())
        .bind(pipeline.as_str())
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        Ok(())
    }
}
