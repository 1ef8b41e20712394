//! The table a commit builds on: what of its newest version the next one must know.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use deltalake_core::kernel::EagerSnapshot;
use serde_json::Value;

use super::{Effect, Order, Rewrite, actions};
use crate::error::{Error, Result};
use crate::publish::path::ObjectPath;
use crate::publish::{Store, table};
use crate::spec::DatasetName;

/// Reader and writer features that this writer keeps. `appendOnly` is honoured, `invariants` are
/// refused where any column has one.
const KNOWN_FEATURES: [&str; 3] = ["appendOnly", "invariants", "timestampNtz"];

/// The newest version of a table that we may write to.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) version: u64,
    pub(super) table_id: String,
    pub(super) created_time: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// The parsed `schemaString`.
    pub(super) schema: Value,
    pub(super) partition_by: Vec<String>,
    pub(super) configuration: BTreeMap<String, String>,
    pub(super) has_timestamp_ntz: bool,
    /// Version of our last `txn` action.
    pub(super) txn: Option<i64>,
    /// The live files that the change removes.
    pub(super) files: Vec<Live>,
}

/// A live file, as a `remove` action names it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) path: ObjectPath,
    pub(super) bytes: i64,
    pub(super) partition: BTreeMap<String, Option<String>>,
}

/// What a commit can build on.
#[derive(Debug)]
pub(super) enum Base {
    /// There is no table yet.
    Nothing,
    /// Its newest version.
    Table(Box<Head>),
    /// A table whose files are no longer those that were read.
    Overtaken,
}

impl Head {
    /// Loads the newest version. `stream` is the one that publishes, where one does.
    ///
    /// # Errors
    /// `Temporary` when another run of the stream has published meanwhile, or rows came whose keys were not
    /// seen; those of [`table::snapshot`];
    /// `Failed` for a table that is not ours to write.
    pub(super) async fn load(
        store: &Store,
        dataset: &DatasetName,
        stream: Option<&str>,
        order: Order,
        effect: Effect<'_>,
    ) -> Result<Base> {
        let Some((log, snapshot)) = table::snapshot(store, dataset, None).await? else {
            check_order(order, None)?;
            return Ok(match effect {
                Effect::Rewrite(Rewrite { read_version: Some(_), .. }) => Base::Overtaken,
                _ => Base::Nothing,
            });
        };
        let txn = match stream {
            Some(stream) => table::transaction(&log, &snapshot, dataset, stream).await?,
            None => None,
        };
        check_order(order, txn)?;
        let files = match effect {
            Effect::Fence => Vec::new(),
            Effect::Overwrite => live_files(&snapshot, dataset)?,
            Effect::Append { withdrawn, unseen } => {
                check_seen(store, dataset, unseen, snapshot.version()).await?;
                let theirs = added(store, dataset, withdrawn).await?;
                let mut files =
                    if withdrawn.is_empty() { Vec::new() } else { live_files(&snapshot, dataset)? };
                files.retain(|file| theirs.contains(&file.path.in_log()));
                files
            }
            Effect::Rewrite(rewrite) => {
                let added = match rewrite.changes_rows {
                    true => {
                        let since = rewrite.read_version.map_or(0, |read| read + 1);
                        let adds = |commit: &[u8]| !actions::named(commit, "add").is_empty();
                        any(store, dataset, since..=snapshot.version(), adds).await?
                    }
                    false => false,
                };
                match replaced(live_files(&snapshot, dataset)?, rewrite, added) {
                    Some(files) => files,
                    None => return Ok(Base::Overtaken),
                }
            }
        };
        Self::of(&snapshot, effect, txn, files).map(|head| Base::Table(Box::new(head)))
    }

    fn of(snapshot: &EagerSnapshot, effect: Effect<'_>, txn: Option<i64>, files: Vec<Live>) -> Result<Self> {
        let has_timestamp_ntz = check_protocol(snapshot)?;
        let metadata = snapshot.metadata();
        let schema: Value = serde_json::to_value(snapshot.schema().as_ref())
            .map_err(|_| Error::failed("the table's schema cannot be read"))?;
        if has_invariants(&schema) {
            return Err(not_ours("a column of it has an invariant, which this writer does not check"));
        }
        let configuration: BTreeMap<_, _> =
            metadata.configuration().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let append_only = configuration.get("delta.appendOnly").is_some_and(|value| value == "true");
        if effect.loses_rows() && append_only {
            return Err(Error::failed(
                "the table is append-only (delta.appendOnly) and cannot be overwritten",
            )
            .help("use write_mode: append, or publish to another dataset"));
        }
        Ok(Self {
            version: snapshot.version(),
            table_id: metadata.id().to_owned(),
            created_time: metadata.created_time(),
            name: metadata.name().map(str::to_owned),
            description: metadata.description().map(str::to_owned),
            schema,
            partition_by: metadata.partition_columns().to_vec(),
            configuration,
            has_timestamp_ntz,
            txn,
            files,
        })
    }
}

