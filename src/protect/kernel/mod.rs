//! The field-level actions as kernels over Arrow arrays: one kernel per published column, chosen
//! once; each takes a whole array at a time. NULL stays NULL in all of them.

mod cache;
mod canonical;
mod hash;
mod mask;
mod redact;
mod scrub;
mod siv;
mod text;
pub mod tokenize;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::DataType;

use super::plan;
use crate::error::{Error, Result};
use crate::keys::{DatasetKey, Keyring, Purpose};
use crate::spec::action::Scrub;
use crate::spec::{Action, DatasetName};

/// What is done to the arrays of one column.
pub(super) trait Kernel: Send {
    /// The published array, as long as `column`. `column` has the column's carried type.
    ///
    /// # Errors
    /// `Failed` or `Data`, in words that hold no value.
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef>;
}

/// The kernel of an action, with its key where it needs one. `path` is the column's leaf path.
///
/// # Errors
/// Those of the keyring.
pub(super) async fn of(
    action: &Action,
    dataset: &DatasetName,
    path: &str,
    carried: &DataType,
    keyring: &Keyring,
) -> Result<Box<dyn Kernel>> {
    let key = match (action, plan::purpose(dataset, path, action)) {
        (action, Some(purpose)) if *action != Action::Encrypt => {
            Some((keyring.current(&purpose).await?, purpose))
        }
        _ => None,
    };
    Ok(match (action, key) {
        (Action::Allow | Action::Encrypt, _) => Box::new(Keep),
        (Action::Mask(mask), _) => Box::new(mask::Kernel::new(*mask)),
        (Action::Scrub(Scrub::Label), _) => Box::new(scrub::Kernel::labels()),
        (Action::Scrub(Scrub::Token { .. }), Some((key, Purpose::Tokenize(domain)))) => {
            Box::new(scrub::Kernel::tokens(tokenize::Tokens::new(&key, &domain)?))
        }
        (Action::Redact, _) => Box::new(redact::Kernel::default()),
        (Action::Nullify, _) => Box::new(Nullify(carried.clone())),
        (Action::Hash { .. }, Some((key, _))) => Box::new(hash::Kernel::new(&key)?),
        (Action::Tokenize { .. }, Some((key, Purpose::Tokenize(domain)))) => {
            Box::new(tokenize::Kernel::new(&key, &domain)?)
        }
        _ => return Err(Error::failed(format!("column `{path}` has no kernel for `{action}`"))),
    })
}

/// Published as it is; encryption happens in the Parquet writer.
struct Keep;

impl Kernel for Keep {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(column.clone())
    }
}

/// Every value NULL.
struct Nullify(DataType);

impl Kernel for Nullify {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(new_null_array(&self.0, column.len()))
    }
}

/// The text before a pseudonym: which action made it, and with which version of its key.
fn prefix(letter: char, key: &DatasetKey) -> String {
    format!("{letter}{}:", key.version())
}

#[cfg(test)]
mod tests;
