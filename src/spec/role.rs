//! What people and programs are to the daemon. What each role may do is decided elsewhere.

use std::fmt;
use std::str::FromStr;

use super::faults::quoted;
use crate::error::{Error, Kind, Result};

/// What a principal is; one may be several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Writes pipelines; triggers and cancels runs.
    Engineer,
    /// A job scheduler; triggers and cancels runs.
    Scheduler,
    /// Reads datasets.
    Modeler,
    /// Writes the policy, holds the keys.
    Infosec,
    /// Reads everything that was recorded.
    Auditor,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Engineer, Self::Scheduler, Self::Modeler, Self::Infosec, Self::Auditor, Self::Admin];

    /// The word people write for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Engineer => "engineer",
            Self::Scheduler => "scheduler",
            Self::Modeler => "modeler",
            Self::Infosec => "infosec",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or_else(|| {
            let roles = Self::ALL.map(Self::word).join(", ");
            Error::new(Kind::Usage, format!("there is no role {}", quoted(text)))
                .help(format!("the roles are {roles}"))
        })
    }
}
