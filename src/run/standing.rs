//! What is published already, and whether a run may follow it.

use super::{Engine, StreamPlan, application};
use crate::error::{At, Error, Result};
use crate::keys::Purpose;
use crate::publish::{Mode, Publication, Store, Table};
use crate::spec::Pipeline;

/// What Sealift published to each plan's dataset, newest first, in the order of `plans`.
///
/// # Errors
/// `Held` when another pipeline's stream publishes what an overwriting one would replace, and when
/// the keys of a published dataset are missing: new keys under the old names would leave two kinds
/// of ciphertext in one table. Else those of the store.
pub async fn standing(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    plans: &[StreamPlan],
) -> Result<Vec<Vec<Publication>>> {
    let mut standing = Vec::with_capacity(plans.len());
    for plan in plans {
        let publications = Table::history(store, &plan.dataset).await?.unwrap_or_default().publications;
        if let Some(newest) = publications.first() {
            may_follow(engine, pipeline, plan, newest)
                .await
                .at(|| format!("stream {}", plan.relation.stream))?;
        }
        standing.push(publications);
    }
    Ok(standing)
}

async fn may_follow(
    engine: &Engine,
    pipeline: &Pipeline,
    plan: &StreamPlan,
    newest: &Publication,
) -> Result<()> {
    let dataset = &plan.dataset;
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
