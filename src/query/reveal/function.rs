//! The functions that reveal, each with a file of its own for what it opens.

use arrow::array::ArrayRef;

use super::{Origin, decrypt_value, detokenize};
use crate::error::{Error, Result};
use crate::keys::Keyring;
use crate::publish::Decided;

/// A function of SQL that turns what an action made back into values. It takes one column and gives text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    /// `detokenize(column)`, of `tokenize` and `tokenize_fpe`.
    Detokenize,
    /// `decrypt_value(column)`, of `encrypt_value`.
    DecryptValue,
}

/// Opens the cells of one column. Keys are in here and nowhere else in a plan; they are wiped with it.
pub(super) trait Opens: Send + Sync {
    /// Values of cells, as text, as many and in their order; NULL stays NULL. `cells` are of the column's type,
    /// or of another one that holds the same (a dictionary, a view).
    ///
    /// # Errors
    /// `Data` for a cell that the column's key did not make, in words that hold neither cell nor value.
    fn open(&self, cells: &ArrayRef) -> Result<ArrayRef>;
}

impl Function {
    /// Every one.
    pub(super) const ALL: [Self; 2] = [Self::Detokenize, Self::DecryptValue];

    /// Its name in SQL.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Detokenize => "detokenize",
            Self::DecryptValue => "decrypt_value",
        }
    }

    /// Whether it reverses what an action of this word makes.
    ///
    /// # Errors
    /// `Invalid` with the remedy where it does not.
    pub(super) fn check(self, origin: &Origin, action: &str) -> Result<()> {
        let reverses = match self {
            Self::Detokenize => matches!(action, "tokenize" | "tokenize_fpe"),
            Self::DecryptValue => action == "encrypt_value",
        };
        if reverses { Ok(()) } else { Err(self.irreversible(origin, action)) }
    }

    /// What opens the cells of a column, with its keys.
    ///
    /// # Errors
    /// Those of the keyring; `Denied` where too little is recorded of how the cells were made.
    pub(super) async fn opener(
        self,
        origin: &Origin,
        decided: &Decided,
        keyring: &Keyring,
    ) -> Result<Box<dyn Opens>> {
        match self {
            Self::Detokenize => detokenize::opener(origin, decided, keyring).await,
            Self::DecryptValue => decrypt_value::opener(origin, keyring).await,
        }
    }

    fn irreversible(self, origin: &Origin, action: &str) -> Error {
        let Origin { dataset, column, .. } = origin;
        let name = self.name();
        let help = match action {
            "allow" | "encrypt" => "select the column itself: a query shows its values".to_owned(),
            "tokenize" | "tokenize_fpe" => "write `detokenize` for it".to_owned(),
            "encrypt_value" => "write `decrypt_value` for it".to_owned(),
            "scrub" => "tokens inside a free text are not opened; the source has the text".to_owned(),
            "date_shift" => "moved dates are not moved back in a query; the source has them".to_owned(),
            _ => "nothing turns them back: the values are at the source alone".to_owned(),
        };
        Error::invalid(format!(
            "`{name}` does not reverse column `{column}` of {dataset}, which is published by `{action}`"
        ))
        .help(help)
    }
}

/// The one answer to whatever the key of a column did not make.
pub(super) fn foreign(origin: &Origin) -> Error {
    Error::data(format!(
        "column `{}` of {} holds a text that its key did not make, or that was altered",
        origin.column, origin.dataset
    ))
    .help("`sealift verify` tells whether data files were altered; publish the dataset anew")
}

/// Canonical bytes are text, except those of binary columns.
///
/// # Errors
/// `Data` for those.
pub(super) fn text<'a>(value: &'a [u8], origin: &Origin) -> Result<&'a str> {
    std::str::from_utf8(value).map_err(|_| {
        Error::data(format!(
            "column `{}` of {} holds values that are not text",
            origin.column, origin.dataset
        ))
        .help("values of binary columns are at the source alone")
    })
}
