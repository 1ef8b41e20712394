//! What is published already, and whether a run may follow it.

use super::{Engine, StreamPlan, application};
use crate::error::{At, Error, Result};
use crate::keys::Purpose;
use crate::publish::{History, Mode, Store, Table};
use crate::spec::{DatasetName, Pipeline};

/// What is published of one stream.
#[derive(Debug)]
pub struct Standing {
    /// To its dataset.
    pub dataset: History,
    /// To its quarantine; `None` where it has none, or there is no table yet.
    pub quarantine: Option<History>,
}

/// What Sealift published to each plan's datasets, in the order of `plans`.
///
/// # Errors
/// Those of [`super::contract::Comparison::check`]; `Held` when another pipeline's stream publishes what an overwriting one would replace, and when
/// the keys of a published dataset are missing: new keys under the old names would leave two kinds
/// of ciphertext in one table. Else those of the store.
pub async fn standing(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    plans: &[StreamPlan],
) -> Result<Vec<Standing>> {
    let mut standing = Vec::with_capacity(plans.len());
    for plan in plans {
        let dataset = history(engine, pipeline, store, plan, &plan.dataset).await?;
        let quarantine = match &plan.quarantine {
            Some(quarantine) => history(engine, pipeline, store, plan, &quarantine.dataset).await?,
            None => None,
        };
        plan.comparison.check().at(|| format!("stream {}", plan.relation.stream))?;
        if let Some(quarantine) = &plan.quarantine {
            let checked = quarantine.comparison.check();
            let checked = checked.at(|| format!("its quarantine {}", quarantine.dataset));
            checked.at(|| format!("stream {}", plan.relation.stream))?;
        }
        let nothing = || History { publications: Vec::new(), is_whole: true };
        standing.push(Standing { dataset: dataset.unwrap_or_else(nothing), quarantine });
    }
    Ok(standing)
}

/// What stands in one dataset of a stream, which the stream may follow.
async fn history(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    plan: &StreamPlan,
    dataset: &DatasetName,
) -> Result<Option<History>> {
    let history = Table::history(store, dataset).await?;
    if let Some(history) = &history {
        may_follow(engine, pipeline, plan, dataset, history)
            .await
            .at(|| format!("stream {}", plan.relation.stream))?;
    }
    Ok(history)
}

async fn may_follow(
    engine: &Engine,
    pipeline: &Pipeline,
    plan: &StreamPlan,
    dataset: &DatasetName,
    history: &History,
) -> Result<()> {
    let Some(newest) = history.publications.first() else { return Ok(()) };
    if plan.mode == Mode::Overwrite && newest.stream != application(pipeline, &plan.relation.stream) {
        return Err(Error::held(format!("dataset {dataset} is published by {}", newest.stream)).help(
            "give this stream a `dataset` of its own, or remove the table if it is meant to take over",
        ));
    }
    if engine.keyring.peek(&Purpose::Footer(dataset.clone())).await?.is_none() {
        return Err(Error::held(format!("dataset {dataset} is published, but its keys are not here"))
            .help("restore the keys folder that `keys` in the configuration names, or mount it"));
    }
    Ok(())
}
