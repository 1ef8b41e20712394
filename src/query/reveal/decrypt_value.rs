//! `decrypt_value`: the values of `encrypt_value`. A cell is authenticated and names the version of its key; that of a
//! person whose keys are destroyed opens to nobody, and is NULL here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use zeroize::Zeroizing;

use super::Origin;
use super::function::{Opens, foreign, text};
use crate::error::Result;
use crate::keys::Keyring;
use crate::protect::kernel::encrypt_value::{Keys, open};

/// Opens the cells of one column.
struct Opener {
    keys: Keys,
    origin: Origin,
}

/// # Errors
/// Those of the keyring.
pub(super) async fn opener(origin: &Origin, keyring: &Keyring) -> Result<Box<dyn Opens>> {
    let keys = Keys::load(keyring, &origin.dataset, &origin.column).await?;
    Ok(Box::new(Opener { keys, origin: origin.clone() }))
}

impl Opens for Opener {
    fn open(&self, cells: &ArrayRef) -> Result<ArrayRef> {
        let cells = cast(cells, &DataType::Utf8).map_err(|_| foreign(&self.origin))?;
        let cells = cells.as_string_opt::<i32>().ok_or_else(|| foreign(&self.origin))?;
        let mut out = StringBuilder::with_capacity(cells.len(), cells.value_data().len());
        for cell in cells {
            let value = match cell {
                Some(cell) => open(cell, &self.keys).map_err(|_| foreign(&self.origin))?.map(Zeroizing::new),
                None => None,
            };
            out.append_option(value.as_ref().map(|value| text(value, &self.origin)).transpose()?);
        }
        Ok(Arc::new(out.finish()))
    }
}
