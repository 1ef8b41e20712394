//! The actions of one commit, as Delta writes them: one JSON object per line.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::head::{self, Head, Live};
use super::{Attempt, Change, Effect, Outcome, Rewrite, schema};
use crate::error::{Error, Result};
use crate::keys::Note;
use crate::publish::history::{Account, Publication};
use crate::publish::parquet::{File, Written};
use crate::publish::receipt::UNNAMED;
use crate::publish::recorded::{column_of, entry_of};
use crate::publish::{Facts, ObjectPath};
use crate::spec::DatasetName;

/// The setting that names the columns which Delta writers may keep statistics of: the open ones.
pub(in crate::publish) const OPEN_COLUMNS: &str = "delta.dataSkippingStatsColumns";
/// Statistics of the first so many columns: 0 where no column is open.
const STATISTICS_COUNT: &str = "delta.dataSkippingNumIndexedCols";

/// What a commit is to change, and the files it makes visible.
pub(super) struct Actions<'a> {
    pub(super) change: &'a Change<'a>,
    pub(super) written: &'a Written,
}

impl Actions<'_> {
    /// The commit's bytes on top of `head` (`None`: a new table).
    ///
    /// # Errors
    /// `Held` when rows are appended that do not fit the table.
    pub(super) fn derive(&self, head: Option<&Head>, attempt: &Attempt<'_>) -> Result<Vec<u8>> {
        let now_ms = attempt.now_ms;
        let rows = schema::of(self.change.schema)?;
        let mut actions = vec![json!({"commitInfo": self.commit_info(head, attempt)})];
        // Where rows are only taken back, or none are brought, the table stays as it is.
        let is_fence = matches!(self.change.effect, Effect::Fence);
        let stays = self.only_withdraws() || (is_fence && head.is_some());
        if !stays {
            if let Some(head) = head.filter(|_| self.change.effect.keeps()) {
                self.check_append(head, &rows)?;
            }
            actions.extend(protocol(head, schema::needs_timestamp_ntz(&rows)));
            actions.extend(self.metadata(head, &rows, now_ms)?);
        }
        // What was there before is no publication of the stream.
        if !self.change.evolution.reshapes {
            actions.push(json!({"txn": {
                "appId": head::app_id(&self.change.provenance.stream),
                "version": head.and_then(|head| head.txn).map_or(0, |version| version + 1),
                "lastUpdated": now_ms,
            }}));
        }
        let data_change = !matches!(self.change.effect, Effect::Rewrite(Rewrite { changes_rows: false, .. }));
        let gone = head.map_or(&[][..], |head| &head.files);
        actions.extend(files(gone, self.written, self.change.dataset, data_change, now_ms)?);
        Ok(lines(&actions))
    }

    /// What the commit adds as `version`.
    pub(super) fn outcome(&self, version: u64) -> Outcome {
        let carried = match self.change.effect {
            Effect::Rewrite(rewrite) => rewrite.carried,
            _ => 0,
        };
        let rows = self.written.rows.saturating_sub(carried);
        Outcome { version, rows, bytes: self.written.bytes, receipt: None }
    }

    fn only_withdraws(&self) -> bool {
        let Change { effect, evolution, .. } = self.change;
        let withdraws = matches!(effect, Effect::Append { withdrawn: [_, ..], .. });
        withdraws && !evolution.reshapes && self.written.files.is_empty()
    }

    fn check_append(&self, head: &Head, rows: &Value) -> Result<()> {
        let evolution = self.change.evolution;
        let mut differences = match evolution.reshapes {
            true => Vec::new(),
            false => schema::differences(&head.schema, rows, evolution),
        };
        if head.partition_by != self.change.partition_by {
            differences.push(format!(
                "the table is partitioned by [{}] and the rows by [{}]",
                head.partition_by.join(", "),
                self.change.partition_by.join(", ")
            ));
        }
        if !differences.is_empty() {
            return Err(Error::held(format!("the rows do not fit the table: {}", differences.join("; ")))
                .help("mend the stream's SQL, or publish once with write_mode: overwrite"));
        }
        Ok(())
    }

    fn commit_info(&self, head: Option<&Head>, attempt: &Attempt<'_>) -> Value {
        let Attempt { commit_id, now_ms, salt, .. } = *attempt;
        let Change { effect, provenance, partition_by, .. } = *self.change;
        let by = json!(partition_by).to_string();
        // Texts holding JSON, as Delta has it.
        let (operation, parameters) = match effect {
            Effect::Overwrite => ("WRITE", json!({"mode": "Overwrite", "partitionBy": by})),
            Effect::Append { .. } | Effect::Fence => ("WRITE", json!({"mode": "Append", "partitionBy": by})),
            Effect::Rewrite(Rewrite { changes_rows: true, .. }) => ("MERGE", json!({})),
            Effect::Rewrite(_) => ("OPTIMIZE", json!({})),
        };
        let withdrawn = match effect {
            Effect::Append { withdrawn, .. } => withdrawn,
            _ => &[],
        };
        let columns: Vec<_> = provenance.columns.iter().map(entry_of).collect();
        // A run is known by the commit that holds its rows, and what was there before is not its own.
        let run_id = match effect {
            _ if self.change.evolution.reshapes => "reshaped_by",
            Effect::Fence => "fenced_by",
            _ => "run_id",
        };
        json!({
            "timestamp": now_ms,
            "operation": operation,
            "operationParameters": parameters,
            "readVersion": head.map(|head| head.version),
            "isBlindAppend": !effect.removes(),
            "engineInfo": format!("sealift/{}", env!("CARGO_PKG_VERSION")),
            "txnId": commit_id,
            "sealift": {
                "commit_id": commit_id,
                run_id: provenance.run_id,
                "stream": provenance.stream,
                "spec_digest": provenance.spec_digest,
                "policy": provenance.policy,
                "policy_digest": provenance.policy_digest,
                "snapshot": provenance.snapshot,
                "columns": columns,
                "cursor": provenance.cursor,
                "window": provenance.window,
                "withdrawn": withdrawn,
                "rows": self.outcome(0).rows,
                "bytes": self.written.bytes,
                "quarantined": provenance.rows.quarantined,
                "trigger": provenance.trigger,
                "started_ms": provenance.started_ms,
                "receipt": UNNAMED,
                "salt": salt,
                "facts": provenance.facts.as_ref().map(Facts::to_json),
            },
        })
    }

    /// The `metaData` action, where the table is new or anything in it changes.
    fn metadata(&self, head: Option<&Head>, rows: &Value, now_ms: i64) -> Result<Option<Value>> {
        let Change { open, schema: planned, partition_by, .. } = *self.change;
        let mut configuration = head.map(|head| head.configuration.clone()).unwrap_or_default();
        statistics(&mut configuration, open, planned, partition_by);
        // An append keeps the table's own columns, order and all; new ones come behind them.
        let schema = match head {
            Some(head) if self.change.effect.keeps() && !self.change.evolution.reshapes => {
                &schema::union(&head.schema, rows)
            }
            _ => rows,
        };
        if let Some(head) = head
            && head.schema == *schema
            && head.partition_by == partition_by
            && head.configuration == configuration
        {
            return Ok(None);
        }
        Ok(Some(described(head, schema, partition_by, &configuration, now_ms)))
    }
}

