//! Upkeep of published datasets, as people ask for it: where the table lies, the right to touch it, and how
//! its stream wants files to be.
//!
//! None of it is a run: nothing is read from a source. The ledger remembers the versions.

mod cells;
mod erase;
mod reseal;

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

pub use self::cells::cells;
pub use self::erase::{Beside, Erasure, Outcome, erase};
pub use self::reseal::{Changed, Demand, Outcome as Reseal, reseal};
use super::ledger::Lease;
use super::{Engine, Memory, RunId};
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Action};
use crate::publish::upkeep::{self, Compacted, Compaction, Retention, Swept};
use crate::publish::{Store, Table, Upkeep};
use crate::source;
use crate::spec::pipeline::{Parquet, Selector};
use crate::spec::{DatasetName, Pipeline, Stream};

/// How long versions are kept where nobody says otherwise; less needs to be said twice.
pub const RETENTION: Duration = Duration::from_hours(7 * 24);
/// Files that no commit names are at least so old before they go, unless it is certain that no run of this
/// machine is under way.
const STRAYS: Duration = Duration::from_hours(24);

/// What is asked of a compaction.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Files are to be of about this size; without it as the dataset's stream says.
    pub target_bytes: Option<u64>,
    /// Columns that rows are to be brought together by.
    pub cluster_by: Vec<String>,
}

/// Joins the small files of a dataset.
///
/// # Errors
/// `Usage` when there is no such dataset; `Invalid` for a quarantine, whose files say which run they belong
/// to; `Temporary` when another upkeep of it is under way; else those of [`Upkeep::compact`].
pub async fn compact(engine: &Engine, dataset: &DatasetName, wish: Wish) -> Result<Compacted> {
    let place = Place::find(engine, dataset).await?;
    if dataset.is_quarantine() {
        return Err(Error::invalid(format!("{dataset} is a quarantine, and its files are left as they are"))
            .help("its files tell which run they belong to; settled, its folder can be removed"));
    }
    let lease = lease(engine, dataset).await?;
    recorded(engine, Action::DatasetCompact, &dataset.to_string()).await?;
    let upkeep = place.upkeep(engine, dataset, &[]).await?;
    let compaction = Compaction {
        target_bytes: wish.target_bytes.unwrap_or(upkeep.parquet.file_size_bytes),
        cluster_by: wish.cluster_by,
        // Three copies of what is sorted are held.
        sort_bytes: Memory::of(engine.config.memory_limit_bytes).transform_bytes / 3,
    };
    Lease::under([&lease], upkeep.compact(&compaction, &RunId::draw().to_string())).await
}

/// What was removed, and whether files that no commit names were spared because runs are under way.
#[derive(Debug)]
pub struct Vacuumed {
    /// What was removed, or would be.
    pub swept: Swept,
    /// Strays stayed that may belong to a run which is under way: those younger than a day, or than it is.
    pub spared_strays: bool,
}

