//! A plan that is asked for by itself: the source is looked at, and nothing is written.

use serde_json::Value;

use super::{Planned, StreamPlan, all, streams, told};
use crate::error::{At, Error, Result};
use crate::publish::Store;
use crate::run::classification::Look;
use crate::run::{Engine, Extent, standing};
use crate::source;
use crate::spec::{Pipeline, StreamName};

/// What a run would do.
#[derive(Debug)]
pub struct Rehearsal {
    /// Each stream for programs, as [`told::stream`] has it.
    pub streams: Vec<Value>,
    /// Why a run would not come to its end, as far as can be told before it.
    pub error: Option<Error>,
}

/// Plans the streams of a pipeline, or the one named `only`.
///
/// # Errors
/// Those of the source and of [`streams`]; what stands in the way of single streams is an answer.
pub async fn rehearse(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    look: Look,
) -> Result<Rehearsal> {
    let (store, planned) = planned(engine, pipeline, only, look).await?;
    let streams = planned.iter().map(told::stream).collect();
    let error = runnable(engine, pipeline, &store, planned).await.err();
    Ok(Rehearsal { streams, error })
}

/// The columns of one stream and what they come from.
///
/// # Errors
/// As [`rehearse`], and what stands in the way of the stream's plan.
pub async fn lineage(engine: &Engine, pipeline: &Pipeline, only: &StreamName) -> Result<Vec<told::Column>> {
    let (_, planned) = planned(engine, pipeline, Some(only), Look::Needed).await?;
    Ok(all(planned)?.iter().flat_map(told::columns).collect())
}

async fn planned(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    look: Look,
) -> Result<(Store, Vec<Planned>)> {
    let (store, connection) = engine.places(pipeline)?;
    let mut snapshot = source::open(connection, engine.gate(pipeline))?.snapshot().await?;
    let planned = streams(engine, &store, pipeline, only, &mut *snapshot, look).await;
    // However it ended, nothing of it is left running at the source.
    snapshot.close().await;
    Ok((store, planned?))
}

/// The plans, if every stream has one and may follow what is published; each with whether it reads on from a cursor.
///
/// # Errors
/// That of the first stream in whose way something stands.
pub async fn runnable(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    planned: Vec<Planned>,
) -> Result<Vec<(StreamPlan, bool)>> {
    let plans = all(planned)?;
    let standing = standing(engine, pipeline, store, &plans, &Extent::New, true).await?;
    let mut runnable = Vec::with_capacity(plans.len());
    for (plan, standing) in plans.into_iter().zip(&standing) {
        let goes_on = match &plan.increment {
            Some(increment) => increment
                .goes_on(engine, pipeline, &plan, standing)
                .await
                .at(|| format!("stream {}", plan.relation.stream))?,
            None => false,
        };
        runnable.push((plan, goes_on));
    }
    Ok(runnable)
}
