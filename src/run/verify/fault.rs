//! The ways in which evidence does not hold.

use serde_json::{Value, json};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub what: What,
    /// The version that it concerns.
    pub version: Option<u64>,
    /// The object that it concerns, relative to the table.
    pub path: Option<String>,
    /// In words.
    pub message: String,
}

impl Fault {
    /// A fault of a version.
    pub(super) fn of(what: What, version: u64, message: String) -> Self {
        Self { what, version: Some(version), path: None, message }
    }

    /// A fault of an object.
    pub(super) fn at(what: What, version: Option<u64>, path: &str, message: String) -> Self {
        Self { what, version, path: Some(path.to_owned()), message }
    }

    /// The fault for programs: `{"what","version","path","message"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { what, version, path, message } = self;
        json!({"what": what.word(), "version": version, "path": path, "message": message})
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A data file has other bytes than its receipt says.
    AlteredFile,
    /// A data file has the bytes of another.
    SwappedFile,
    /// A data file is gone.
    MissingFile,
    /// The table has a data file that no receipt names.
    UnknownFile,
    /// The table has a data file again that one of its versions took away.
    RevivedFile,
    /// The log says something else of a data file, or of the table's columns, than what was published.
    AlteredEntry,
    /// The table no longer has a data file that a receipt names and none takes away.
    LostFile,
    /// A receipt has other bytes than its commit says.
    AlteredReceipt,
    /// A receipt is gone.
    MissingReceipt,
    /// A receipt is not signed by us.
    ForgedReceipt,
    /// A receipt does not follow the one before it.
    BrokenChain,
    /// A commit says something else than its receipt.
    AlteredCommit,
    /// A commit is gone from the middle of the log.
    MissingCommit,
    /// The log ends before, or goes on otherwise than, what was published.
    RolledBack,
    /// The published rows are not those that the receipt was made from.
    OtherRows,
    /// The source has other rows than the receipt was made from.
    SourceDiffers,
}

impl What {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AlteredFile => "altered_file",
            Self::SwappedFile => "swapped_file",
            Self::MissingFile => "missing_file",
            Self::UnknownFile => "unknown_file",
            Self::RevivedFile => "revived_file",
            Self::AlteredEntry => "altered_entry",
            Self::LostFile => "lost_file",
            Self::AlteredReceipt => "altered_receipt",
            Self::MissingReceipt => "missing_receipt",
            Self::ForgedReceipt => "forged_receipt",
            Self::BrokenChain => "broken_chain",
            Self::AlteredCommit => "altered_commit",
            Self::MissingCommit => "missing_commit",
            Self::RolledBack => "rolled_back",
            Self::OtherRows => "other_rows",
            Self::SourceDiffers => "source_differs",
        }
    }
}
