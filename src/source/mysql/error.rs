//! What the server says, in our own words.
//!
//! The server's message text is never used: it may quote a row (`Incorrect datetime value:
//! '123-45-6789'`). Its error number is enough; of a syntax error also the line.

use std::io;

use super::ident::shown;
use crate::error::{Error, Kind};

/// Where a server is and who we are there.
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
    /// A query of the spec, and how many lines stand before it in what was sent.
    Query { lines_before: u64 },
}

/// Why an exchange with the server broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The server answered with an error; the session goes on.
    Server(Said),
    /// The connection is gone.
    Lost(io::ErrorKind),
    /// What came is not of the protocol.
    Protocol(&'static str),
}

/// The part of a server's error that is safe to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: u16,
    /// The line of a syntax error, from 1, in what was sent.
    pub(super) line: Option<u64>,
}

impl Said {
    /// From the payload of an error packet, its first byte included.
    pub(super) fn of(payload: &[u8]) -> Self {
        let code = payload.get(1..3).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let line = (code == SYNTAX).then(|| line_of(payload)).flatten();
        Self { code, line }
    }
}

/// ER_PARSE_ERROR.
const SYNTAX: u16 = 1064;

/// The number after the last ` at line `: the message ends with it.
fn line_of(payload: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(payload);
    let (_, digits) = text.rsplit_once(" at line ")?;
    digits.trim().parse().ok()
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.kind())
    }
}

impl Endpoint {
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The endpoint did not answer.
    pub(super) fn unreachable(&self, why: &str) -> Error {
        Error::temporary(format!("cannot reach the MySQL server {}: {why}", self.address()))
            .help("check host, port and network of the connection, and that the server runs")
    }

    /// Why no connection came about.
    pub(super) fn not_connected(&self, broken: &Broken) -> Error {
        match broken {
            Broken::Lost(kind) => self.unreachable(&kind.to_string()),
            Broken::Protocol(what) => self.off_protocol(what),
            Broken::Server(said) => self.refused(said.code),
        }
    }

    /// The server answered the connection with this error.
    fn refused(&self, code: u16) -> Error {
        let Self { user, database, .. } = self;
        let address = self.address();
        let error = match code {
            1045 | 1698 | 3118 => Error::invalid(format!(
                "the server {address} does not accept the password of user `{user}`, or knows no such user \
                 from this host"
            ))
            .help("check `user` and `password` of the connection"),
            1044 => Error::invalid(format!("user `{user}` may not use database `{database}`")).help(format!(
                "GRANT SELECT ON {}.* TO {}",
                shown(database),
                shown(user)
            )),
            1049 => Error::invalid(format!("the server {address} has no database `{database}`"))
                .help("check `database` of the connection"),
            1130 => Error::invalid(format!("the server {address} does not let this host in"))
                .help("create the user for this host too"),
            1129 => {
                Error::invalid(format!("the server {address} blocks this host after too many failed tries"))
                    .help("FLUSH HOSTS at the server")
            }
            1820 | 1862 => Error::invalid(format!("the password of user `{user}` has expired"))
                .help("give the user a new password"),
            1251 | 1275 | 2059 => self.no_common_way(),
            3159 => Error::invalid(format!("the server {address} lets only TLS connections in"))
                .help("write `tls: verify-full` in the connection"),
            _ => {
                let (kind, words) = meaning(code);
                Error::new(kind, format!("the server {address} refuses the connection: {words}"))
            }
        };
        with_code(&error, code)
    }

    /// The server asks for a proof of identity that we do not give.
    pub(super) fn no_common_way(&self) -> Error {
        Error::invalid(format!(
            "the server {} and Sealift know no common way to prove who `{}` is",
            self.address(),
            self.user
        ))
        .help("let the user be identified by caching_sha2_password, ed25519 or mysql_native_password")
    }

    fn off_protocol(&self, what: &str) -> Error {
        Error::failed(format!("the MySQL server {} does not keep the protocol: {what}", self.address()))
    }

    /// Why a statement failed, or its result broke off.
    pub(super) fn failed(&self, broken: &Broken, subject: &Subject) -> Error {
        match broken {
            Broken::Lost(kind) => Error::temporary(format!(
                "the connection to the MySQL server {} was lost: {kind}",
                self.address()
            ))
            .help("run again"),
            Broken::Protocol(what) => self.off_protocol(what),
            Broken::Server(said) => with_code(&self.explain(*said, subject), said.code),
        }
    }