/// The application id of our `txn` actions.
pub(in crate::publish) fn app_id(stream: &str) -> String {
    format!("sealift/{stream}")
}

fn check_order(order: Order, txn: Option<i64>) -> Result<()> {
    match order {
        Order::After(seen) if seen != txn => {
            Err(Error::temporary("another run of the stream published to the dataset meanwhile")
                .help("run it again: it then reads the source anew, and follows that run"))
        }
        _ => Ok(()),
    }
}

/// The files that these versions added, as the log writes their paths. A version whose commit is cleaned up
/// is as old as the table's history, and names none.
async fn added(store: &Store, dataset: &DatasetName, versions: &[u64]) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    for version in versions {
        let commit = table::read_commit(store, dataset, *version).await?;
        paths.extend(commit.iter().flat_map(|commit| actions::named(commit, "add")));
    }
    Ok(paths)
}

/// Whether the commit of any of these versions `is` one that is looked for. One that is cleaned up is taken to be.
async fn any(
    store: &Store,
    dataset: &DatasetName,
    versions: RangeInclusive<u64>,
    is: impl Fn(&[u8]) -> bool,
) -> Result<bool> {
    for version in versions {
        let commit = table::read_commit(store, dataset, version).await?;
        if commit.is_none_or(|commit| is(&commit)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses rows that were not compared with all keys that are there.
async fn check_seen(store: &Store, dataset: &DatasetName, unseen: Option<u64>, newest: u64) -> Result<()> {
    let Some(unseen) = unseen else { return Ok(()) };
    if any(store, dataset, unseen..=newest, actions::brings_rows).await? {
        return Err(Error::temporary("another writer added rows to the dataset meanwhile")
            .help("run it again: rows whose primary key is there by then are not added again"));
    }
    Ok(())
}

/// The files to replace, if the table still is as it was read.
fn replaced(live: Vec<Live>, rewrite: &Rewrite, added: bool) -> Option<Vec<Live>> {
    let wanted: BTreeSet<&str> = rewrite.replaced.iter().map(String::as_str).collect();
    let found: Vec<_> = live.into_iter().filter(|file| wanted.contains(file.path.relative())).collect();
    (!added && found.len() == wanted.len()).then_some(found)
}

fn live_files(snapshot: &EagerSnapshot, dataset: &DatasetName) -> Result<Vec<Live>> {
    let files = snapshot.try_log_data().map_err(|error| table::fault(&error, dataset))?;
    files
        .iter()
        .map(|file| {
            Ok(Live {
                path: ObjectPath::existing(dataset, &file.path())?,
                bytes: file.size(),
                partition: file.partition_values_map().into_iter().collect(),
            })
        })
        .collect()
}

fn not_ours(why: &str) -> Error {
    Error::failed(format!("the table is not ours to write: {why}"))
        .help("publish to another dataset, or let the tool that made this table write it")
}

/// Whether the table has the `timestampNtz` feature; an error for a table that asks its writers for
/// anything we do not know.
fn check_protocol(snapshot: &EagerSnapshot) -> Result<bool> {
    let protocol = snapshot.protocol();
    let mut features: Vec<String> = Vec::new();
    features.extend(protocol.reader_features().unwrap_or_default().iter().map(ToString::to_string));
    features.extend(protocol.writer_features().unwrap_or_default().iter().map(ToString::to_string));
    let mut unknown: Vec<_> =
        features.iter().filter(|name| !KNOWN_FEATURES.contains(&name.as_str())).cloned().collect();
    unknown.sort();
    unknown.dedup();
    if !unknown.is_empty() {
        return Err(not_ours(&format!("it uses the Delta features {}", unknown.join(", "))));
    }
    let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
    if !matches!((reader, writer), (1, 1 | 2 | 7) | (3, 7)) {
        return Err(not_ours(&format!(
            "it asks for Delta reader version {reader} and writer version {writer}"
        )));
    }
    Ok(features.iter().any(|name| name == "timestampNtz"))
}

fn has_invariants(schema: &Value) -> bool {
    match schema {
        Value::Array(items) => items.iter().any(has_invariants),
        Value::Object(map) => map.contains_key("delta.invariants") || map.values().any(has_invariants),
        _ => false,
    }
}
