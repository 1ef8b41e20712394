//! What comes of the checks when all rows have passed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use arrow::array::{Array as _, RecordBatch};
use arrow::compute::{filter, not};

use super::{Planned, Quality, Shared, Test};
use crate::error::{Error, Result};
use crate::protect::sealed::Keep;
use crate::publish::Facts;
use crate::spec::quality::OnFail;

/// What the rows of one run turned out to be, counted while they pass; of rows that are read part by part the
/// parts add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The rows that were judged.
    judged: Facts,
    /// Those of them that are published already.
    known: Facts,
    /// How many rows violate a check, by its place. Of a newest value that is too old there is one.
    violations: BTreeMap<usize, u64>,
}

impl Tally {
    /// Takes what one more part of the rows turned out to be.
    pub(super) fn add(&mut self, judged: Facts, violations: BTreeMap<usize, u64>) {
        join(&mut self.judged, judged);
        for (check, count) in violations {
            *self.violations.entry(check).or_default() += count;
        }
    }

    /// What the run brings to the dataset.
    pub(in crate::run) fn facts(&self) -> Facts {
        let known = |name: &String| self.known.nulls.get(name).copied().unwrap_or_default();
        let nulls = self.judged.nulls.iter();
        Facts {
            rows: self.judged.rows.saturating_sub(self.known.rows),
            nulls: nulls.map(|(name, nulls)| (name.clone(), nulls.saturating_sub(known(name)))).collect(),
        }
    }
}

fn join(all: &mut Facts, more: Facts) {
    all.rows += more.rows;
    for (name, nulls) in more.nulls {
        *all.nulls.entry(name).or_default() += nulls;
    }
}

impl Quality {
    /// The same `keep`, with the rows that it leaves out counted as those that are published already.
    pub(in crate::run) fn brought(&self, mut keep: Keep, tally: &Shared) -> Keep {
        let names: Vec<String> =
            self.open.iter().map(|index| self.rows.field(*index).name().clone()).collect();
        let tally = Arc::clone(tally);
        Box::new(move |batch| {
            let kept = keep(batch)?;
            if kept.true_count() < kept.len() {
                let known = known(batch, &not(&kept).map_err(|_| unfit())?, &names)?;
                join(&mut tally.lock().unwrap_or_else(PoisonError::into_inner).known, known);
            }
            Ok(kept)
        })
    }

    /// What is only told of the rows, now that all have passed.
    ///
    /// # Errors
    /// `Data`, naming checks and counts, where a demand with `on_fail: fail` is not met.
    pub(in crate::run) fn conclude(&self, tally: &Tally, last: Option<&Facts>) -> Result<Vec<String>> {
        let warnings = conclude(&self.checks, tally, last)?;
        for (line, text) in &warnings {
            tracing::warn!(line, "{text}");
        }
        Ok(warnings.into_iter().map(|(_, text)| text).collect())
    }
}

/// The rows of a batch that are published already.
fn known(batch: &RecordBatch, is_known: &arrow::array::BooleanArray, names: &[String]) -> Result<Facts> {
    let mut nulls = BTreeMap::new();
    for name in names {
        let Some(column) = batch.column_by_name(name) else { continue };
        let column = filter(column, is_known).map_err(|_| unfit())?;
        nulls.insert(name.clone(), column.logical_null_count() as u64);
    }
    Ok(Facts { rows: is_known.true_count() as u64, nulls })
}

#[cold]
fn unfit() -> Error {
    Error::failed("rows that are published already cannot be counted")
}

/// The warnings, each with its line in the pipeline.
pub(super) fn conclude(
    checks: &[Planned],
    tally: &Tally,
    last: Option<&Facts>,
) -> Result<Vec<(u64, String)>> {
    let facts = tally.facts();
    let (mut broken, mut warnings) = (Vec::new(), Vec::new());
    for (place, Planned { check, test }) in checks.iter().enumerate() {
        let violations = tally.violations.get(&place).copied().unwrap_or_default();
        let Some(finding) = finding(test, violations, &facts, last) else { continue };
        let (text, line) = (format!("{}: {finding}", check.demand), check.position.line);
        match check.on_fail {
            OnFail::Warn => warnings.push((line, text)),
            OnFail::Fail | OnFail::Quarantine => broken.push(format!("{text} (line {line} of the pipeline)")),
        }
    }
    match broken.as_slice() {
        [] => Ok(warnings),
        broken => Err(Error::data(broken.join("\n")).help(
            "mend the rows at the source, leave them out in `transform`, or change the check or its `on_fail`; \
             nothing of the stream was published",
        )),
    }
}

/// What is wrong, where something is.
fn finding(test: &Test, violations: u64, facts: &Facts, last: Option<&Facts>) -> Option<String> {
    match test {
        Test::Row(_) => rows(violations, "violates it", "violate it"),
        Test::ForeignKey { .. } => rows(violations, "has no counterpart", "have no counterpart"),
        Test::Unique(..) => rows(violations, "repeats a key", "repeat a key"),
        Test::RowCount { min, max } => {
            let rows = facts.rows;
            match (min, max) {
                (Some(min), _) if rows < *min => Some(format!("{rows} rows, and at least {min} are due")),
                (_, Some(max)) if rows > *max => Some(format!("{rows} rows, and at most {max} are due")),
                _ => None,
            }
        }
        Test::Freshness { .. } => {
            (violations > 0).then(|| "the newest value is older than `max_age`".to_owned())
        }
        Test::Drift { rows_percent, nulls_points } => drift(facts, last?, *rows_percent, *nulls_points),
    }
}

fn rows(count: u64, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 row {one}")),
        count => Some(format!("{count} rows {many}")),
    }
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
