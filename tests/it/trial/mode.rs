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
    /// The source's rows at the run's snapshot, those of this condition.
    Source(&'static str),
    /// The source's rows at the snapshot of every run that succeeded, one after the other.
    EverySnapshot,
}

pub const OVERWRITE: Mode = Mode {
    name: "full_refresh x overwrite",
    spec: "sync_mode: full_refresh, write_mode: overwrite",
    life: Life::Delete,
    holds: Holds::Source("true"),
};

pub const APPEND: Mode = Mode {
    name: "full_refresh x append",
    spec: "sync_mode: full_refresh, write_mode: append",
    life: Life::Delete,
    holds: Holds::EverySnapshot,
};
