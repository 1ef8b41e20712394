//! What may change about a published schema, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Either, Map, Placed};

/// One word for columns and types alike, or each of them.
pub(crate) type SchemaContract = Either<Change, Each>;

/// What becomes of each kind of change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SchemaContract")]
pub(crate) struct Each {
    /// Of columns that come and go; default `evolve`.
    pub(crate) columns: Option<Placed<Change>>,
    /// Of types that change; default `evolve`.
    pub(crate) types: Option<Placed<Change>>,
    /// Output columns that were published under another name: new name, old name.
    pub(crate) renamed: Option<Placed<Map<String>>>,
}

/// What becomes of one kind of change.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// The dataset follows, as far as it can without loss.
    Evolve,
    /// The run fails, and says what differs.
    Freeze,
    /// The dataset stays as it is: new columns are left out, rows with a value that does not fit too.
    Discard,
}
