//! What SQLite says, in our own words. Its message text is never used: it may quote a value.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};

/// The file, for messages.
#[derive(Clone, Debug)]
pub(super) struct File(pub(super) PathBuf);

/// What was asked of the file when it refused.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The file itself, its catalog or its transaction.
    File,
    /// A table, as it is written in SQL.
    Table(String),
    /// The query of a stream.
    Query,
}

impl File {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Why a step failed.
    pub(super) fn failed(&self, error: &sqlx::Error, subject: &Subject) -> Error {
        let sqlx::Error::Database(fault) = error else {
            return Error::failed(format!("reading {} broke off", self.shown()));
        };
        // The lowest byte is the class of the code.
        let code = fault.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default() & 0xff;
        let (kind, words, remedy) = meaning(code);
        let message = match subject {
            Subject::Query if code == 1 => format!("the query fails in {}: {words}", self.shown()),
            Subject::Table(table) => format!("cannot read {table} of {}: {words}", self.shown()),
            _ => format!("cannot read {}: {words}", self.shown()),
        };
        let error = Error::new(kind, format!("{message} (SQLite code {code})"));
        remedy.into_iter().fold(error, Error::help)
    }

    pub(super) fn shown(&self) -> String {
        format!("the SQLite file {}", self.0.display())
    }
}

/// What a primary result code means to whoever has to act on it.
fn meaning(code: u32) -> (Kind, &'static str, Option<&'static str>) {
    match code {
        1 => (
            Kind::Invalid,
            "it is not valid SQL, or names what is not there",
            Some("try the statement with the `sqlite3` program; a view may name a table that is gone"),
        ),
        3 | 23 => (Kind::Invalid, "the file may not be read", Some("check the file's rights and owner")),
        5 | 6 => (
            Kind::Temporary,
            "another process holds it locked",
            Some("run again; with `PRAGMA journal_mode=WAL` in the file, writers do not lock out readers"),
        ),
        7 => (Kind::Temporary, "there is not enough memory", None),
        8 => (Kind::Invalid, "it writes, and a source is only read", None),
        9 => (Kind::Temporary, "the statement was interrupted", None),
        10 => (Kind::Temporary, "the disk has a fault, or the file is gone", None),
        11 => (
            Kind::Failed,
            "the file is damaged",
            Some("check it with `PRAGMA integrity_check`, or take a sound copy"),
        ),
        14 => (
            Kind::Invalid,
            "it cannot be opened",
            Some("check the path and its rights; a file in WAL mode needs a folder that can be written to"),
        ),
        17 => (Kind::Temporary, "its tables were altered while it was read", Some("run again")),
        18 => (Kind::Data, "a value is too long", None),
        26 => (
            Kind::Invalid,
            "it is not an SQLite database, or it is encrypted",
            Some("check `path` of the connection; encrypted files (SQLCipher, SEE) cannot be read"),
        ),
        _ => (Kind::Failed, "SQLite refuses it", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_passing_and_a_wrong_file_is_not() {
        assert_eq!(meaning(5).0, Kind::Temporary);
        assert_eq!(meaning(26).0, Kind::Invalid);
        assert_eq!(meaning(11).0, Kind::Failed);
    }
}
