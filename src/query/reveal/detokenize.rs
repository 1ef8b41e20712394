//! `detokenize`: the values of `tokenize` and `tokenize_fpe`.
//!
//! Tokens of the first name the version of their key and are authenticated: another text is told apart. Those of the
//! second are neither, so that the receipts say which key made them, and any text of the form gives some answer.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use zeroize::Zeroizing;

use super::Origin;
use super::function::{Opens, foreign, text};
use crate::error::{Error, Kind, Result};
use crate::keys::{DatasetKey, DomainKey, Keyring};
use crate::protect::kernel::{tokenize, tokenize_fpe};
use crate::publish::Decided;
use crate::spec::action::Alphabet;

/// Opens the tokens of one column.
struct Opener {
    tokens: Tokens,
    origin: Origin,
}

enum Tokens {
    /// The cipher changes while it works, so that one batch is opened at a time.
    Siv(Mutex<tokenize::Opener>),
    Fpe(Box<tokenize_fpe::Tokens>),
}

/// # Errors
/// `Denied` where the key is not recorded or not there; those of the keyring.
pub(super) async fn opener(origin: &Origin, decided: &Decided, keyring: &Keyring) -> Result<Box<dyn Opens>> {
    let unknown = |what: &str| {
        Error::denied(format!("{what} of column `{}` of {} is not recorded", origin.column, origin.dataset))
            .help("publish the dataset once with write_mode: overwrite, so that it is recorded")
    };
    let id = decided.key.as_deref().ok_or_else(|| unknown("the key"))?;
    let key = DomainKey::of(id).ok_or_else(|| unknown("the key"))?;
    let tokens = match (decided.action.as_str(), key.purpose) {
        ("tokenize", "tokenize") => {
            let keys = versions(keyring, key.base).await?;
            Tokens::Siv(Mutex::new(tokenize::Opener::new(&keys, &key.domain)?))
        }
        ("tokenize_fpe", "fpe") => {
            let word = decided.options.get("alphabet").ok_or_else(|| unknown("the alphabet"))?;
            let alphabet = Alphabet::ALL.into_iter().find(|alphabet| alphabet.word() == word);
            let alphabet = alphabet.ok_or_else(|| unknown("the alphabet"))?;
            let tokens = tokenize_fpe::Tokens::new(&keyring.by_id(id).await?, &key.domain, alphabet)?;
            Tokens::Fpe(Box::new(tokens))
        }
        _ => return Err(unknown("the key")),
    };
    Ok(Box::new(Opener { tokens, origin: origin.clone() }))
}

/// Every version of a key that can still be had.
async fn versions(keyring: &Keyring, base: &str) -> Result<Vec<DatasetKey>> {
    let mut keys = Vec::new();
    for id in keyring.list(None).await? {
        if id.rsplit_once('@').is_none_or(|(its, _)| its != base) {
            continue;
        }
        match keyring.by_id(&id).await {
            Err(error) if error.kind() == Kind::Denied => {}
            key => keys.push(key?),
        }
    }
    if keys.is_empty() {
        return Err(Error::denied(format!("there is no key {base}"))
            .help("restore the keys folder that belongs to the dataset"));
    }
    Ok(keys)
}

impl Opens for Opener {
    fn open(&self, cells: &ArrayRef) -> Result<ArrayRef> {
        let cells = cast(cells, &DataType::Utf8).map_err(|_| foreign(&self.origin))?;
        let cells = cells.as_string_opt::<i32>().ok_or_else(|| foreign(&self.origin))?;
        let mut out = StringBuilder::with_capacity(cells.len(), cells.value_data().len());
        match &self.tokens {
            Tokens::Siv(opener) => {
                let mut opener = opener.lock().unwrap_or_else(PoisonError::into_inner);
                for cell in cells {
                    let value = cell.map(|cell| opener.open(cell).map(Zeroizing::new));
                    let value = told(value, &self.origin)?;
                    out.append_option(value.as_ref().map(|value| text(value, &self.origin)).transpose()?);
                }
            }
            Tokens::Fpe(tokens) => {
                for cell in cells {
                    let value = cell.map(|cell| tokens.value(cell).map(Zeroizing::new));
                    out.append_option(told(value, &self.origin)?.as_deref());
                }
            }
        }
        Ok(Arc::new(out.finish()))
    }
}

/// A value, or that there is none; a cell that did not open is an error.
fn told<T>(value: Option<Option<T>>, origin: &Origin) -> Result<Option<T>> {
    value.map(|value| value.ok_or_else(|| foreign(origin))).transpose()
}
