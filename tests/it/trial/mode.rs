//! The modes that are tried: what the stream says, what its source goes through, and what the dataset must
//! then hold.

use super::changes::Life;

/// A way to read and write, and what it promises.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub name: &'static str,
    /// The stream's keys, as one YAML flow mapping without its braces.
    pub spec: &'static str,
    pub life: Life,
    pub holds: Holds,
}

/// What a dataset holds after a completed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The source's rows at the run's snapshot.
    Source {
        /// The rows of the source that count, as a condition.
        of_source: &'static str,
        /// The rows of the dataset that count.
        of_dataset: &'static str,
    },
    /// The source's rows at the snapshot of every run that succeeded, one after the other.
    EverySnapshot,
}

const ALL: Holds = Holds::Source { of_source: "true", of_dataset: "true" };

pub const OVERWRITE: Mode = Mode {
    name: "full_refresh x overwrite",
    spec: "sync_mode: full_refresh, write_mode: overwrite",
    life: Life::Delete,
    holds: ALL,
};

pub const APPEND: Mode = Mode {
    name: "full_refresh x append",
    spec: "sync_mode: full_refresh, write_mode: append",
    life: Life::Delete,
    holds: Holds::EverySnapshot,
};

pub const FULL_MERGE: Mode = Mode {
    name: "full_refresh x merge",
    spec: "sync_mode: full_refresh, write_mode: merge, primary_key: [id]",
    life: Life::Update,
    holds: ALL,
};

pub const INCREMENTAL_APPEND: Mode = Mode {
    name: "incremental x append",
    spec: "sync_mode: incremental, write_mode: append, primary_key: [id], cursor_field: stamp, lookback: 60000000",
    life: Life::Insert,
    holds: ALL,
};

pub const INCREMENTAL_MERGE: Mode = Mode {
    name: "incremental x merge, delete_missing: hard",
    spec: "sync_mode: incremental, write_mode: merge, primary_key: [id], cursor_field: changed_at, lookback: 60s, \
           delete_missing: hard",
    life: Life::Delete,
    holds: ALL,
};

pub const INCREMENTAL_MARKED: Mode = Mode {
    name: "incremental x merge, soft_delete",
    spec: "sync_mode: incremental, write_mode: merge, primary_key: [id], cursor_field: changed_at, lookback: 60s, \
           soft_delete: gone",
    life: Life::Mark,
    holds: Holds::Source { of_source: "NOT (r).gone", of_dataset: "true" },
};

pub const INCREMENTAL_HISTORY: Mode = Mode {
    name: "incremental x scd2, delete_missing: soft",
    spec: "sync_mode: incremental, write_mode: scd2, primary_key: [id], cursor_field: stamp, lookback: 60000000, \
           delete_missing: soft",
    life: Life::Delete,
    holds: Holds::Source { of_source: "true", of_dataset: "_is_current" },
};
