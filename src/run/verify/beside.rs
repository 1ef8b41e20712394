//! The quarantine of a dataset, as far as the dataset's own receipts tell of it.

use std::collections::BTreeSet;

use super::chain::Chain;
use super::walk::Walk;
use super::{Fault, Question, What};
use crate::error::{Kind, Result};
use crate::publish::{Table, receipt};

/// Whether every run whose rows were set aside has its version in the quarantine: those rows are in no other
/// place. Whether the quarantine holds by itself, verifying it tells.
///
/// # Errors
/// As store and keyring answer; a log that cannot be read has no version.
pub(super) async fn check(question: &Question<'_>, chain: &Chain, faults: &mut Vec<Fault>) -> Result<()> {
    let told = || chain.receipts.values().filter(|receipt| receipt.rows.quarantined > 0);
    if told().next().is_none() {
        return Ok(());
    }
    let Ok(quarantine) = question.dataset.quarantine() else { return Ok(()) };
    let mut runs = BTreeSet::new();
    let table = match Table::load(question.store, &quarantine, None).await {
        Err(error) if error.kind() == Kind::Failed => None,
        table => table?,
    };
    if let Some(table) = table {
        let beside = Question { dataset: &quarantine, version: None, ..*question };
        let places = receipt::all(question.store, &quarantine).await?;
        let own = Walk::back(&beside, &table, &places, &mut Vec::new(), &mut Vec::new()).await?;
        runs.extend(own.receipts.into_values().map(|receipt| receipt.run_id));
    }
    for receipt in told().filter(|receipt| !runs.contains(&receipt.run_id)) {
        let message = format!(
            "version {} says that {} rows went to {quarantine}, which has no version of run {}",
            receipt.version, receipt.rows.quarantined, receipt.run_id
        );
        faults.push(Fault::of(What::RolledBack, receipt.version, message));
    }
    Ok(())
}
