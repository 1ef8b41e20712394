//! Rows are erased on request: from a dataset, and from its quarantine.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Place, lease};
use crate::error::{Error, Kind, Result};
use crate::govern::audit::Action;
use crate::keys::{Domain, Purpose};
use crate::publish::upkeep::{Doomed, Erased, Request};
use crate::publish::{History, Table, Upkeep};
use crate::run::ledger::Lease;
use crate::run::parts::kept;
use crate::run::quarantine::orphans;
use crate::run::{Engine, RunId};
use crate::spec::DatasetName;
use crate::transform::Condition;

/// Most characters of a reason.
const REASON_CHARS: usize = 200;
/// What stands for a column in the id of the key that makes digests of conditions.
const CONDITION: &str = "_condition";

/// What is asked for. No `Debug`: the condition may name somebody.
#[derive(Clone, Copy)]
pub struct Erasure<'a> {
    /// SQL over the published columns.
    pub condition: &'a str,
    /// Why; it is kept in the log and in the clear.
    pub reason: Option<&'a str>,
    /// Only count.
    pub dry_run: bool,
}

/// What was erased, or would be.
#[derive(Debug)]
pub struct Outcome {
    /// From the dataset.
    pub erased: Erased,
    /// From its quarantine.
    pub beside: Beside,
    /// The keyed digest that commits and the audit trail have of the condition; `None` where only counted.
    pub digest: Option<String>,
}

/// What became of the dataset's quarantine.
#[derive(Debug)]
pub enum Beside {
    /// There is none.
    None,
    /// Rows were looked for in it.
    Erased(DatasetName, Erased),
    /// The condition does not fit its columns; why.
    Unfit(DatasetName, String),
}

/// Erases the rows that meet a condition, recorded in the audit trail first.
///
/// # Errors
/// `Usage` when there is no such dataset, or for a reason that cannot be kept; `Invalid` for a condition
/// that does not fit the dataset; `Temporary` when another upkeep of it is under way, when a run ended
/// between its quarantine and its dataset, or when a pipeline runs of which parts of a load are kept; else those of [`Upkeep::erase`].
pub async fn erase(engine: &Engine, dataset: &DatasetName, erasure: Erasure<'_>) -> Result<Outcome> {
    check_reason(erasure.reason)?;
    let place = Place::find(engine, dataset).await?;
    let upkeep = place.upkeep(engine, dataset, &[]).await?;
    let doomed = doomed(&upkeep, erasure.condition).await?;
    let quarantine = match dataset.quarantine() {
        Ok(quarantine) if Table::exists(&place.store, &quarantine).await? => Some(quarantine),
        _ => None,
    };
    let lease = lease(engine, dataset).await?;
    for set_aside in quarantine.iter().chain(dataset.is_quarantine().then_some(dataset)) {
        settled(&place, set_aside).await?;
    }
    let digest = match erasure.dry_run {
        true => None,
        false => {
            let digest = recorded(engine, dataset, erasure.condition).await?;
            forget_parts(engine, &place, dataset).await?;
            Some(digest)
        }
    };
    let request = digest.clone().map(|digest| Request { digest, reason: erasure.reason.map(str::to_owned) });
    // Rows that a run set aside go first: the dataset's version is the last word.
    let beside = match quarantine {
        Some(quarantine) => {
            let upkeep = place.upkeep(engine, &quarantine, &[]).await?;
            beside(engine, &upkeep, erasure.condition, request.as_ref()).await?
        }
        None => Beside::None,
    };
    let erased = Lease::under([&lease], one(&upkeep, &doomed, request.as_ref())).await?;
    tracing::info!(%dataset, rows = erased.rows, version = erased.version, "rows were erased");
    Ok(Outcome { erased, beside, digest })
}

