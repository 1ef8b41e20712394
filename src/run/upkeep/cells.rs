//! How many cells of a table are about somebody: what is to be known before their keys are destroyed.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use futures::TryStreamExt as _;

use crate::error::{Error, Kind, Result};
use crate::keys::subject::Digest;
use crate::protect::kernel::encrypt_value::{Keys, subject_of};
use crate::publish::{Reading, Table};
use crate::run::Engine;
use crate::spec::DatasetName;

use super::Place;

/// Counts the cells of a column in the newest version, by the subjects given. Whose keys are destroyed already still
/// count.
///
/// # Errors
/// Those of keyring and store.
pub async fn cells(
    engine: &Engine,
    dataset: &DatasetName,
    column: &str,
    subjects: &[Digest],
) -> Result<BTreeMap<Digest, u64>> {
    let mut found: BTreeMap<Digest, u64> = subjects.iter().map(|subject| (*subject, 0)).collect();
    let place = match Place::find(engine, dataset).await {
        Ok(place) => place,
        // Keys outlive a table.
        Err(error) if error.kind() == Kind::Usage => return Ok(found),
        Err(error) => return Err(error),
    };
    let table = Table::load(&place.store, dataset, None).await?;
    let table = table.ok_or_else(|| Error::failed(format!("there is no table of {dataset}")))?;
    let is_text =
        |column| table.schema.field_with_name(column).is_ok_and(|f| *f.data_type() == DataType::Utf8);
    if !is_text(column) {
        return Ok(found);
    }
    let keys = Keys::load(&engine.keyring, dataset, column).await?;
    let columns = [column.to_owned()];
    let reading =
        Reading::prepare(&place.store, &engine.keyring, dataset, &table, &columns, &table.files).await?;
    for file in &table.files {
        let mut batches = reading.rows(file).await?;
        while let Some(batch) = batches.try_next().await? {
            for cell in batch.columns().iter().flat_map(|array| array.as_string::<i32>()).flatten() {
                if let Some(count) = subject_of(cell, &keys).and_then(|subject| found.get_mut(&subject)) {
                    *count += 1;
                }
            }
        }
    }
    Ok(found)
}
