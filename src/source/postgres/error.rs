//! What the database says, in our own words.
//!
//! The server's message text is never used: it may quote a row (`invalid input syntax for type
//! integer: "123-45-6789"`). Its SQLSTATE code and its position in the query are enough.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::ErrorPosition;

use super::ident::shown;
use crate::error::{Error, Kind};
use crate::source::tls;

/// Where a database is and who we are there.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
}

/// What was being read when the server refused.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The catalog or the session itself.
    Session,
    /// A table, as it is written in SQL.
    Table(String),
    /// A query of the spec, and how many characters stand before it in what was sent.
    Query { sql: String, offset: usize },
}

impl Endpoint {
    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Why no connection came about.
    pub(super) fn not_connected(&self, error: &tokio_postgres::Error) -> Error {
        if let Some(code) = error.code() {
            return self.refused(code.code());
        }
        if let Some(error) = tls_fault(error) {
            return error.at(format!("PostgreSQL server {}", self.address()));
        }
        if let Some(kind) = io_kind(error) {
            return self.unreachable(&kind.to_string());
        }
        // What is left are texts of the client library without any data in them.
        match error.to_string().as_str() {
            "invalid configuration" => {
                Error::invalid(format!("the server {} asks for a password and there is none", self.address()))
                    .help("add `password: \"env:NAME\"` to the connection")
            }
            "authentication error" => Error::invalid(format!(
                "the server {} and Sealift know no common way to prove who `{}` is",
                self.address(),
                self.user
            ))
            .help("let the server's pg_hba.conf ask for scram-sha-256"),
            text => self.unreachable(text),
        }
    }

    /// The endpoint did not answer.
    pub(super) fn unreachable(&self, why: &str) -> Error {
        Error::temporary(format!("cannot reach the PostgreSQL server {}: {why}", self.address()))
            .help("check host, port and network of the connection, and that the server runs")
    }

    /// The server answered the connection with this code.
    fn refused(&self, code: &str) -> Error {
        let Self { user, database, .. } = self;
        let address = self.address();
        let error = match code {
            "28P01" => Error::invalid(format!(
                "the server {address} does not accept the password of role `{user}`, or knows no such role"
            ))
            .help("check `user` and `password` of the connection"),
            "28000" => Error::invalid(format!("the server {address} does not let role `{user}` in"))
                .help("check `user`, `database` and `tls` of the connection, and the server's pg_hba.conf"),
            "3D000" => Error::invalid(format!("the server {address} has no database `{database}`"))
                .help("check `database` of the connection"),
            "42501" => Error::invalid(format!("role `{user}` may not connect to database `{database}`"))
                .help(format!("GRANT CONNECT ON DATABASE {} TO {}", shown(database), shown(user))),
            _ => {
                let (kind, words) = meaning(code);
                Error::new(kind, format!("the server {address} refuses the connection: {words}"))
            }
        };
        with_code(&error, code)
    }

    /// Why a statement failed, or its result broke off.
    pub(super) fn failed(&self, error: &tokio_postgres::Error, subject: &Subject) -> Error {
        let Some(database_error) = error.as_db_error() else {
            return match io_kind(error) {
                Some(kind) => self.lost(kind),
                None if error.is_closed() => self.lost(io::ErrorKind::ConnectionAborted),
                None => self.strange(),
            };
        };
        let code = database_error.code().code();
        let position = match database_error.position() {
            Some(ErrorPosition::Original(position)) => usize::try_from(*position).ok(),
            _ => None,
        };
        self.answered(code, position, subject)
    }

    /// The server answered a statement with this code.
    pub(super) fn answered(&self, code: &str, position: Option<usize>, subject: &Subject) -> Error {
        with_code(&self.explain(code, position, subject), code)
    }

    /// The connection ended in the middle of something.
    pub(super) fn lost(&self, kind: io::ErrorKind) -> Error {
        if kind == io::ErrorKind::InvalidData {
            return self.strange();
        }
        Error::temporary(format!(
            "the connection to the PostgreSQL server {} was lost: {kind}",
            self.address()
        ))
    }

    /// What the server sends is not what it should send.
    pub(super) fn strange(&self) -> Error {
        Error::failed(format!("the PostgreSQL server {} does not keep the protocol", self.address()))
    }

