//! What drivers say, in our own words.
//!
//! A diagnostic's text is never repeated: drivers quote values, hosts and whole statements in it.
//! Its SQLSTATE and native code are enough. Only where a driver reports a refused password as an
//! unreachable server is the text looked at.

use arrow_odbc::odbc_api::Error as OdbcError;

use super::dbms::Dbms;
use crate::error::{Error, Kind};

/// What was asked when the driver refused.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The connection, its settings or its catalog.
    Session,
    /// A table, as it is written in SQL.
    Table(String),
    /// The query of a stream.
    Query,
}

/// SQLSTATE and native code of a diagnostic.
fn codes(error: &OdbcError) -> Option<(String, i32)> {
    let (OdbcError::Diagnostics { record, .. }
    | OdbcError::UnsupportedOdbcApiVersion(record)
    | OdbcError::InvalidRowArraySize { record, .. }
    | OdbcError::UnableToRepresentNull(record)
    | OdbcError::OracleOdbcDriverDoesNotSupport64Bit(record)) = error
    else {
        return None;
    };
    Some((record.state.as_str().to_owned(), record.native_error))
}

/// Why no connection came about.
pub(super) fn not_connected(error: &OdbcError) -> Error {
    let Some((state, native)) = codes(error) else {
        return Error::failed("the ODBC driver manager does not work")
            .help("check the unixODBC installation");
    };
    let text = error.to_string().to_lowercase();
    let refused = state == "28000"
        || state == "28P01"
        || matches!(native, 1045 | 1017 | 18456)
        || ["password authentication failed", "no password supplied", "authentication failed"]
            .iter()
            .any(|words| text.contains(words));
    let error = match state.as_str() {
        _ if refused => Error::invalid("the database does not accept the user or the password")
            .help("check `user` and `password` of the connection"),
        "IM002" => Error::invalid("there is no such ODBC driver or data source").help(
            "name a driver of odbcinst.ini or its file in `Driver=`, or a source of odbc.ini in `DSN=`",
        ),
        "IM003" | "01000" => Error::invalid("the ODBC driver cannot be loaded").help(
            "check that the file that `Driver=` stands for is there, and the libraries it needs (`ldd`)",
        ),
        "3D000" => no_database(),
        _ if native == 1049 || text.contains("database") && text.contains("does not exist") => no_database(),
        "HY000" if matches!(native, 2002 | 2003 | 2005 | 2006 | 2013) => unreachable(),
        "08001" | "08S01" | "08006" | "HYT00" | "HYT01" => unreachable(),
        _ => {
            let (kind, words) = meaning(&state, native, Dbms::Other);
            Error::new(kind, format!("the database refuses the connection: {words}"))
                .help("check `connection_string`, and try it with `isql`")
        }
    };
    with_codes(&error, &state, native)
}

fn no_database() -> Error {
    Error::invalid("the server has no database of this name").help("check `Database=` in `connection_string`")
}

fn unreachable() -> Error {
    Error::temporary("cannot reach the database")
        .help("check host, port and network of `connection_string`, and that the server runs")
}

/// Why a statement failed, or its result broke off.
pub(super) fn failed(dbms: Dbms, error: &OdbcError, subject: &Subject) -> Error {
    if matches!(error, OdbcError::TooLargeValueForBuffer { .. }) {
        return Error::data("a value is longer than its column is described as").help(
            "read the column with a query that casts it to a type of the length it has; nothing was cut",
        );
    }
    let Some((state, native)) = codes(error) else {
        return Error::failed(format!("the ODBC driver for {} does not keep to the standard", dbms.name()));
    };
    let (kind, words) = meaning(&state, native, dbms);
    let message = match subject {
        Subject::Session => format!("{}: {words}", dbms.name()),
        Subject::Table(table) => format!("cannot read {table}: {words}"),
        Subject::Query => format!("the query fails: {words}"),
    };
    with_codes(&Error::new(kind, message), &state, native)
}

fn with_codes(error: &Error, state: &str, native: i32) -> Error {
    let same = Error::new(error.kind(), format!("{} (SQLSTATE {state}, {native})", error.message()));
    match error.remedy() {
        Some(remedy) => same.help(remedy),
        None => same,
    }
}

