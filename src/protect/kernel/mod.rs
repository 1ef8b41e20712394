//! The field-level actions as kernels over Arrow arrays: one kernel per published column, chosen
//! once; each takes a whole array at a time. NULL stays NULL in all of them.

mod cache;
mod calendar;
mod canonical;
mod date_shift;
pub mod encrypt_value;
mod form;
mod generalize;
mod hash;
mod mask;
mod redact;
mod scrub;
mod siv;
mod text;
pub mod tokenize;
pub mod tokenize_fpe;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::DataType;

use super::plan;
use crate::error::{Error, Result};
use crate::keys::{DatasetKey, Keyring, Purpose};
use crate::spec::action::{EncryptValue, Scrub};
use crate::spec::{Action, DatasetName};

/// What is done to the arrays of one column.
pub(super) trait Kernel: Send {
    /// The published array, as long as `column`. `column` has the column's carried type.
    ///
    /// # Errors
    /// `Failed` or `Data`, in words that hold no value.
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef>;

    /// As [`Kernel::apply`], where it matters who each row is about: `subjects` has a canonical form and is as long.
    ///
    /// # Errors
    /// As [`Kernel::apply`].
    fn apply_by(&mut self, column: &ArrayRef, _subjects: &ArrayRef) -> Result<ArrayRef> {
        self.apply(column)
    }
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
        (Action::Encrypt, _) | (_, None | Some(Purpose::Subject { .. })) => None,
        (_, Some(purpose)) => Some((keyring.current(&purpose).await?, purpose)),
    };
    Ok(match (action, key) {
        (Action::Allow | Action::Encrypt, _) => Box::new(Keep),
        (Action::EncryptValue(EncryptValue { by: Some(by) }), _) => {
            let subjects = keyring.subjects(dataset, path).await?;
            Box::new(encrypt_value::Kernel::by_subject(subjects, carried, path, by)?)
        }
        (Action::EncryptValue(_), Some((key, _))) => {
            Box::new(encrypt_value::Kernel::of_column(&key, carried, path)?)
        }
        (Action::Mask(mask), _) => Box::new(mask::Kernel::new(*mask)),
        (Action::Scrub(Scrub::Label), _) => Box::new(scrub::Kernel::labels()),
        (Action::Scrub(Scrub::Token { .. }), Some((key, Purpose::Tokenize(domain)))) => {
            Box::new(scrub::Kernel::tokens(tokenize::Tokens::new(&key, &domain)?))
        }
        (Action::Redact, _) => Box::new(redact::Kernel::default()),
        (Action::Nullify, _) => Box::new(Nullify(carried.clone())),
        (Action::Generalize(how), _) => Box::new(generalize::Kernel::new(*how)),
        (Action::DateShift(shift), Some((key, _))) => Box::new(date_shift::Kernel::new(&key, shift, path)?),
        (Action::Hash { canonical, .. }, Some((key, _))) => {
            Box::new(hash::Kernel::new(&key)?.of_form(*canonical))
        }
        (Action::Tokenize { canonical, .. }, Some((key, Purpose::Tokenize(domain)))) => {
            Box::new(tokenize::Kernel::new(&key, &domain)?.of_form(*canonical))
        }
        (Action::TokenizeFpe(how), Some((key, Purpose::Fpe(domain)))) => {
            Box::new(tokenize_fpe::Kernel::new(&key, &domain, how, path)?)
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
