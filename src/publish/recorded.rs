//! What Sealift wrote down with the versions that it published: how each column is protected, and what the
//! run brought.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::{Value, json};

use super::commit::commit_info;
use super::{Decided, Store, table};
use crate::error::Result;
use crate::spec::DatasetName;
use crate::spec::action::Options;

/// Commits looked back over for what a run brought.
const COMMITS_BACK: u64 = 100;

/// What the newest commits of Sealift say, as far as they say something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// What happened to each leaf column, by path. Empty where nothing is known.
    pub columns: BTreeMap<String, Decided>,
    /// What the last run of the stream brought.
    pub facts: Option<Facts>,
}

/// What a run brought to a dataset. It stands in the commit in the clear, so it counts open columns only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its rows.
    pub rows: u64,
    /// How many of them are NULL, by open column.
    pub nulls: BTreeMap<String, u64>,
}

impl Recorded {
    /// What is recorded in a dataset up to its version `newest`: of the columns by anybody, of what was
    /// brought by the `stream` (`pipeline/stream`), where one is asked for.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn load(
        store: &Store,
        dataset: &DatasetName,
        newest: u64,
        stream: Option<&str>,
    ) -> Result<Self> {
        let mut recorded = Self::default();
        let mut commits = table::commits(store, dataset, 0..=newest);
        while let Some((version, commit)) = commits.try_next().await? {
            let is_far = newest - version >= COMMITS_BACK || stream.is_none();
            if !recorded.columns.is_empty() && (recorded.facts.is_some() || is_far) {
                break;
            }
            let Some(info) = commit_info(&commit) else { continue };
            let ours = &info["sealift"];
            if recorded.columns.is_empty() {
                recorded.columns = columns(&ours["columns"]);
            }
            if recorded.facts.is_none() && stream.is_some_and(|stream| ours["stream"] == stream) && !is_far {
                recorded.facts = Facts::of(&ours["facts"]);
            }
        }
        Ok(recorded)
    }
}

/// What happened to each leaf column of a dataset, as the newest commit up to `newest` tells that says something of
/// columns. Empty where none does.
///
/// # Errors
/// As the store answers.
pub async fn decided(store: &Store, dataset: &DatasetName, newest: u64) -> Result<Vec<Decided>> {
    let mut commits = table::commits(store, dataset, 0..=newest);
    while let Some((_, commit)) = commits.try_next().await? {
        let Some(info) = commit_info(&commit) else { continue };
        let columns = info["sealift"]["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !columns.is_empty() {
            return Ok(columns.iter().filter_map(column_of).collect());
        }
    }
    Ok(Vec::new())
}

/// What happened to each leaf column by the commit of an upkeep that protects columns otherwise; empty for any other.
pub(super) fn resealed(commit: &[u8]) -> Vec<Decided> {
    let info = commit_info(commit).unwrap_or_default();
    let ours = &info["sealift"];
    let is_resealed = ours["upkeep"]["reseal"].is_object();
    let columns = ours["columns"].as_array().filter(|_| is_resealed);
    columns.into_iter().flatten().filter_map(column_of).collect()
}

/// One entry of a commit's `columns`.
pub(super) fn column_of(column: &Value) -> Option<Decided> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Decided {
        column: text(&column["column"])?,
        tag: text(&column["tag"]),
        action: text(&column["action"])?,
        key: text(&column["key"]),
        options: options_of(&column["options"]),
    })
}

/// The entry of a commit's `columns`.
pub(super) fn entry_of(decided: &Decided) -> Value {
    let mut entry =
        json!({"column": decided.column, "action": decided.action, "tag": decided.tag, "key": decided.key});
    if !decided.options.is_empty() {
        entry["options"] = json!(decided.options);
    }
    entry
}

fn options_of(recorded: &Value) -> Options {
    let options = recorded.as_object().into_iter().flatten();
    options.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn columns(recorded: &Value) -> BTreeMap<String, Decided> {
    let decided = recorded.as_array().into_iter().flatten().filter_map(column_of);
    decided.map(|decided| (decided.column.clone(), decided)).collect()
}

impl Facts {
    pub(super) fn to_json(&self) -> Value {
        json!({"rows": self.rows, "nulls": self.nulls})
    }

    fn of(recorded: &Value) -> Option<Self> {
        let nulls = recorded["nulls"].as_object()?.iter();
        let nulls =
            nulls.map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect::<Option<_>>()?;
        Some(Self { rows: recorded["rows"].as_u64()?, nulls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Mode;
    use crate::publish::fixture::{dataset, people, publish};
    use crate::publish::scripted::Scripted;

    #[tokio::test]
    async fn what_a_run_brought_is_there_for_the_next_one() {
        let store = Scripted::new([]).store();
        publish(&store, people(0..5), Mode::Append, "run-1").await.unwrap();
        let recorded = Recorded::load(&store, &dataset(), 0, Some("crm/public.people")).await.unwrap();
        let id = &recorded.columns["id"];
        assert_eq!((id.action.as_str(), id.tag.as_deref()), ("allow", Some("open")));
        assert_eq!(recorded.facts, None);
        let facts = Facts { rows: 5, nulls: BTreeMap::from([("id".to_owned(), 2)]) };
        assert_eq!(Facts::of(&facts.to_json()), Some(facts));
        assert_eq!(Facts::of(&Value::Null), None);
    }
}