/// What codes mean to whoever has to act on it.
fn meaning(state: &str, native: i32, dbms: Dbms) -> (Kind, &'static str) {
    if let Some(known) = native_meaning(native, dbms) {
        return known;
    }
    match state {
        "HYT00" | "HYT01" | "S1T00" => (Kind::Temporary, "it takes longer than the timeout allows"),
        "HY008" | "57014" => (Kind::Temporary, "the server cancelled the statement"),
        "HY001" | "HY013" | "HY014" => (Kind::Temporary, "there is not enough memory or handles"),
        "55P03" => (Kind::Temporary, "another session holds a lock on it"),
        "42S02" | "42P01" | "S0002" | "42704" => (Kind::Invalid, "there is no such table"),
        "42S22" | "42703" | "S0022" => (Kind::Invalid, "there is no such column"),
        "42501" => (Kind::Invalid, "the user has no right to read it"),
        "25006" => (Kind::Invalid, "it writes, and a source is only read"),
        "HYC00" | "IM001" | "0A000" => (Kind::Invalid, "the driver or the server does not support it"),
        "07002" | "07001" => (Kind::Invalid, "it has a parameter, and a stream's query has none"),
        "01004" => (Kind::Data, "a value is longer than its column is described as"),
        _ => match state.get(..2).unwrap_or_default() {
            "08" => (Kind::Temporary, "the connection failed"),
            "40" => (Kind::Temporary, "the transaction was rolled back"),
            "53" | "57" | "58" => (Kind::Temporary, "the server is out of a resource or being shut down"),
            "22" | "23" => (Kind::Data, "a value cannot be computed"),
            "28" => (Kind::Invalid, "the user is not let in"),
            "37" | "42" | "S0" => (Kind::Invalid, "it is not valid SQL, or not allowed"),
            _ => (Kind::Failed, "the database refuses it"),
        },
    }
}

/// Native codes of the databases whose drivers answer `HY000` to nearly everything.
fn native_meaning(native: i32, dbms: Dbms) -> Option<(Kind, &'static str)> {
    let known = match (dbms, native) {
        (Dbms::Mysql, 1064) => (Kind::Invalid, "it is not valid SQL"),
        (Dbms::Mysql, 1146 | 1051) => (Kind::Invalid, "there is no such table"),
        (Dbms::Mysql, 1054) => (Kind::Invalid, "there is no such column"),
        (Dbms::Mysql, 1142 | 1143 | 1044) => (Kind::Invalid, "the user has no right to read it"),
        (Dbms::Mysql, 1205 | 1213) => (Kind::Temporary, "another session holds a lock on it"),
        (Dbms::Mysql, 1969 | 3024 | 1317) => (Kind::Temporary, "the server cancelled the statement"),
        (Dbms::Mysql, 1040 | 2002 | 2003 | 2006 | 2013) => (Kind::Temporary, "the connection failed"),
        (Dbms::Mysql, 1792) => (Kind::Invalid, "it writes, and a source is only read"),
        (Dbms::Sqlite, 1) => (Kind::Invalid, "it is not valid SQL, or names what is not there"),
        (Dbms::Sqlite, 5 | 6) => (Kind::Temporary, "another process holds it locked"),
        (Dbms::Sqlite, 14) => (Kind::Invalid, "the file cannot be opened"),
        (Dbms::Sqlite, 26) => (Kind::Invalid, "the file is not a database"),
        (Dbms::Oracle, 942) => (Kind::Invalid, "there is no such table, or the user may not read it"),
        (Dbms::Oracle, 1555 | 8181) => (Kind::Temporary, "the snapshot is too old for the server"),
        (Dbms::SqlServer, 3952) => (Kind::Invalid, "snapshot isolation is not allowed in the database"),
        (Dbms::SqlServer, 1205 | 3960) => (Kind::Temporary, "it conflicts with another transaction"),
        _ => return None,
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_states_that_are_not_listed_keep_their_kind() {
        for (state, kind) in [
            ("08007", Kind::Temporary),
            ("40001", Kind::Temporary),
            ("22012", Kind::Data),
            ("42000", Kind::Invalid),
            ("HY000", Kind::Failed),
            ("", Kind::Failed),
        ] {
            assert_eq!(meaning(state, 0, Dbms::Other).0, kind, "{state}");
        }
    }

    #[test]
    fn a_native_code_counts_only_for_its_own_database() {
        assert_eq!(meaning("HY000", 1, Dbms::Sqlite).0, Kind::Invalid);
        assert_eq!(meaning("HY000", 1, Dbms::Other).0, Kind::Failed);
    }
}
