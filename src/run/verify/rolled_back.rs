//! Versions that were published and that the log no longer has, or has otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::Chain;
use super::walk::sha256;
use super::{Fault, Question, What};
use crate::error::Result;
use crate::publish::receipt::{self, Place, Receipt, Signed};
use crate::publish::table;
use crate::run::RunId;
use crate::run::ledger::{Remembered, State};

/// Looks for them: the ledger remembers versions, and receipts lie beside the table.
///
/// # Errors
/// As store and ledger answer.
pub(super) async fn find(
    chain: &Chain,
    question: &Question<'_>,
    places: &[Place],
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let Question { dataset, store, ledger, .. } = *question;
    let remembered = ledger.remembered(dataset).await?;
    // Asked last: what is published meanwhile was not rolled back.
    let newest = table::versions(store, dataset).await?.last().copied();
    let next = newest.map_or(0, |newest| newest + 1);
    faults.extend(remembered.iter().filter(|one| one.version < next).filter_map(|one| replaced(chain, one)));
    let mut gone = BTreeMap::new();
    for one in remembered.iter().filter(|one| one.version >= next) {
        gone.insert(one.version, format!("the ledger knows that run {} published it", one.run_id));
    }
    let told: BTreeSet<u64> = faults.iter().filter_map(|fault| fault.version).collect();
    for place in places {
        let is_foreign = chain.foreign.contains_key(&place.version) && !told.contains(&place.version);
        if place.version < next && !is_foreign {
            continue;
        }
        let path = place.path(dataset).relative().to_owned();
        let may_break_off = is_foreign || place.version == next;
        if may_break_off && broke_off(question, place, &remembered).await? {
            notes.push(format!("{path} is of an attempt that ended before its commit, or is under way"));
        } else if is_foreign {
            let message = format!(
                "version {} is another writer's, and one of ours was published: its receipt {path} is there",
                place.version
            );
            faults.push(Fault::of(What::RolledBack, place.version, message));
        } else {
            gone.entry(place.version).or_insert(format!("its receipt {path} is there"));
        }
    }
    let end = newest.map_or_else(|| "is gone".to_owned(), |newest| format!("ends at version {newest}"));
    faults.extend(gone.into_iter().map(|(version, why)| {
        let message = format!("the log {end}, and version {version} was published: {why}");
        Fault::of(What::RolledBack, version, message)
    }));
    Ok(())
}

/// The fault of a version that the log has otherwise than the ledger remembers it, as far as it was read.
fn replaced(chain: &Chain, one: &Remembered) -> Option<Fault> {
    let Remembered { version, run_id, receipt } = one;
    let newest = chain.named.keys().chain(chain.foreign.keys()).max()?;
    let is_read = chain.oldest.is_some_and(|oldest| oldest <= *version) && version <= newest;
    let recorded = receipt.as_ref().filter(|_| is_read)?;
    let message = match chain.named.get(version) {
        Some(named) if named == recorded => return None,
        Some(_) => format!(
            "version {version} is not the one that run {run_id} published, as the ledger knows it: the log was \
             rolled back and went on"
        ),
        None => format!(
            "version {version} is not the one that run {run_id} published, but one without a receipt: the log was \
             rolled back and went on"
        ),
    };
    Some(Fault::of(What::RolledBack, *version, message))
}

/// Whether a receipt without a commit is of an attempt that ended before its commit: the ledger knows its run as
/// one that did not succeed, or its work as one that was tried, and neither as having published it.
async fn broke_off(question: &Question<'_>, place: &Place, remembered: &[Remembered]) -> Result<bool> {
    let Question { dataset, store, ledger, .. } = *question;
    let Some(bytes) = receipt::read(store, dataset, place).await? else { return Ok(true) };
    let Ok(Signed { receipt, .. }) = Receipt::parse(&bytes) else { return Ok(false) };
    let Ok(run_id) = RunId::parse(&receipt.run_id) else { return Ok(false) };
    let sha256 = sha256(&bytes);
    if remembered.iter().any(|one| one.receipt.as_ref() == Some(&sha256)) {
        return Ok(false);
    }
    match ledger.run(&run_id).await? {
        Some(run) => Ok(run.state != State::Succeeded),
        None => ledger.has_tried(dataset, &run_id).await,
    }
}
