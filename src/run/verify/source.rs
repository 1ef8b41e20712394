//! The source, read again and compared with what a receipt says of it.

use futures::TryStreamExt as _;

use super::content::differing;
use super::{Compared, Fault, Findings, What};
use crate::error::{At as _, Error, Kind, Result};
use crate::protect::{Digests, Sealed};
use crate::publish::receipt::Receipt;
use crate::publish::{Mode, Store};
use crate::run::{Engine, StreamPlan, plan, quarantine};
use crate::source::{self, Snapshot, convert};
use crate::spec::{Pipeline, StreamName};

/// What the source gives now.
struct Again {
    read: u64,
    written: u64,
    digests: Digests,
    snapshot: Option<String>,
}

/// Reads the stream of the version's receipt from its source once more, through the same transform, and adds
/// what differs to the findings.
///
/// # Errors
/// `Usage` when the version has no receipt that can be read, or no pipeline of today published it, or its
/// rows are not all that the stream reads; else those of source and transform.
pub async fn against(engine: &Engine, findings: &mut Findings) -> Result<()> {
    let Some(receipt) = findings.receipt.clone() else {
        return Err(Error::new(Kind::Usage, "the version has no receipt to compare the source with"));
    };
    let (pipeline, stream) = origin(engine, &receipt)?;
    let again = read(engine, pipeline, &stream, &receipt)
        .await
        .at(|| format!("stream {stream}"))
        .at(|| format!("pipeline {}", pipeline.name))?;
    if pipeline.digest != receipt.spec_digest {
        findings.notes.push(format!(
            "the document of pipeline {} changed since the version was published",
            pipeline.name
        ));
    }
    let why = explanation(&receipt, &again);
    findings.notes.push(format!("the source was read again: {why}"));
    let mut differs = |message: String| {
        let message = format!("{message} ({why})");
        findings.faults.push(Fault::of(What::SourceDiffers, receipt.version, message));
    };
    for (what, now, then) in [
        ("gives", again.read, receipt.rows.read),
        ("gives after the transform", again.written, receipt.rows.written),
    ] {
        if now != then {
            differs(format!("the source {what} {now} rows, and gave {then} to version {}", receipt.version));
        }
    }
    for column in differing(&receipt, &again.digests) {
        differs(format!(
            "the source has other values in column `{column}` than version {} was made from",
            receipt.version
        ));
    }
    for digest in again.digests.columns() {
        findings.columns.insert(digest.column().to_owned(), Compared::Source);
    }
    Ok(())
}

/// The pipeline and the stream that a receipt names.
fn origin<'e>(engine: &'e Engine, receipt: &Receipt) -> Result<(&'e Pipeline, StreamName)> {
    let unnamed = || Error::new(Kind::Usage, "the receipt names no pipeline and stream");
    let (pipeline, stream) = receipt.stream.split_once('/').ok_or_else(unnamed)?;
    Ok((engine.pipeline(pipeline)?, StreamName::parse(stream)?))
}

fn explanation(receipt: &Receipt, again: &Again) -> String {
    match (&receipt.source.snapshot, &again.snapshot) {
        (Some(then), Some(now)) if then == now => "at the same instant".to_owned(),
        (Some(_), Some(_)) => {
            "at another instant, so that a later change of the source may explain a difference".to_owned()
        }
        _ => "this source has no name for an instant, so that a later change of it may explain a difference"
            .to_owned(),
    }
}

async fn read(engine: &Engine, pipeline: &Pipeline, stream: &StreamName, receipt: &Receipt) -> Result<Again> {
    let (store, connection) = engine.places(pipeline)?;
    let source = source::open(connection, engine.gate(pipeline))?;
    let mut snapshot = source.snapshot().await?;
    let again = rows(engine, &store, pipeline, stream, receipt, &mut *snapshot).await;
    snapshot.close().await;
    again
}

async fn rows(
    engine: &Engine,
    store: &Store,
    pipeline: &Pipeline,
    stream: &StreamName,
    receipt: &Receipt,
    snapshot: &mut dyn Snapshot,
) -> Result<Again> {
    let plans = plan::every(engine, store, pipeline, Some(stream), snapshot).await?;
    let plan = plans.first().ok_or_else(|| Error::failed("the stream has no plan"))?;
    if plan.mode == Mode::Merge || plan.increment.is_some() {
        return Err(Error::new(
            Kind::Usage,
            "a version of a stream that is merged or incremental does not hold all rows of its source",
        )
        .help("compare it without --against-source"));
    }
    if plan.dataset.to_string() != receipt.dataset {
        return Err(Error::new(Kind::Usage, format!("the stream publishes {} today", plan.dataset)));
    }
    let read = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = read.clone();
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let rows = snapshot.read(&plan.relation, &plan.reads).await?;
    let rows = futures::StreamExt::boxed(rows.inspect_ok(move |batch| {
        counter.fetch_add(batch.num_rows() as u64, relaxed);
    }));
    let (rejects, mut rejected) = quarantine::queue();
    let rejects = plan.quarantine.is_some().then_some(rejects);
    let rows = convert::convert(rows, &plan.decisions, &plan.converted, rejects);
    // What is rejected was counted, and is not looked at.
    let drained = async { while rejected.recv().await.is_some() {} };
    let (digested, ()) = tokio::join!(digest(engine, plan, rows), drained);
    let (written, digests) = digested?;
    Ok(Again { read: read.load(relaxed), written, digests, snapshot: snapshot.id() })
}

/// The digests of the rows, which are sealed and thrown away.
async fn digest(engine: &Engine, plan: &StreamPlan, rows: crate::Batches) -> Result<(u64, Digests)> {
    let rows = plan.transform.apply(rows).await?;
    let sealed = Sealed::seal(&plan.protection, rows, &engine.keyring).await?;
    let tally = sealed.tally().clone();
    let mut batches = sealed.into_batches();
    let mut written = 0;
    while let Some(batch) = batches.try_next().await? {
        written += batch.num_rows() as u64;
    }
    Ok((written, tally.digests()))
}
