//! How a stream is read and written from one run to the next.

use std::time::Duration;

/// How the source is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// All rows, every time.
    FullRefresh,
    /// The rows whose cursor has reached or passed the last run's.
    Incremental(Cursor),
}

/// Columns of the source that only grow from change to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The columns, most significant first; at least one.
    pub fields: Vec<String>,
    /// How far behind the last run's cursor rows are read again, for commits that come late. Of the first
    /// column only.
    pub lookback: Option<Lookback>,
}

/// A distance on a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookback {
    /// Of a timestamp or a date (`1h`, `7days`).
    Time(Duration),
    /// Of an integer (`1000`).
    Steps(u64),
}

/// How the dataset is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// The new version replaces the old.
    Overwrite,
    /// The new version holds the old rows and the new. With a primary key, a row whose key is there
    /// already is not added again.
    Append,
    /// A row replaces the one of its primary key.
    Merge(Deletes),
    /// As `Merge`, but the row that was there stays as history: `_valid_from`, `_valid_to` and
    /// `_is_current` tell when it held (slowly changing dimension of type 2).
    Scd2(Deletes),
}

/// How a merge learns of rows that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletes {
    /// Output column that says a row is deleted: true, or anything but NULL where it is no boolean. Such
    /// rows are taken out of the dataset.
    pub soft_delete: Option<String>,
    /// What becomes of rows whose key the source no longer has, which every run then compares.
    pub missing: Option<Missing>,
}

/// What becomes of a row whose key the source no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It stays, and `_deleted_at` says since when it is missing.
    Soft,
    /// It is taken out of the dataset.
    Hard,
}

/// What a full load that died goes on with, where some of its parts are written already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// The parts that are missing, if the source can give the same instant again; else it starts over.
    #[default]
    SameInstant,
    /// The parts that are missing, each as of the instant it is read at.
    MixedInstants,
}
