//! The source, read again and compared with what a receipt says of it.

use std::sync::atomic::Ordering;

use chrono::DateTime;
use futures::TryStreamExt as _;

use super::content::differing;
use super::whole::Whole;
use super::{Compared, Fault, Findings, What};
use crate::error::{At as _, Error, Kind, Result};
use crate::protect::{Digests, Sealed};
use crate::publish::receipt::Receipt;
use crate::publish::{Mode, Store, Table};
use crate::run::increment::Asked;
use crate::run::passage::{Found, Passage};
use crate::run::{Engine, load, plan, quarantine};
use crate::source::{self, Snapshot};
use crate::spec::{Pipeline, StreamName};

/// What the source gives now.
struct Again {
    rows: Told,
    snapshot: Option<String>,
}

/// What it is compared with.
enum Told {
    /// The rows of one version, as its receipt tells of them.
    Receipt { read: u64, written: u64, digests: Digests },
    /// All rows of the table, which many versions made.
    Table(Whole),
}

/// Reads the stream of the version's receipt from its source once more, through the same steps, and adds
/// what differs to the findings.
///
/// # Errors
/// `Usage` when the version has no receipt that can be read, or no pipeline of today published it, or the
/// stream keeps no more than its latest increment; else those of source and transform.
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
    let (differences, columns) = match &again.rows {
        Told::Receipt { read, written, digests } => of_receipt(&receipt, *read, *written, digests),
        Told::Table(whole) => whole.differences(receipt.version),
    };
    findings.faults.extend(
        differences
            .into_iter()
            .map(|message| Fault::of(What::SourceDiffers, receipt.version, format!("{message} ({why})"))),
    );
    findings.columns.extend(columns.into_iter().map(|column| (column, Compared::Source)));
    Ok(())
}

/// What differs from the receipt, and the columns that were compared.
fn of_receipt(receipt: &Receipt, read: u64, written: u64, digests: &Digests) -> (Vec<String>, Vec<String>) {
    let version = receipt.version;
    let counts =
        [("gives", read, receipt.rows.read), ("gives after the transform", written, receipt.rows.written)];
    let counted = counts.into_iter().filter(|(_, now, then)| now != then).map(|(what, now, then)| {
        format!("the source {what} {now} rows, and gave {then} to version {version}")
    });
    let valued = differing(receipt, digests).map(|column| {
        format!("the source has other values in column `{column}` than version {version} was made from")
    });
    let columns = digests.columns().iter().map(|digest| digest.column().to_owned());
    (counted.chain(valued).collect(), columns.collect())
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
    if plan.increment.is_some() && plan.mode == Mode::Overwrite {
        return Err(Error::new(
            Kind::Usage,
            "the stream keeps no more than what was new in its last run, which the source does not tell again",
        )
        .help("compare it without --against-source"));
    }
    if plan.dataset.to_string() != receipt.dataset {
        return Err(Error::new(Kind::Usage, format!("the stream publishes {} today", plan.dataset)));
    }
    let (rows, read) = load::counted(snapshot.read(&plan.relation, &plan.reads).await?);
    let (asked, found) = (Asked::everything(plan), Found::default());
    let taken_at = DateTime::parse_from_rfc3339(&receipt.started_at).unwrap_or_default().to_utc();
    let passage = Passage { engine, store, plan, asked: &asked, found: &found, taken_at };
    // What is rejected was counted, and is not looked at.
    let (rejects, forget) = quarantine::forgotten();
    let sealed = async {
        let rows = passage.take(rows, plan.quarantine.is_some().then_some(rejects)).await?;
        let sealed = Sealed::seal(&plan.protection, rows, &engine.keyring).await?;
        if plan.mode == Mode::Merge || plan.increment.is_some() {
            let table = Table::load(store, &plan.dataset, Some(receipt.version)).await?;
            let table = table.ok_or_else(|| Error::failed("the version is gone"))?;
            return Whole::compare(engine, store, plan, &table, sealed).await.map(Told::Table);
        }
        let (written, digests) = digest(sealed).await?;
        Ok(Told::Receipt { read: read.load(Ordering::Relaxed), written, digests })
    };
    let (rows, ()) = tokio::join!(sealed, forget);
    Ok(Again { rows: rows?, snapshot: snapshot.id() })
}

/// The digests of the rows, which are thrown away.
async fn digest(sealed: Sealed) -> Result<(u64, Digests)> {
    let tally = sealed.tally().clone();
    let mut batches = sealed.into_batches();
    let mut written = 0;
    while let Some(batch) = batches.try_next().await? {
        written += batch.num_rows() as u64;
    }
    Ok((written, tally.digests()))
}
