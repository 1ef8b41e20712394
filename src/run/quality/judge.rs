//! The checks at work on the rows of one run.

use std::sync::Arc;

use arrow::array::{
    Array as _, AsArray as _, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, filter, filter_record_batch, max, not, or};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use futures::StreamExt as _;

use super::keys::{Hashing, Seen};
use super::{Against, Planned, Quality, Report, Shared, Test, present, share};
use crate::error::{Error, Result};
use crate::publish::Facts;
use crate::spec::quality::{Check, OnFail};
use crate::transform::check::Condition;
use crate::{Batches, Rejected, Rejects};

/// One check, and what it has seen.
struct Watch {
    check: Check,
    sight: Sight,
    /// Rows that violate it.
    violations: u64,
}

enum Sight {
    Row(Condition),
    Unique(Hashing, Seen),
    ForeignKey(Hashing, Seen),
    RowCount { min: Option<u64>, max: Option<u64> },
    Freshness { column: usize, oldest_micros: i64, newest_micros: Option<i64> },
    Drift { rows_percent: Option<u64>, nulls_points: Option<u64>, last: Option<Facts> },
}

/// The checks of one run.
pub(in crate::run) struct Judge {
    watches: Vec<Watch>,
    rows: SchemaRef,
    /// Rows that were passed on.
    passed: u64,
    /// The open columns, and how many NULLs each has.
    nulls: Vec<(usize, u64)>,
    shared: Shared,
    rejects: Option<Rejects>,
}

impl Quality {
    /// Passes the rows on, without those that go to `rejects`. When the last one has passed, `report` is
    /// complete.
    ///
    /// # Errors
    /// Those of reading the dataset of a foreign key. Items: `Data`, naming checks and counts, after the
    /// last row where a demand with `on_fail: fail` is not met; `Failed` where memory does not suffice for
    /// the keys of the rows.
    pub(in crate::run) async fn judge(
        &self,
        rows: Batches,
        against: &Against<'_>,
        report: &Shared,
        rejects: Option<Rejects>,
    ) -> Result<Batches> {
        let key_bytes = share(against.memory_limit_bytes, &self.checks);
        let mut watches = Vec::with_capacity(self.checks.len());
        for planned in &self.checks {
            let sight = sight(planned, against, key_bytes).await?;
            watches.push(Watch { check: planned.check.clone(), sight, violations: 0 });
        }
        let judge = Judge {
            watches,
            rows: Arc::clone(&self.rows),
            passed: 0,
            nulls: self.open.iter().map(|index| (*index, 0)).collect(),
            shared: Arc::clone(report),
            rejects,
        };
        let passed = futures::stream::unfold(Some((rows, judge)), |state| async {
            let (mut rows, mut judge) = state?;
            match rows.next().await {
                Some(Ok(batch)) => match judge.pass(batch).await {
                    Ok(batch) => Some((Ok(batch), Some((rows, judge)))),
                    Err(error) => Some((Err(error), None)),
                },
                Some(Err(error)) => Some((Err(error), None)),
                None => judge.conclude().err().map(|error| (Err(error), None)),
            }
        });
        Ok(passed.boxed())
    }
}

async fn sight(planned: &Planned, against: &Against<'_>, key_bytes: u64) -> Result<Sight> {
    Ok(match &planned.test {
        Test::Row(condition) => Sight::Row(condition.clone()),
        Test::Unique(key) => Sight::Unique(key.hashing()?, Seen::bounded(key_bytes)),
        Test::ForeignKey { key, dataset, references } => {
            let (key, seen) = present(against, key, dataset, references, key_bytes)
                .await
                .map_err(|error| error.at(planned.check.demand.to_string()))?;
            Sight::ForeignKey(key.hashing()?, seen)
        }
        Test::RowCount { min, max } => Sight::RowCount { min: *min, max: *max },
        Test::Freshness { column, max_age } => {
            let age_micros = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
            let oldest_micros = against.now_micros.saturating_sub(age_micros);
            Sight::Freshness { column: *column, oldest_micros, newest_micros: None }
        }
        Test::Drift { rows_percent, nulls_points } => {
            let (rows_percent, nulls_points) = (*rows_percent, *nulls_points);
            Sight::Drift { rows_percent, nulls_points, last: against.last.cloned() }
        }
    })
}