/// Removes what no version needs that was the newest within `retain` before `now`.
///
/// # Errors
/// `Usage` when there is no such dataset; `Temporary` when another upkeep of it is under way; else those of
/// [`upkeep::vacuum`].
pub async fn vacuum(
    engine: &Engine,
    dataset: &DatasetName,
    retain: Duration,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<Vacuumed> {
    let place = Place::find(engine, dataset).await?;
    let lease = lease(engine, dataset).await?;
    // While these are held no run of this machine writes files, nor takes any over.
    let leases = idle(engine).await?;
    let spared_strays = leases.is_none();
    let strays_since = match &leases {
        Some(_) => before(now, retain),
        None => before(now, retain.max(STRAYS)).min(oldest_writer(engine).await?),
    };
    let retention = Retention { versions_since: before(now, retain), strays_since };
    if !dry_run {
        let since = retention.versions_since.to_rfc3339_opts(SecondsFormat::Secs, true);
        recorded(engine, Action::DatasetVacuum, &format!("{dataset} versions before {since}")).await?;
    }
    let held = iter::once(&lease).chain(leases.iter().flatten());
    let swept = Lease::under(held, upkeep::vacuum(&place.store, dataset, &retention, dry_run)).await?;
    Ok(Vacuumed { swept, spared_strays })
}

/// Tells the audit trail what a person does: what cannot be told is not done.
async fn recorded(engine: &Engine, action: Action, subject: &str) -> Result<()> {
    audit::record(&engine.ledger, &audit::operator(), action, subject).await
}

/// Nothing that is older belongs to a run of this machine which may still publish it.
async fn oldest_writer(engine: &Engine) -> Result<DateTime<Utc>> {
    let began = engine.ledger.oldest_writer_ms().await?.and_then(DateTime::from_timestamp_millis);
    // The store's clock may be another one.
    let since = began.map(|began| began.checked_sub_signed(chrono::TimeDelta::hours(1)).unwrap_or(began));
    Ok(since.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// The instant that lies this far back; the first there is where none lies so far.
fn before(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = chrono::TimeDelta::from_std(by).ok();
    by.and_then(|by| now.checked_sub_signed(by)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// The right to run each pipeline; `None` where one is running.
async fn idle(engine: &Engine) -> Result<Option<Vec<Lease>>> {
    let mut leases = Vec::with_capacity(engine.pipelines.len());
    for pipeline in &engine.pipelines {
        match engine.ledger.lease(&pipeline.name).await? {
            Some(lease) => leases.push(lease),
            None => return Ok(None),
        }
    }
    Ok(Some(leases))
}

/// The right to touch the files of a dataset that no commit names.
async fn lease(engine: &Engine, dataset: &DatasetName) -> Result<Lease> {
    engine.ledger.lease_upkeep(dataset).await?.ok_or_else(|| {
        Error::temporary(format!("another upkeep of {dataset} is under way"))
            .help("wait for it, then run again")
    })
}

/// Where a dataset lies.
struct Place {
    store: Store,
}

impl Place {
    async fn find(engine: &Engine, dataset: &DatasetName) -> Result<Self> {
        for store in engine.stores()? {
            if Table::exists(&store, dataset).await? {
                return Ok(Self { store });
            }
        }
        Err(Error::new(Kind::Usage, format!("there is no dataset {dataset}"))
            .help("`sealift datasets` lists them"))
    }

    /// What it takes to work on the dataset's files. Which keys that may read and seal, and those of `others` beside the
    /// dataset's own, is told to the audit trail first: what cannot be told is not done.
    async fn upkeep<'a>(
        &'a self,
        engine: &'a Engine,
        dataset: &'a DatasetName,
        others: &[String],
    ) -> Result<Upkeep<'a>> {
        let mut keys = engine.keyring.around(dataset).await?;
        keys.extend_from_slice(others);
        audit::key_use(&engine.ledger, &audit::operator(), &format!("upkeep {dataset}"), &keys).await?;
        Ok(Upkeep {
            store: &self.store,
            keyring: &engine.keyring,
            dataset,
            journal: &engine.ledger,
            parquet: self.parquet(engine, dataset).await?,
            memory_bytes: Memory::of(engine.config.memory_limit_bytes).encode_bytes,
        })
    }

    /// How the stream that published last has its files written, where the configuration still knows it.
    async fn parquet(&self, engine: &Engine, dataset: &DatasetName) -> Result<Parquet> {
        let history = Table::recent(&self.store, dataset).await?.unwrap_or_default();
        let newest = history.publications.first().and_then(|one| one.stream.split_once('/'));
        let stream = newest.and_then(|(pipeline, stream)| {
            let of = |known: &&Arc<Pipeline>| known.name.as_str() == pipeline;
            let streams = &engine.pipelines.iter().find(of)?.streams;
            streams.iter().find(|known| is_of(known, stream))
        });
        Ok(stream.map(|stream| stream.parquet).unwrap_or_default())
    }
}

/// Whether a stream of this name comes from this entry of a pipeline.
fn is_of(entry: &Stream, stream: &str) -> bool {
    match &entry.selector {
        Selector::Table(pattern) => source::covers(pattern, stream),
        Selector::Query { name, .. } => name.as_str() == stream,
        Selector::Files(files) => files.name.as_str() == stream,
    }
}