    fn explain(&self, Said { code, line }: Said, subject: &Subject) -> Error {
        let (kind, words) = meaning(code);
        let user = shown(&self.user);
        let denied = matches!(code, 1142 | 1143 | 1044 | 1370);
        match subject {
            Subject::Table(table) if denied => {
                Error::invalid(format!("user `{}` may not read {table}", self.user))
                    .help(format!("GRANT SELECT ON {table} TO {user}"))
            }
            Subject::Table(table) => Error::new(kind, format!("cannot read {table}: {words}")),
            Subject::Query { .. } if denied => {
                Error::invalid(format!("user `{}` may not read all that the query names", self.user))
                    .help(format!("GRANT SELECT ON the tables of the query TO {user}"))
            }
            Subject::Query { lines_before } => {
                let line = line.and_then(|line| line.checked_sub(*lines_before)).filter(|line| *line > 0);
                let place = line.map(|line| format!(" at line {line}")).unwrap_or_default();
                Error::new(kind, format!("the query fails{place}: {words}"))
            }
            Subject::Session => Error::new(kind, format!("the server {}: {words}", self.address())),
        }
    }
}

fn with_code(error: &Error, code: u16) -> Error {
    let same = Error::new(error.kind(), format!("{} (error {code})", error.message()));
    match error.remedy() {
        Some(remedy) => same.help(remedy),
        None => same,
    }
}

/// What an error number means to whoever has to act on it.
fn meaning(code: u16) -> (Kind, &'static str) {
    match code {
        1969 | 3024 => (Kind::Temporary, "the statement took longer than the statement timeout allows"),
        1317 | 1028 | 3169 => (Kind::Temporary, "the server stopped the statement on request"),
        1927 | 1094 => (Kind::Temporary, "the server ended the connection on request"),
        1205 => (Kind::Temporary, "another session holds a lock on it"),
        1213 => (Kind::Temporary, "it was in a deadlock with another transaction"),
        1412 => (Kind::Temporary, "its definition changed after the snapshot began"),
        1040 | 1203 | 1226 => (Kind::Temporary, "the server has no connection to spare"),
        1053 | 1079 | 1077 => (Kind::Temporary, "the server is shutting down or starting up"),
        1158..=1161 | 1152 | 1184 => (Kind::Temporary, "the connection failed"),
        1021 | 1037 | 1038 | 1041 | 1135 => (Kind::Temporary, "the server is out of a resource"),
        // Numbers below 1000 are of its files and memory.
        1..=999 => (Kind::Temporary, "the server's machine has a fault"),
        1064 => (Kind::Invalid, "it is not valid SQL"),
        1146 | 1051 => (Kind::Invalid, "there is no such table"),
        1054 => (Kind::Invalid, "there is no such column"),
        1049 => (Kind::Invalid, "there is no such database"),
        1060 => (Kind::Invalid, "two columns have one name; give one of them another with AS"),
        1052 => (Kind::Invalid, "a column name stands for two columns"),
        1305 | 1630 => (Kind::Invalid, "there is no such function"),
        1055 | 1140 => (Kind::Invalid, "it selects a column that is neither grouped nor aggregated"),
        1356 => (Kind::Invalid, "a view names what is not there or may not be read"),
        1792 => (Kind::Invalid, "it writes, and a source is only read"),
        1227 | 1142 | 1143 | 1044 | 1045 | 1370 => (Kind::Invalid, "a right is missing"),
        1235 => (Kind::Invalid, "the server does not support it"),
        1242 => (Kind::Data, "a subquery gives more than one row"),
        1365 => (Kind::Data, "division by zero"),
        1264 | 1690 => (Kind::Data, "a value is out of its type's range"),
        1292 | 1366 | 1411 | 1525 => (Kind::Data, "a value does not have the form of the type it is cast to"),
        1153 | 1301 => (Kind::Data, "a value is longer than the server's max_allowed_packet"),
        1644 => (Kind::Data, "a function of the database raised an error"),
        _ => (Kind::Failed, "the server refused it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint { host: "h".into(), port: 1, database: "d".into(), user: "u".into() }
    }

    #[test]
    fn the_text_of_an_error_is_never_repeated() {
        let payload = b"\xff\x7a\x04#22007Incorrect datetime value: '123-45-6789' at line 3";
        let said = Said::of(payload);
        assert_eq!(said, Said { code: 1146, line: None });
        let error = endpoint().failed(&Broken::Server(said), &Subject::Table("d.t".into()));
        assert!(!error.to_string().contains("6789"), "{error}");
    }

    #[test]
    fn a_syntax_error_tells_the_line_of_the_spec() {
        let mut payload = vec![0xff];
        payload.extend(1064_u16.to_le_bytes());
        payload.extend(b"#42000You have an error near ' at line 9' at line 3");
        let said = Said::of(&payload);
        let error = endpoint().failed(&Broken::Server(said), &Subject::Query { lines_before: 1 });
        assert!(error.message().contains("at line 2"), "{error}");
        assert_eq!(error.kind(), Kind::Invalid);
    }

    #[test]
    fn what_may_pass_is_temporary() {
        for code in [1969, 3024, 1317, 1205, 1412, 1040, 1053, 28] {
            assert_eq!(meaning(code).0, Kind::Temporary, "{code}");
        }
        assert_eq!(endpoint().refused(1045).kind(), Kind::Invalid);
        assert_eq!(endpoint().refused(1040).kind(), Kind::Temporary);
    }
}