impl Judge {
    /// Looks at a batch, and gives the rows of it that are published.
    async fn pass(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let (kept, rejected) = self.part(batch)?;
        if let Some(rejected) = rejected {
            let nobody = || Error::failed("rows are rejected and nobody takes them");
            let rejects = self.rejects.as_ref().ok_or_else(nobody)?;
            rejects.send(rejected).await.map_err(|_| nobody())?;
        }
        for watch in self.watches.iter_mut().filter(|watch| !watch.check.quarantines()) {
            watch.look(&kept)?;
        }
        self.passed += kept.num_rows() as u64;
        for (index, nulls) in &mut self.nulls {
            *nulls += kept.column(*index).logical_null_count() as u64;
        }
        Ok(kept)
    }

    /// The rows that no check sends to the quarantine, and the others with their reasons.
    fn part(&mut self, batch: RecordBatch) -> Result<(RecordBatch, Option<Rejected>)> {
        let mut found: Vec<(String, BooleanArray)> = Vec::new();
        for watch in self.watches.iter_mut().filter(|watch| watch.check.quarantines()) {
            let violated = watch.violated(&batch)?;
            if violated.true_count() > 0 {
                found.push((watch.check.demand.to_string(), violated));
            }
        }
        let Some((_, first)) = found.first() else { return Ok((batch, None)) };
        let failed = |_| Error::failed("rejected rows cannot be parted from the others");
        let any =
            found.iter().skip(1).try_fold(first.clone(), |any, (_, more)| or(&any, more)).map_err(failed)?;
        let reason = |row: usize| {
            let reasons =
                found.iter().filter(|(_, violated)| violated.value(row)).map(|(name, _)| name.as_str());
            reasons.collect::<Vec<_>>().join("; ")
        };
        let reasons: StringArray =
            (0..batch.num_rows()).map(|row| any.value(row).then(|| reason(row))).collect();
        let reasons = filter(&reasons, &any).map_err(failed)?.as_string::<i32>().clone();
        let rejected = Rejected { rows: filter_record_batch(&batch, &any).map_err(failed)?, reasons };
        let kept = filter_record_batch(&batch, &not(&any).map_err(failed)?).map_err(failed)?;
        Ok((kept, Some(rejected)))
    }

    /// Completes the report.
    fn conclude(self) -> Result<()> {
        let Self { watches, rows, passed, nulls, shared, .. } = self;
        let nulls = nulls.into_iter().map(|(index, nulls)| (rows.field(index).name().clone(), nulls));
        let facts = Facts { rows: passed, nulls: nulls.collect() };
        let (mut broken, mut warnings) = (Vec::new(), Vec::new());
        for watch in &watches {
            let Some(finding) = watch.conclude(&facts) else { continue };
            let text = format!("{}: {finding}", watch.check.demand);
            match watch.check.on_fail {
                OnFail::Warn => {
                    tracing::warn!(line = watch.check.position.line, "{text}");
                    warnings.push(text);
                }
                OnFail::Fail | OnFail::Quarantine => {
                    broken.push(format!("{text} (line {} of the pipeline)", watch.check.position.line));
                }
            }
        }
        if let Ok(mut shared) = shared.lock() {
            *shared = Report { facts, warnings };
        }
        match broken.as_slice() {
            [] => Ok(()),
            broken => Err(Error::data(broken.join("\n")).help(
                "mend the rows at the source, leave them out in `transform`, or change the check or its \
                 `on_fail`; nothing of the stream was published",
            )),
        }
    }
}

impl Watch {
    /// Which rows violate a demand on single rows.
    fn violated(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        match &self.sight {
            Sight::Row(condition) => condition.violated(batch).map_err(|error| {
                error.at(format!("{}, line {} of the pipeline", self.check.demand, self.check.position.line))
            }),
            Sight::ForeignKey(hashing, present) => {
                let hashes = hashing.hashes(batch)?.into_iter();
                Ok(hashes.map(|hash| Some(hash.is_some_and(|hash| !present.contains(hash)))).collect())
            }
            _ => Err(Error::failed("a demand that is not on single rows was made of them")),
        }
    }