/// The `metaData` action of a table that keeps its id and what people call it.
pub(super) fn described(
    head: Option<&Head>,
    schema: &Value,
    partition_by: &[String],
    configuration: &BTreeMap<String, String>,
    now_ms: i64,
) -> Value {
    let mut metadata = json!({
        "id": head.map_or_else(|| uuid::Uuid::now_v7().to_string(), |head| head.table_id.clone()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(),
        "partitionColumns": partition_by,
        "configuration": configuration,
        "createdTime": head.and_then(|head| head.created_time).unwrap_or(now_ms),
    });
    let kept = [
        ("name", head.and_then(|head| head.name.as_ref())),
        ("description", head.and_then(|head| head.description.as_ref())),
    ];
    for (key, value) in kept {
        if let Some(value) = value {
            metadata[key] = value.as_str().into();
        }
    }
    json!({ "metaData": metadata })
}

/// Keeps other writers' statistics (of a compaction, say) to open columns.
pub(super) fn statistics(
    configuration: &mut BTreeMap<String, String>,
    open: &[String],
    schema: &SchemaRef,
    partition_by: &[String],
) {
    let reachable: Vec<_> = open
        .iter()
        .filter(|path| is_plain_leaf(schema.fields(), path) && !partition_by.contains(path))
        .map(String::as_str)
        .collect();
    configuration.remove(OPEN_COLUMNS);
    configuration.remove(STATISTICS_COUNT);
    if reachable.is_empty() {
        configuration.insert(STATISTICS_COUNT.into(), "0".into());
    } else {
        configuration.insert(OPEN_COLUMNS.into(), reachable.join(","));
    }
}

/// The `remove` and `add` actions: of the files that are `gone`, and of those that are written.
pub(super) fn files(
    gone: &[Live],
    written: &Written,
    dataset: &DatasetName,
    data_change: bool,
    now_ms: i64,
) -> Result<Vec<Value>> {
    let remove = |file: &Live| {
        Ok(json!({"remove": {
            "path": file.path.in_log(),
            "deletionTimestamp": now_ms,
            "dataChange": data_change,
            "extendedFileMetadata": true,
            "partitionValues": file.partition,
            "size": file.bytes,
        }}))
    };
    let add = |file: &File| {
        Ok(json!({"add": {
            "path": ObjectPath::existing(dataset, &file.path)?.in_log(),
            "partitionValues": file.partition,
            "size": file.bytes,
            "modificationTime": now_ms,
            "dataChange": data_change,
            "stats": file.stats,
        }}))
    };
    gone.iter().map(remove).chain(written.files.iter().map(add)).collect()
}

/// The bytes of a commit: one action per line.
pub(super) fn lines(actions: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for action in actions {
        bytes.extend_from_slice(action.to_string().as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// Whether a leaf path goes through structs only: Delta has no name for the inside of a list.
fn is_plain_leaf(fields: &arrow::datatypes::Fields, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some((_, field)) = fields.find(name) else { return false };
    match (field.data_type(), rest) {
        (arrow::datatypes::DataType::Struct(inner), Some(rest)) => is_plain_leaf(inner, rest),
        (data_type, None) => !data_type.is_nested(),
        _ => false,
    }
}

/// The `protocol` action, where the table is new or needs a feature it does not have.
fn protocol(head: Option<&Head>, timestamp_ntz: bool) -> Option<Value> {
    let with_feature = |writer: &[&str]| {
        json!({"protocol": {
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["timestampNtz"], "writerFeatures": writer,
        }})
    };
    match head {
        None if timestamp_ntz => Some(with_feature(&["timestampNtz"])),
        None => Some(json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})),
        // What version 2 meant without saying must now be said.
        Some(head) if timestamp_ntz && !head.has_timestamp_ntz => {
            Some(with_feature(&["appendOnly", "invariants", "timestampNtz"]))
        }
        Some(_) => None,
    }
}

/// The `commitInfo` of a commit's bytes.
pub(in crate::publish) fn commit_info(commit: &[u8]) -> Option<Value> {
    commit
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find_map(|mut action| action.get_mut("commitInfo").map(Value::take))
}

/// The files that a commit's bytes `add` or `remove`, as the log writes their paths.
pub(in crate::publish) fn named(commit: &[u8], action: &str) -> Vec<String> {
    actions_of(commit, action).filter_map(|named| named["path"].as_str().map(str::to_owned)).collect()
}

/// The same, relative to the dataset's table; what lies elsewhere is left out.
pub(in crate::publish) fn named_below(dataset: &DatasetName, commit: &[u8], action: &str) -> Vec<String> {
    let relative = |path: String| Some(ObjectPath::of_log(dataset, &path)?.relative().to_owned());
    named(commit, action).into_iter().filter_map(relative).collect()
}

/// The actions of one kind in a commit's bytes.
pub fn actions_of<'c>(commit: &'c [u8], kind: &'c str) -> impl Iterator<Item = Value> + 'c {
    let lines = commit.split(|&byte| byte == b'\n');
    let actions = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    actions.filter_map(move |mut action| action.get_mut(kind).map(Value::take))
}

/// Whether a commit adds rows that were not there: not where files are compacted, or take a new schema.
pub(super) fn brings_rows(commit: &[u8]) -> bool {
    let is_reshaped = commit_info(commit).is_some_and(|info| info["sealift"]["reshaped_by"].is_string());
    !is_reshaped && actions_of(commit, "add").any(|added| added["dataChange"].as_bool() == Some(true))
}

/// What a commit of ours tells of its run; `None` when it is not one of ours.
pub(in crate::publish) fn publication(version: u64, commit: &[u8]) -> Option<Publication> {
    let info = commit_info(commit)?;
    let ours = &info["sealift"];
    let note = |name: &str| Note::deserialize(&ours[name]).ok();
    Some(Publication {
        run_id: ours["run_id"].as_str()?.to_owned(),
        stream: ours["stream"].as_str()?.to_owned(),
        outcome: Outcome {
            version,
            rows: ours["rows"].as_u64()?,
            bytes: ours["bytes"].as_u64()?,
            receipt: ours["receipt"].as_str().map(str::to_owned),
        },
        cursor: note("cursor"),
        window: note("window"),
        columns: ours["columns"].as_array()?.iter().filter_map(column_of).collect(),
        at_ms: info["timestamp"].as_i64()?,
        overwrites: info["operationParameters"]["mode"] == "Overwrite",
        withdrawn: ours["withdrawn"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
    })
}

/// All that a commit of ours tells of its run; `None` when it is not one of ours.
pub(in crate::publish) fn account(version: u64, commit: &[u8]) -> Option<Account> {
    let publication = publication(version, commit)?;
    let info = commit_info(commit)?;
    let ours = &info["sealift"];
    let committed_ms = info["timestamp"].as_i64().unwrap_or_default();
    Some(Account {
        publication,
        spec_digest: ours["spec_digest"].as_str().unwrap_or_default().to_owned(),
        trigger: ours["trigger"].as_str().unwrap_or_default().to_owned(),
        quarantined: ours["quarantined"].as_u64().unwrap_or_default(),
        started_ms: ours["started_ms"].as_i64().unwrap_or(committed_ms),
        committed_ms,
    })
}

/// The files that a commit's bytes add and remove, as the log writes their paths.
#[must_use]
pub fn files_of(commit: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let named = |action: &str| named(commit, action).into_iter().collect();
    (named("add"), named("remove"))
}
