//! What must hold of a stream's rows.

use super::columns::distinct;
use super::quantity::duration_within;
use super::{not_empty, within};
use crate::error::Result;
use crate::spec::DatasetName;
use crate::spec::faults::{Fault, Faults, listed};
use crate::spec::pipeline::Position;
use crate::spec::quality::{Check, Demand, OnFail};
use crate::spec::raw::pipeline::Defaults;
use crate::spec::raw::placed::{Placed, Words};
use crate::spec::raw::quality as raw;

type List<T> = Placed<Vec<Placed<T>>>;

/// The keys of which an entry has one.
const DEMANDS: [&str; 9] =
    ["check", "not_null", "unique", "accepted", "range", "foreign_key", "row_count", "freshness", "drift"];

/// The stream's checks, else the pipeline's, which are checked where they stand.
pub(crate) fn checks(
    own: Option<&List<raw::Check>>,
    defaults: Option<&Defaults>,
    faults: &Faults<'_>,
) -> Option<Vec<Check>> {
    match own {
        Some(own) => listed_checks(own, faults),
        None => {
            let default = defaults.and_then(|defaults| defaults.quality.as_ref());
            Some(default.and_then(|list| listed_checks(list, &Faults::new(faults.text))).unwrap_or_default())
        }
    }
}

/// All checks of a list; `None` where one is wrong.
pub(crate) fn listed_checks(placed: &List<raw::Check>, faults: &Faults<'_>) -> Option<Vec<Check>> {
    let checks: Vec<Option<Check>> = placed.get()?.iter().map(|entry| check(entry, faults)).collect();
    checks.into_iter().collect()
}

fn check(placed: &Placed<raw::Check>, faults: &Faults<'_>) -> Option<Check> {
    let raw = placed.get()?;
    let on_fail = raw.on_fail.as_ref();
    let demand = demand(placed, raw, faults);
    let (line, column) = faults.text.position(placed.span.start);
    let on_fail_word = on_fail.map_or(Some(OnFail::Fail), |placed| placed.get().copied().map(word));
    let check = Check {
        demand: demand?,
        on_fail: on_fail_word?,
        position: Position { line: line as u64, column: column as u64 },
    };
    if let Some(on_fail) =
        on_fail.filter(|_| check.on_fail == OnFail::Quarantine && !check.demand.is_of_rows())
    {
        faults.push(
            Fault::new(on_fail.span, "no single row is to blame where this demand is not met")
                .help("write `on_fail: fail` or `on_fail: warn`"),
        );
        return None;
    }
    Some(check)
}

/// The one demand of an entry.
fn demand(placed: &Placed<raw::Check>, raw: &raw::Check, faults: &Faults<'_>) -> Option<Demand> {
    let given = [
        raw.check.as_ref().map(|placed| placed.key),
        raw.not_null.as_ref().map(|placed| placed.key),
        raw.unique.as_ref().map(|placed| placed.key),
        raw.accepted.as_ref().map(|placed| placed.key),
        raw.range.as_ref().map(|placed| placed.key),
        raw.foreign_key.as_ref().map(|placed| placed.key),
        raw.row_count.as_ref().map(|placed| placed.key),
        raw.freshness.as_ref().map(|placed| placed.key),
        raw.drift.as_ref().map(|placed| placed.key),
    ];
    match given.iter().flatten().collect::<Vec<_>>().as_slice() {
        [_] => {}
        [] => {
            faults.push(
                Fault::new(placed.span, "this entry of `quality` demands nothing")
                    .help(format!("begin with one of {}", listed(&DEMANDS))),
            );
            return None;
        }
        [_, second, ..] => {
            faults.push(
                Fault::new(**second, "an entry of `quality` has one demand")
                    .help("write the second as an entry of its own"),
            );
            return None;
        }
    }
    if let Some(check) = &raw.check {
        return faults.parse(check, condition).map(Demand::Sql);
    }
    if let Some(columns) = &raw.not_null {
        return names(columns, faults).map(Demand::NotNull);
    }
    if let Some(columns) = &raw.unique {
        return names(columns, faults).map(Demand::Unique);
    }
    if let Some(accepted) = &raw.accepted {
        return self::accepted(accepted, faults);
    }
    if let Some(range) = &raw.range {
        return self::range(range, faults);
    }
    if let Some(foreign_key) = &raw.foreign_key {
        return self::foreign_key(foreign_key, faults);
    }
    if let Some(row_count) = &raw.row_count {
        return self::row_count(row_count, faults);
    }
    if let Some(freshness) = raw.freshness.as_ref() {
        let freshness = freshness.get()?;
        let column = faults.parse(&freshness.column, not_empty);
        let max_age = faults.take(&freshness.max_age, |Words(text)| duration_within("1s", "3650days", text));
        return Some(Demand::Freshness { column: column?, max_age: max_age? });
    }
    drift(raw.drift.as_ref()?, faults)
}

