//! What the log says of live files and of the table, compared with what was published: a checkpoint is covered by
//! no signature.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use super::chain::{Chain, Replay};
use super::{Fault, Question, What};
use crate::error::Result;
use crate::publish::path::file_name;
use crate::publish::{Table, table};

/// Compares what the log says of live files with what was published: rows and size with their receipts, and the
/// values of their folders and their statistics with the commits that added them, as far as those are kept.
pub(super) fn files(
    table: &Table,
    chain: &Chain,
    replay: &Replay<'_>,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) {
    let mut unknown = 0;
    for file in &table.files {
        let name = file_name(&file.path);
        let Some((version, expected)) = replay.expected.get(name) else { continue };
        let mut differs = Vec::new();
        if file.rows.is_some_and(|rows| rows != expected.rows) {
            differs.push("its rows");
        }
        if file.bytes != expected.bytes {
            differs.push("its size");
        }
        match chain.entries.get(name) {
            Some(entry) => {
                let is_same = |(column, now): &(String, Option<String>)| match (
                    now.as_deref(),
                    entry.partition[column.as_str()].as_str(),
                ) {
                    (Some(now), Some(then)) => same_value(now, then),
                    (now, then) => now.is_none() && then.is_none(),
                };
                if !file.partition.iter().all(is_same) {
                    differs.push("the values of its folder");
                }
                if !same_statistics(file.stats.as_deref(), entry.stats.as_deref()) {
                    differs.push("its statistics");
                }
            }
            None => unknown += 1,
        }
        if !differs.is_empty() {
            let path = &file.path;
            let differs = differs.join(" and ");
            let message =
                format!("the log tells of {path} otherwise than version {version} published it: {differs}");
            faults.push(Fault::at(What::AlteredEntry, Some(*version), path, message));
        }
    }
    if unknown > 0 {
        notes.push(format!(
            "statistics and folders of {unknown} files are not compared: the commits that added them are cleaned up"
        ));
    }
}

/// Whether statistics are those that were published, or fewer. A reader may have written them anew.
fn same_statistics(now: Option<&str>, then: Option<&str>) -> bool {
    let (Some(now), Some(then)) = (now, then) else { return now.is_none() };
    let parsed = |text| serde_json::from_str::<Value>(text).ok();
    now == then || parsed(now).zip(parsed(then)).is_some_and(|(now, then)| is_within(&now, &then))
}

fn is_within(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Null, _) => true,
        (Value::Object(now), _) => {
            let told = now.iter().filter(|(name, _)| *name != "tightBounds");
            told.into_iter().all(|(name, now)| is_within(now, &then[name.as_str()]))
        }
        (now, then) => same_value(&text(now), &text(then)),
    }
}

fn text(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

/// Whether two texts are of one value: numbers and instants are written in more than one way.
fn same_value(now: &str, then: &str) -> bool {
    if now == then {
        return true;
    }
    if let (Ok(now), Ok(then)) = (now.parse::<i128>(), then.parse::<i128>()) {
        return now == then;
    }
    if let (Ok(now), Ok(then)) = (now.parse::<f64>(), then.parse::<f64>()) {
        return now.total_cmp(&then).is_eq();
    }
    instant(now).is_some_and(|now| instant(then) == Some(now))
}

fn instant(text: &str) -> Option<NaiveDateTime> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|at| at.naive_utc());
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    zoned.or_else(|| forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()))
}

/// Compares the table's columns with the newest commit of ours that set them, where the log still has it.
///
/// # Errors
/// As the store answers.
pub(super) async fn columns(
    question: &Question<'_>,
    table: &Table,
    chain: &Chain,
    faults: &mut Vec<Fault>,
) -> Result<()> {
    let Some(then) = &chain.metadata else { return Ok(()) };
    let now = table::columns(question.store, question.dataset, table.version).await?;
    let then = then["schemaString"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    if then.is_some() && then != now {
        let message = "the log tells of the table's columns otherwise than they were published".to_owned();
        faults.push(Fault::of(What::AlteredEntry, table.version, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_agree_however_they_are_written() {
        let then = r#"{"numRecords":3,"minValues":{"a":1,"b":"2024-01-01T00:00:00.000Z","c":1.50},"nullCount":{"a":0}}"#;
        let same = [
            then,
            r#"{"numRecords":3}"#,
            r#"{"numRecords":3,"tightBounds":true,"minValues":{"a":1,"b":"2024-01-01T00:00:00Z","c":"1.5","d":null}}"#,
        ];
        for now in same {
            assert!(same_statistics(Some(now), Some(then)), "{now}");
        }
        assert!(same_statistics(None, Some(then)) && !same_statistics(Some(then), None));
        let other = [
            r#"{"numRecords":2}"#,
            r#"{"minValues":{"a":2}}"#,
            r#"{"minValues":{"d":1}}"#,
            r#"{"maxValues":{"a":1}}"#,
            r#"{"minValues":{"b":"2024-01-02T00:00:00Z"}}"#,
        ];
        for now in other {
            assert!(!same_statistics(Some(now), Some(then)), "{now}");
        }
    }

    #[test]
    fn folders_agree_however_instants_are_written() {
        assert!(same_value("2024-01-01 00:00:00", "2024-01-01T00:00:00.000000Z"));
        assert!(!same_value("9007199254740993", "9007199254740992") && !same_value("CH", "DE"));
    }
}