    fn look(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.sight {
            Sight::Row(_) | Sight::ForeignKey(..) => {
                self.violations += self.violated(batch)?.true_count() as u64;
            }
            Sight::Unique(hashing, seen) => {
                for hash in hashing.hashes(batch)?.into_iter().flatten() {
                    let is_new =
                        seen.insert(hash).map_err(|error| error.at(self.check.demand.to_string()))?;
                    self.violations += u64::from(!is_new);
                }
            }
            Sight::Freshness { column, newest_micros, .. } => {
                let newest = newest(batch, *column)?;
                *newest_micros = (*newest_micros).max(newest);
            }
            Sight::RowCount { .. } | Sight::Drift { .. } => {}
        }
        Ok(())
    }

    /// What is wrong, where something is.
    fn conclude(&self, facts: &Facts) -> Option<String> {
        match &self.sight {
            Sight::Row(_) => rows(self.violations, "violates it", "violate it"),
            Sight::ForeignKey(..) => rows(self.violations, "has no counterpart", "have no counterpart"),
            Sight::Unique(..) => rows(self.violations, "repeats a key", "repeat a key"),
            Sight::RowCount { min, max } => {
                let rows = facts.rows;
                match (min, max) {
                    (Some(min), _) if rows < *min => Some(format!("{rows} rows, and at least {min} are due")),
                    (_, Some(max)) if rows > *max => Some(format!("{rows} rows, and at most {max} are due")),
                    _ => None,
                }
            }
            // Where no row has a value there is nothing to be old: `row_count` tells of that.
            Sight::Freshness { oldest_micros, newest_micros, .. } => newest_micros
                .is_some_and(|newest| newest < *oldest_micros)
                .then(|| "the newest value is older than `max_age`".to_owned()),
            Sight::Drift { rows_percent, nulls_points, last } => {
                drift(facts, last.as_ref()?, *rows_percent, *nulls_points)
            }
        }
    }
}

fn rows(count: u64, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 row {one}")),
        count => Some(format!("{count} rows {many}")),
    }
}

/// The newest instant of a column; one without a zone is of UTC.
fn newest(batch: &RecordBatch, column: usize) -> Result<Option<i64>> {
    let failed = |_| Error::failed("a column is no date and no timestamp, as it was planned to be");
    let column = batch.columns().get(column).ok_or_else(|| Error::failed("a planned column is not there"))?;
    let to = match column.data_type() {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    };
    let instants = cast(column, &to).map_err(failed)?;
    let instants: &TimestampMicrosecondArray = instants.as_primitive::<TimestampMicrosecondType>();
    Ok(max(instants))
}

/// How far a run is from the last one, where that is too far. Where the last brought nothing, there is
/// nothing to compare with.
fn drift(now: &Facts, last: &Facts, rows_percent: Option<u64>, nulls_points: Option<u64>) -> Option<String> {
    let (rows, before) = (u128::from(now.rows), u128::from(last.rows));
    if before == 0 {
        return None;
    }
    let mut found = Vec::new();
    if rows_percent.is_some_and(|percent| rows.abs_diff(before) * 100 > u128::from(percent) * before) {
        found.push(format!("{} rows, and {} the last time", now.rows, last.rows));
    }
    if let Some(points) = nulls_points.filter(|_| rows > 0) {
        let strays = now.nulls.iter().filter(|(name, nulls)| {
            let Some(nulls_before) = last.nulls.get(*name) else { return false };
            // Shares of two row counts, compared without rounding.
            let apart = (u128::from(**nulls) * before).abs_diff(u128::from(*nulls_before) * rows);
            apart * 100 > u128::from(points) * rows * before
        });
        let names: Vec<String> = strays.map(|(name, _)| format!("`{name}`")).collect();
        if !names.is_empty() {
            found.push(format!("another share of NULL in {} than the last time", names.join(", ")));
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}