    fn explain(&self, code: &str, position: Option<usize>, subject: &Subject) -> Error {
        let (kind, words) = meaning(code);
        let user = &self.user;
        match subject {
            Subject::Table(table) if code == "42501" => {
                Error::invalid(format!("role `{user}` may not read {table}"))
                    .help(format!("GRANT SELECT ON {table} TO {}", shown(user)))
            }
            Subject::Table(table) => Error::new(kind, format!("cannot read {table}: {words}")),
            Subject::Query { .. } if code == "42501" => {
                Error::invalid(format!("role `{user}` may not read all that the query names"))
                    .help(format!("GRANT SELECT ON the tables of the query TO {}", shown(user)))
            }
            Subject::Query { sql, offset } => {
                let place = position.map(|p| place_in(sql, p.saturating_sub(1 + offset)));
                let place = place.map(|(line, column)| format!(" at line {line}, column {column}"));
                Error::new(kind, format!("the query fails{}: {words}", place.unwrap_or_default()))
            }
            Subject::Session => Error::new(kind, format!("the server {}: {words}", self.address())),
        }
    }
}

fn with_code(error: &Error, code: &str) -> Error {
    let message = format!("{} (SQLSTATE {code})", error.message());
    let same = Error::new(error.kind(), message);
    match error.remedy() {
        Some(remedy) => same.help(remedy),
        None => same,
    }
}

/// Line and column, from 1, of the character at `index`.
fn place_in(sql: &str, index: usize) -> (usize, usize) {
    let (mut line, mut column) = (1, 1);
    for c in sql.chars().take(index) {
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (line, column)
}

/// What a SQLSTATE means to whoever has to act on it.
fn meaning(code: &str) -> (Kind, &'static str) {
    match code {
        "57014" => (Kind::Temporary, "the server cancelled the statement (timeout or an administrator)"),
        "55P03" => (Kind::Temporary, "another session holds a lock on it"),
        "40001" => (Kind::Temporary, "it conflicts with recovery or another transaction"),
        "57P01" | "57P02" | "57P03" => (Kind::Temporary, "the server is shutting down or starting up"),
        "25P03" | "57P05" => (Kind::Temporary, "the server ended the session because it was idle"),
        "53300" => (Kind::Temporary, "the server has no connection to spare"),
        "72000" => (Kind::Temporary, "the snapshot is too old for the server"),
        "42601" => (Kind::Invalid, "it is not valid SQL"),
        "42P01" => (Kind::Invalid, "there is no such table"),
        "42703" => (Kind::Invalid, "there is no such column"),
        "42883" => (Kind::Invalid, "there is no such function or operator for these types"),
        "42704" => (Kind::Invalid, "there is no such type or object"),
        "3F000" => (Kind::Invalid, "there is no such schema"),
        "42702" => (Kind::Invalid, "a column name stands for two columns"),
        "25006" => (Kind::Invalid, "it writes, and a source is only read"),
        "0A000" => (Kind::Invalid, "the server does not support it"),
        "22P02" => (Kind::Data, "a value does not have the form of the type it is cast to"),
        "22012" => (Kind::Data, "division by zero"),
        "22003" => (Kind::Data, "a value is out of its type's range"),
        "P0001" => (Kind::Data, "a function of the database raised an exception"),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => (Kind::Temporary, "the connection failed"),
            "40" => (Kind::Temporary, "the transaction was rolled back"),
            "53" => (Kind::Temporary, "the server is out of a resource"),
            "57" => (Kind::Temporary, "an administrator stepped in"),
            "58" => (Kind::Temporary, "the server's machine has a fault"),
            "22" | "23" => (Kind::Data, "a value cannot be computed"),
            "42" => (Kind::Invalid, "it is wrong or not allowed"),
            _ => (Kind::Failed, "the server refused it"),
        },
    }
}

/// The I/O fault at the bottom of an error, if it is one.
fn io_kind(error: &tokio_postgres::Error) -> Option<io::ErrorKind> {
    let io = error.source()?.downcast_ref::<io::Error>()?;
    Some(io.kind())
}

/// What was wrong with TLS, if it was TLS.
fn tls_fault(error: &tokio_postgres::Error) -> Option<Error> {
    let source = error.source()?;
    let Some(io) = source.downcast_ref::<io::Error>() else {
        return (error.to_string() == "error performing TLS handshake")
            .then(|| Error::invalid("the server does not offer TLS").help("turn on `ssl` at the server"));
    };
    tls::fault(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_and_lines() {
        assert_eq!(place_in("SELECT é\nFROM x", 14), (2, 6));
        assert_eq!(place_in("ab", 99), (1, 3));
    }

    #[test]
    fn classes_of_codes_that_are_not_listed_keep_their_kind() {
        for (code, kind) in [
            ("08006", Kind::Temporary),
            ("53200", Kind::Temporary),
            ("22008", Kind::Data),
            ("42P17", Kind::Invalid),
            ("XX001", Kind::Failed),
            ("", Kind::Failed),
        ] {
            assert_eq!(meaning(code).0, kind, "{code}");
        }
    }
}