/// SQL that holds something.
fn condition(text: &str) -> Result<String> {
    not_empty(text).map_err(|error| error.help("write what is true of every row, such as `balance >= 0`"))
}

fn accepted(placed: &Placed<raw::Accepted>, faults: &Faults<'_>) -> Option<Demand> {
    let raw = placed.get()?;
    let column = faults.parse(&raw.column, not_empty);
    let values: Option<Vec<String>> = raw.values.get()?.iter().map(words).collect();
    if raw.values.get().is_some_and(Vec::is_empty) {
        faults.push(Fault::new(raw.values.key, "no value is accepted").help("name at least one"));
        return None;
    }
    Some(Demand::Accepted { column: column?, values: values? })
}

fn range(placed: &Placed<raw::Range>, faults: &Faults<'_>) -> Option<Demand> {
    let raw = placed.get()?;
    let column = faults.parse(&raw.column, not_empty);
    if raw.min.is_none() && raw.max.is_none() {
        no_bound(placed.key, faults);
        return None;
    }
    let bound = |placed: &Option<Placed<Words>>| placed.as_ref().map_or(Some(None), |p| words(p).map(Some));
    Some(Demand::Range { column: column?, min: bound(&raw.min)?, max: bound(&raw.max)? })
}

fn foreign_key(placed: &Placed<raw::ForeignKey>, faults: &Faults<'_>) -> Option<Demand> {
    let raw = placed.get()?;
    let columns = names(&raw.columns, faults);
    let dataset = faults.parse(&raw.dataset, DatasetName::parse);
    let references = names(&raw.references, faults);
    let (columns, references) = (columns?, references?);
    if columns.len() != references.len() {
        faults.push(
            Fault::new(raw.references.key, "`columns` and `references` are not equally many")
                .help("name one column of the other dataset for each"),
        );
        return None;
    }
    Some(Demand::ForeignKey { columns, dataset: dataset?, references })
}

fn row_count(placed: &Placed<raw::RowCount>, faults: &Faults<'_>) -> Option<Demand> {
    let raw = placed.get()?;
    let min = faults.take_optional(raw.min.as_ref(), within(0, u64::MAX))?;
    let max = faults.take_optional(raw.max.as_ref(), within(0, u64::MAX))?;
    match (min, max) {
        (None, None) => {
            no_bound(placed.key, faults);
            None
        }
        (Some(least), Some(most)) if least > most => {
            faults.push(Fault::new(placed.key, "`min` is above `max`").help("exchange them"));
            None
        }
        _ => Some(Demand::RowCount { min, max }),
    }
}

fn drift(placed: &Placed<raw::Drift>, faults: &Faults<'_>) -> Option<Demand> {
    let raw = placed.get()?;
    let rows_percent = faults.take_optional(raw.rows_percent.as_ref(), within(0, 1_000_000))?;
    let nulls_points = faults.take_optional(raw.nulls_points.as_ref(), within(0, 100))?;
    if rows_percent.is_none() && nulls_points.is_none() {
        faults.push(
            Fault::new(placed.key, "this drift has no bound")
                .help("write `rows_percent: …`, `nulls_points: …`, or both"),
        );
        return None;
    }
    Some(Demand::Drift { rows_percent, nulls_points })
}

fn no_bound(span: crate::spec::text::Span, faults: &Faults<'_>) {
    faults.push(Fault::new(span, "this has no bound").help("write `min: …`, `max: …`, or both"));
}

/// Names of columns: at least one, none twice.
fn names(placed: &List<String>, faults: &Faults<'_>) -> Option<Vec<String>> {
    let names = distinct(placed.get()?, faults);
    if placed.get().is_some_and(Vec::is_empty) {
        faults.push(Fault::new(placed.key, "no column is named").help("write `[column]`"));
        return None;
    }
    names
}

fn words(placed: &Placed<Words>) -> Option<String> {
    placed.get().map(|Words(text)| text.clone())
}

const fn word(on_fail: raw::OnFail) -> OnFail {
    match on_fail {
        raw::OnFail::Fail => OnFail::Fail,
        raw::OnFail::Quarantine => OnFail::Quarantine,
        raw::OnFail::Warn => OnFail::Warn,
    }
}
