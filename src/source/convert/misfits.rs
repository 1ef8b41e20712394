//! Rows of a batch that go to the quarantine, because a value of theirs is not exactly of its type.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{filter, take_record_batch};

use super::Decision;
use crate::error::{Error, Result};
use crate::{Rejected, Rejects};

/// The rows by their place, each with the reason. A batch is short, so there are not many.
#[derive(Default)]
pub(super) struct Misfits(BTreeMap<usize, String>);

impl Misfits {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what is wrong with one value of a row: the column and its type, and no more.
    #[cold]
    pub(super) fn add(&mut self, row: usize, decision: &Decision) {
        let reasons = self.0.entry(row).or_default();
        if !reasons.is_empty() {
            reasons.push_str("; ");
        }
        let to = decision.conversion.to.to_string();
        let article = if to.starts_with('i') { "an" } else { "a" };
        reasons.push_str(&format!("{}: not exactly {article} {to}", decision.column));
    }

    /// The converted columns without these rows, and the rows as they came in `batch`.
    #[cold]
    pub(super) fn part(
        &self,
        columns: Vec<ArrayRef>,
        batch: &RecordBatch,
    ) -> Result<(Vec<ArrayRef>, Rejected)> {
        let failed = |_| Error::failed("rejected rows cannot be parted from the others");
        let fits: BooleanArray = (0..batch.num_rows()).map(|row| Some(!self.0.contains_key(&row))).collect();
        let kept = columns.iter().map(|column| filter(column, &fits)).collect::<Result<_, _>>();
        let places = self.0.keys().filter_map(|row| u32::try_from(*row).ok());
        let rows = take_record_batch(batch, &UInt32Array::from_iter_values(places)).map_err(failed)?;
        let reasons = StringArray::from_iter_values(self.0.values());
        Ok((kept.map_err(failed)?, Rejected { rows, reasons }))
    }
}

/// Hands rejected rows over, as soon as there is room for them.
///
/// # Errors
/// `Failed` when nobody takes them: they must not be lost.
pub(super) async fn hand_over(rejects: Option<Rejects>, rejected: Rejected) -> Result<()> {
    let nobody = || Error::failed("rows are rejected and nobody takes them");
    rejects.ok_or_else(nobody)?.send(rejected).await.map_err(|_| nobody())
}

#[cfg(test)]
mod tests;
