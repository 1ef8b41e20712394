//! Published columns are protected as the policy asks by now, without their source.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use super::{Place, lease};
use crate::error::{Error, Kind, Result};
use crate::govern::audit;
use crate::protect;
use crate::publish::upkeep::{Resealed, Wanted};
use crate::publish::{Decided, Table, recorded};
use crate::run::ledger::Lease;
use crate::run::policy::{Ask, Then, stands_for};
use crate::run::{Engine, RunId};
use crate::spec::{Action, DatasetName, PipelineName, Tag};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Only these leaf columns; all without any.
    pub columns: Vec<String>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// A column that is not as the policy asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Leaf path.
    pub column: String,
    /// Its tag.
    pub tag: Option<String>,
    /// The word of the action that made it.
    pub from: String,
    /// What it becomes.
    pub to: Action,
}

/// What was done, or would be.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The columns that are, or would be, sealed otherwise.
    pub changed: Vec<Changed>,
    /// What was made; `None` where nothing was to be done, or only said.
    pub resealed: Option<Resealed>,
}

/// Seals the columns of a dataset otherwise that the policy in force asks more of than they are published with.
///
/// # Errors
/// `Usage` when there is no such dataset, or no such column; `Invalid` for a quarantine; `Held` for columns that no
/// rule covers, or whose values are gone; `Temporary` when another upkeep of it is under way, or a pipeline runs that
/// publishes it; else those of [`crate::publish::Upkeep::reseal`].
pub async fn reseal(engine: &Engine, dataset: &DatasetName, demand: &Demand) -> Result<Outcome> {
    let place = Place::find(engine, dataset).await?;
    if dataset.is_quarantine() {
        return Err(Error::invalid(format!("{dataset} is a quarantine, and its files are left as they are"))
            .help("its files tell which run they belong to; settled, its folder can be removed"));
    }
    let lease = lease(engine, dataset).await?;
    // A run that was planned under the policy before would add rows as that one asked.
    let publishers = publishers(engine, &place, dataset).await?;
    let table = Table::load(&place.store, dataset, None).await?;
    let table = table.ok_or_else(|| Error::failed(format!("there is no table of {dataset}")))?;
    let recorded = recorded::decided(&place.store, dataset, table.version).await?;
    check_columns(dataset, &recorded, &demand.columns)?;
    let changed = changed(engine, dataset, &recorded, &demand.columns)?;
    if changed.is_empty() || demand.dry_run {
        return Ok(Outcome { changed, resealed: None });
    }
    let actions: BTreeMap<String, Action> =
        changed.iter().map(|one| (one.column.clone(), one.to.clone())).collect();
    let (policy, policy_digest) = (engine.policy.name.clone(), engine.policy.digest.clone());
    let wanted = Wanted { recorded, actions, policy, policy_digest };
    let told: Vec<String> = changed.iter().map(|one| format!("{} {}", one.column, one.to)).collect();
    let subject = format!("{dataset} by policy {}: {}", engine.policy.name, told.join(", "));
    super::recorded(engine, audit::Action::ColumnReseal, &subject).await?;
    let upkeep = place.upkeep(engine, dataset, &shared(engine, dataset, &changed).await?).await?;
    let held = iter::once(&lease).chain(&publishers);
    let resealed = Lease::under(held, upkeep.reseal(&wanted, &RunId::draw().to_string())).await?;
    tracing::info!(%dataset, resealed.version, "columns were sealed otherwise");
    Ok(Outcome { changed, resealed: Some(resealed) })
}

/// The keys of what columns become that are not the dataset's own: those of join domains.
async fn shared(engine: &Engine, dataset: &DatasetName, changed: &[Changed]) -> Result<Vec<String>> {
    let mut keys = BTreeSet::new();
    for Changed { column, to, .. } in changed {
        let purpose = protect::purpose(dataset, column, to);
        if let Some(purpose) = purpose.filter(|purpose| purpose.base_id().starts_with("sealift:join/")) {
            // One that is not there yet is made.
            keys.insert(engine.keyring.peek(&purpose).await?.unwrap_or_else(|| purpose.base_id()));
        }
    }
    Ok(keys.into_iter().collect())
}

/// The right to run each pipeline that published the dataset lately, of those there are.
async fn publishers(engine: &Engine, place: &Place, dataset: &DatasetName) -> Result<Vec<Lease>> {
    let history = Table::recent(&place.store, dataset).await?.unwrap_or_default();
    let streams = history.publications.iter().filter_map(|one| one.stream.split_once('/'));
    let mut names: Vec<&str> = streams.map(|(pipeline, _)| pipeline).collect();
    names.sort_unstable();
    names.dedup();
    let is_known = |name: &PipelineName| names.contains(&name.as_str());
    let known = engine.pipelines.iter().map(|pipeline| &pipeline.name).filter(|name| is_known(name));
    let mut leases = Vec::new();
    for name in known {
        leases.push(engine.lease(name).await?);
    }
    Ok(leases)
}

fn check_columns(dataset: &DatasetName, recorded: &[Decided], asked: &[String]) -> Result<()> {
    if recorded.is_empty() {
        return Err(Error::held(format!("the log of {dataset} does not tell how its columns are protected"))
            .help("publish it again from its source"));
    }
    let is_there = |name: &&String| recorded.iter().any(|decided| decided.column == **name);
    match asked.iter().find(|name| !is_there(name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = recorded.iter().map(|decided| decided.column.as_str()).collect();
            Err(Error::new(Kind::Usage, format!("{dataset} has no column `{name}`"))
                .help(format!("its columns are: {}", names.join(", "))))
        }
    }
}

/// The columns that are not as the policy asks.
fn changed(
    engine: &Engine,
    dataset: &DatasetName,
    recorded: &[Decided],
    asked: &[String],
) -> Result<Vec<Changed>> {
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    for decided in recorded.iter().filter(|decided| asked.is_empty() || asked.contains(&decided.column)) {
        let Some(ask) = stands_for(&engine.policy, decided, recorded) else { continue };
        let column = &decided.column;
        match (Then::of(decided, &ask, None), ask) {
            (Then::Nothing, _) => {}
            (Then::Reseal, Ask::Action(to)) => changed.push(Changed {
                column: column.clone(),
                tag: decided.tag.clone(),
                from: decided.action.clone(),
                to,
            }),
            (Then::PublishAgain, ask) => problems.push(format!(
                "column `{column}`: it is published as `{}`, and `{}` needs its values, which are gone",
                decided.action,
                ask.shown()
            )),
            (Then::Refused | Then::Reseal, _) => {
                let tag = decided.tag.as_deref().and_then(|tag| Tag::parse(tag).ok());
                let tag = tag.map_or_else(|| "it has no tag".to_owned(), |tag| format!("its tag is {tag}"));
                problems.push(format!("column `{column}`: {tag}, and no policy rule covers it"));
            }
        }
    }
    if problems.is_empty() {
        return Ok(changed);
    }
    Err(Error::held(problems.join("\n"))
        .help(
            "publish again from the source (`sealift sync PIPELINE --full-refresh`, with write_mode: overwrite); \
             --column reseals the others before that",
        )
        .at(format!("dataset {dataset}")))
}
