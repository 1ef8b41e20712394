//! What a source may change about its columns without asking.

use std::collections::BTreeMap;

/// What becomes of changes to a published schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaContract {
    /// Of columns that come and go.
    pub columns: Change,
    /// Of types that change.
    pub types: Change,
    /// Output columns that were published under another name: new name, old name.
    pub renamed: BTreeMap<String, String>,
}

/// What becomes of one kind of change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// The dataset follows: a new column is classified and covered by the policy before a value leaves,
    /// a type is widened. What cannot be followed without loss fails the run.
    #[default]
    Evolve,
    /// The run fails (`Data`), and says what differs.
    Freeze,
    /// The dataset stays as it is: new columns are left out, a row with a value that does not fit too.
    Discard,
}
