//! What a policy is expected to ask, case by case: its tests.

use std::path::PathBuf;

use super::pipeline::Position;
use super::{Action, Tag};

/// A valid document of cases.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// The policy that is tested.
    pub policy: PathBuf,
    /// The cases, in document order.
    pub cases: Vec<Case>,
    /// The file it came from.
    pub path: PathBuf,
}

/// One case: a column that has these tags, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What people call it.
    pub name: Option<String>,
    /// The column's tags; none stands for a column that nothing is known of.
    pub tags: Vec<Tag>,
    /// Its type.
    pub of_type: TypeWord,
    /// What is expected.
    pub expect: Expect,
    /// Where it stands.
    pub position: Position,
}

/// What is expected of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This action, with these options.
    Action(Action),
    /// The run is held.
    Held,
}

/// A kind of types that actions tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypeWord {
    /// Text.
    #[default]
    Text,
    /// Whole numbers.
    Integer,
    /// Decimal numbers.
    Decimal,
    /// Floating-point numbers.
    Float,
    /// True and false.
    Boolean,
    /// Days.
    Date,
    /// Instants.
    Timestamp,
    /// Bytes.
    Binary,
}
