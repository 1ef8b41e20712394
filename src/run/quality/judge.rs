//! The checks at work on the rows of one run.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use arrow::array::{
    Array as _, AsArray as _, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, filter, filter_record_batch, max, not, or};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use futures::StreamExt as _;

use super::keys::{Hashing, Seen};
use super::outcome::{self, Tally};
use super::{Against, Planned, Quality, Shared, Test, present, share};
use crate::error::{Error, Result};
use crate::publish::Facts;
use crate::spec::quality::Check;
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
    Freshness {
        column: usize,
        oldest_micros: i64,
        newest_micros: Option<i64>,
    },
    /// Rows are counted for all.
    Count,
}

/// The checks of one run.
pub(in crate::run) struct Judge {
    checks: Arc<Vec<Planned>>,
    watches: Vec<Watch>,
    rows: SchemaRef,
    /// Rows that were passed on.
    passed: u64,
    /// The open columns, and how many NULLs each has.
    nulls: Vec<(usize, u64)>,
    shared: Shared,
    is_of_rows: bool,
    rejects: Option<Rejects>,
}

impl Quality {
    /// Passes the rows on, without those that go to `rejects`. When the last one has passed, they are
    /// in the `tally`, and [`Quality::conclude`] tells what comes of it.
    ///
    /// # Errors
    /// Those of reading the dataset of a foreign key. Items: `Data`, naming checks and counts, after the
    /// last row where a demand with `on_fail: fail` is not met and all demands are on single rows; `Failed` where memory does not suffice for
    /// the keys of the rows.
    pub(in crate::run) async fn judge(
        &self,
        rows: Batches,
        against: &Against<'_>,
        tally: &Shared,
        rejects: Option<Rejects>,
    ) -> Result<Batches> {
        let key_bytes = share(against.memory_limit_bytes, &self.checks);
        let mut watches = Vec::with_capacity(self.checks.len());
        for planned in self.checks.iter() {
            let sight = sight(planned, against, key_bytes).await?;
            watches.push(Watch { check: planned.check.clone(), sight, violations: 0 });
        }
        let judge = Judge {
            checks: Arc::clone(&self.checks),
            watches,
            rows: Arc::clone(&self.rows),
            passed: 0,
            nulls: self.open.iter().map(|index| (*index, 0)).collect(),
            shared: Arc::clone(tally),
            is_of_rows: self.is_of_rows(),
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
        Test::Freshness { column, max_age } => {
            let age_micros = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
            let oldest_micros = against.now_micros.saturating_sub(age_micros);
            Sight::Freshness { column: *column, oldest_micros, newest_micros: None }
        }
        Test::RowCount { .. } | Test::Drift { .. } => Sight::Count,
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

    /// Completes the tally. Demands on single rows are concluded here: a part of the rows that does not meet
    /// them is not to stay.
    fn conclude(self) -> Result<()> {
        let Self { checks, watches, rows, passed, nulls, shared, is_of_rows, .. } = self;
        let nulls = nulls.into_iter().map(|(index, nulls)| (rows.field(index).name().clone(), nulls));
        let facts = Facts { rows: passed, nulls: nulls.collect() };
        let violations: BTreeMap<usize, u64> = watches.iter().map(Watch::violations).enumerate().collect();
        shared.lock().unwrap_or_else(PoisonError::into_inner).add(facts.clone(), violations.clone());
        if is_of_rows {
            let mut own = Tally::default();
            own.add(facts, violations);
            outcome::conclude(&checks, &own, None)?;
        }
        Ok(())
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
            Sight::Count => {}
        }
        Ok(())
    }

    /// How many rows violate it; of a newest value that is too old there is one.
    fn violations(&self) -> u64 {
        match &self.sight {
            // Where no row has a value there is nothing to be old: `row_count` tells of that.
            Sight::Freshness { oldest_micros, newest_micros, .. } => {
                u64::from(newest_micros.is_some_and(|newest| newest < *oldest_micros))
            }
            _ => self.violations,
        }
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