fn check_reason(reason: Option<&str>) -> Result<()> {
    let is_kept = |text: &str| text.chars().count() <= REASON_CHARS && !text.chars().any(char::is_control);
    if reason.is_none_or(is_kept) {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("a reason is one line of at most {REASON_CHARS} characters"))
        .help("name the request, such as its ticket; no names or values of people"))
}

/// The condition over the columns of a dataset as they are published.
async fn doomed(upkeep: &Upkeep<'_>, condition: &str) -> Result<Doomed> {
    let table = Table::load(upkeep.store, upkeep.dataset, None).await?;
    let table = table.ok_or_else(|| Error::failed(format!("there is no table of {}", upkeep.dataset)))?;
    let condition = Condition::plan(condition, &table.schema)?;
    let columns = condition.columns();
    Ok(Doomed { columns, matches: Arc::new(move |rows| condition.matches(rows)) })
}

/// Erases, or only counts where nothing is asked for.
async fn one(upkeep: &Upkeep<'_>, doomed: &Doomed, request: Option<&Request>) -> Result<Erased> {
    match request {
        Some(request) => upkeep.erase(doomed, request, &RunId::draw().to_string()).await,
        None => upkeep.count(doomed).await,
    }
}

async fn beside(
    engine: &Engine,
    upkeep: &Upkeep<'_>,
    condition: &str,
    request: Option<&Request>,
) -> Result<Beside> {
    let quarantine = upkeep.dataset.clone();
    match doomed(upkeep, condition).await {
        Ok(doomed) => {
            let lease = lease(engine, &quarantine).await?;
            let erased = Lease::under([&lease], one(upkeep, &doomed, request)).await?;
            Ok(Beside::Erased(quarantine, erased))
        }
        Err(error) if error.kind() == Kind::Invalid => {
            Ok(Beside::Unfit(quarantine, error.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Refuses while the quarantine holds rows of a run that never published its dataset: the next run takes
/// them back by the files they came in, which must be there as they were.
async fn settled(place: &Place, quarantine: &DatasetName) -> Result<()> {
    let Some(dataset) = quarantine.left_out_of() else { return Ok(()) };
    let theirs = Table::recent(&place.store, quarantine).await?.unwrap_or_default();
    let own = Table::recent(&place.store, &dataset)
        .await?
        .unwrap_or(History { is_whole: true, ..History::default() });
    match theirs.publications.iter().find(|one| !orphans(&one.stream, &own, &theirs).is_empty()) {
        None => Ok(()),
        Some(one) => Err(Error::temporary(format!(
            "a run of {} ended between {quarantine} and {dataset}, or is under way",
            one.stream
        ))
        .help("let the pipeline run to its end, then erase again")),
    }
}

/// Removes the parts of loads that died: the next run would publish the rows in them again.
async fn forget_parts(engine: &Engine, place: &Place, dataset: &DatasetName) -> Result<()> {
    for pipeline in &engine.pipelines {
        if !engine.ledger.streams_with_parts(&pipeline.name).await?.is_empty() {
            let lease = engine.lease(&pipeline.name).await?;
            Lease::under([&lease], kept::erase(engine, &place.store, dataset, pipeline)).await?;
        }
    }
    Ok(())
}

/// Writes into the audit trail that rows are erased, and answers with the digest of the condition there.
async fn recorded(engine: &Engine, dataset: &DatasetName, condition: &str) -> Result<String> {
    let column = CONDITION.to_owned();
    let purpose = Purpose::Hash(Domain::Column { dataset: dataset.clone(), column });
    let key = engine.keyring.current(&purpose).await?;
    let keyed = Hmac::<Sha256>::new_from_slice(key.secret().expose());
    let keyed = keyed.map_err(|_| Error::failed("the key of digests cannot be used"))?;
    let digest = keyed.chain_update(condition.as_bytes()).finalize().into_bytes();
    let digest = format!("hmac-sha256:{}", hex::encode(digest));
    let subject = format!("{dataset} {digest}");
    super::recorded(engine, Action::RowErase, &subject).await?;
    Ok(digest)
}
