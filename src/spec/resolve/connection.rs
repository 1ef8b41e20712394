//! Where rows come from, and how gently they are taken.

use std::time::Duration;

use super::quantity::{duration_within, size_within};
use super::store::is_loopback;
use super::{not_empty, optional_reference, within};
use crate::error::{Error, Result};
use crate::spec::config::{Connection, Limits, Mysql, Odbc, Postgres, Sqlite, Throttle, Tls};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::config as raw;
use crate::spec::raw::placed::{Placed, Words};

pub(super) fn connection(raw: &raw::Connection, faults: &Faults<'_>) -> Option<Connection> {
    match raw {
        raw::Connection::Postgres(raw) => postgres(raw, faults).map(Connection::Postgres),
        raw::Connection::Mysql(raw) => mysql(raw, faults).map(Connection::Mysql),
        raw::Connection::Sqlite(raw) => sqlite(raw, faults).map(Connection::Sqlite),
        raw::Connection::Odbc(raw) => odbc(raw, faults).map(Connection::Odbc),
        raw::Connection::Files(files) => {
            let root = faults.parse(&files.root, not_empty)?;
            Some(Connection::Files { root: faults.text.resolve(&root) })
        }
    }
}

fn postgres(raw: &raw::Postgres, faults: &Faults<'_>) -> Option<Postgres> {
    let host = faults.parse(&raw.host, host);
    let port = faults.take_optional(raw.port.as_ref(), within(1, 65_535));
    let database = faults.parse(&raw.database, not_empty);
    let user = faults.parse(&raw.user, not_empty);
    let password = optional_reference(raw.password.as_ref(), faults.text.folder(), faults);
    let passfile = faults.parse_optional(raw.passfile.as_ref(), not_empty);
    let ca_file = faults.parse_optional(raw.ca_file.as_ref(), not_empty);
    let tls = tls(raw.tls.as_ref(), host.as_deref(), raw.ca_file.as_ref(), faults);
    let statement_timeout = statement_timeout(raw.statement_timeout.as_ref(), faults);
    let limits = limits(raw.limits.as_ref(), faults);
    let throttle = throttle(raw.throttle.as_ref(), faults);
    check_throttle(limits.as_ref(), raw.throttle.as_ref(), faults);
    if let (Some(passfile), Some(_)) = (&raw.passfile, &raw.password) {
        faults.push(
            Fault::new(passfile.key, "`passfile` does nothing beside `password`")
                .help("remove one of the two"),
        );
    }
    Some(Postgres {
        host: host?,
        port: u16::try_from(port?.unwrap_or(5432)).ok()?,
        database: database?,
        user: user?,
        password: password?,
        passfile: passfile?.map(|path| faults.text.resolve(&path)),
        tls: tls?,
        ca_file: ca_file?.map(|path| faults.text.resolve(&path)),
        statement_timeout: statement_timeout?,
        limits: limits?,
        throttle: throttle?,
    })
}

fn mysql(raw: &raw::Mysql, faults: &Faults<'_>) -> Option<Mysql> {
    let host = faults.parse(&raw.host, host);
    let port = faults.take_optional(raw.port.as_ref(), within(1, 65_535));
    let database = faults.parse(&raw.database, not_empty);
    let user = faults.parse(&raw.user, not_empty);
    let password = optional_reference(raw.password.as_ref(), faults.text.folder(), faults);
    let ca_file = faults.parse_optional(raw.ca_file.as_ref(), not_empty);
    let tls = tls(raw.tls.as_ref(), host.as_deref(), raw.ca_file.as_ref(), faults);
    let statement_timeout = statement_timeout(raw.statement_timeout.as_ref(), faults);
    let limits = limits(raw.limits.as_ref(), faults);
    let throttle = throttle(raw.throttle.as_ref(), faults);
    check_throttle(limits.as_ref(), raw.throttle.as_ref(), faults);
    Some(Mysql {
        host: host?,
        port: u16::try_from(port?.unwrap_or(3306)).ok()?,
        database: database?,
        user: user?,
        password: password?,
        tls: tls?,
        ca_file: ca_file?.map(|path| faults.text.resolve(&path)),
        statement_timeout: statement_timeout?,
        limits: limits?,
        throttle: throttle?,
    })
}

fn sqlite(raw: &raw::Sqlite, faults: &Faults<'_>) -> Option<Sqlite> {
    let path = faults.parse(&raw.path, not_empty);
    let limits = limits(raw.limits.as_ref(), faults);
    Some(Sqlite { path: faults.text.resolve(&path?), limits: limits? })
}

fn odbc(raw: &raw::Odbc, faults: &Faults<'_>) -> Option<Odbc> {
    let connection_string = faults.parse(&raw.connection_string, connection_string);
    let user = faults.parse_optional(raw.user.as_ref(), not_empty);
    let password = optional_reference(raw.password.as_ref(), faults.text.folder(), faults);
    let statement_timeout = statement_timeout(raw.statement_timeout.as_ref(), faults);
    let limits = limits(raw.limits.as_ref(), faults);
    Some(Odbc {
        connection_string: connection_string?,
        user: user?,
        password: password?,
        statement_timeout: statement_timeout?,
        limits: limits?,
    })
}

/// `throttle` looks at the load over a connection of its own.
fn check_throttle(limits: Option<&Limits>, throttle: Option<&Placed<raw::Throttle>>, faults: &Faults<'_>) {
    if let (Some(Limits { connections: Some(1), .. }), Some(throttle)) = (limits, throttle) {
        faults.push(
            Fault::new(
                throttle.key,
                "`throttle` needs a connection of its own, and `limits` allows one in all",
            )
            .help("write `connections: 2` or more"),
        );
    }
}

/// A connection string that holds no password: those are references, never values.
fn connection_string(text: &str) -> Result<String> {
    let holds_secret = text.split(';').filter_map(|part| part.split_once('=')).any(|(key, _)| {
        let key = key.to_lowercase();
        ["pwd", "password", "passwd"].iter().any(|word| key.contains(word))
    });
    if holds_secret {
        return Err(Error::invalid("the connection string holds a password").help(
            "write `password: \"env:NAME\"` beside it, and change the password: it has been in a file",
        ));
    }
    not_empty(text)
}

fn tls(
    raw: Option<&Placed<raw::Tls>>,
    host: Option<&str>,
    ca_file: Option<&Placed<String>>,
    faults: &Faults<'_>,
) -> Option<Tls> {
    let Some(written) = raw else { return Some(Tls::VerifyFull) };
    match written.get()? {
        raw::Tls::VerifyFull => Some(Tls::VerifyFull),
        raw::Tls::Disable => {
            if let Some(host) = host.filter(|host| !is_loopback(host)) {
                let message = format!("`tls: disable` sends rows in the clear to {}", quoted(host));
                faults.push(
                    Fault::new(written.span, message)
                        .help("use `tls: verify-full`; `disable` is for this machine only (localhost)"),
                );
            }
            if let Some(ca_file) = ca_file {
                faults.push(
                    Fault::new(ca_file.key, "`ca_file` does nothing under `tls: disable`")
                        .help("remove one of the two"),
                );
            }
            Some(Tls::Disable)
        }
    }
}

fn host(text: &str) -> Result<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#,".contains(c);
    let has_port = text.matches(':').count() == 1;
    if text.is_empty() || text.contains(odd) || has_port {
        return Err(Error::invalid("this is not a host name or address")
            .help("write the host alone; port, database and user have keys of their own"));
    }
    Ok(text.to_owned())
}

#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn statement_timeout(raw: Option<&Placed<Words>>, faults: &Faults<'_>) -> Option<Option<Duration>> {
    faults.take_optional(raw, |text| duration_within("1s", "7days", &text.0))
}

fn limits(raw: Option<&Placed<raw::Limits>>, faults: &Faults<'_>) -> Option<Limits> {
    let Some(raw) = raw else { return Some(Limits::default()) };
    let raw = raw.get()?;
    let connections = faults.take_optional(raw.connections.as_ref(), within(1, 64));
    let rows = faults.take_optional(raw.rows_per_second.as_ref(), within(1, u64::MAX));
    let bytes =
        faults.take_optional(raw.bytes_per_second.as_ref(), |text| size_within("1KB", "16TiB", &text.0));
    let runs = faults.take_optional(raw.runs.as_ref(), within(1, 64));
    Some(Limits {
        connections: connections?.and_then(|connections| usize::try_from(connections).ok()),
        rows_per_second: rows?,
        bytes_per_second: bytes?,
        runs: runs?.and_then(|runs| usize::try_from(runs).ok()),
    })
}

#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn throttle(raw: Option<&Placed<raw::Throttle>>, faults: &Faults<'_>) -> Option<Option<Throttle>> {
    let Some(placed) = raw else { return Some(None) };
    let raw = placed.get()?;
    let query = faults.parse(&raw.query, not_empty);
    let slow_above = faults.take(&raw.slow_above, |number| Ok(*number));
    let pause_above = faults.take(&raw.pause_above, |number| Ok(*number));
    let every = faults.take_optional(raw.every.as_ref(), |text| duration_within("1s", "1h", &text.0));
    let (query, slow_above, pause_above) = (query?, slow_above?, pause_above?);
    if pause_above < slow_above {
        faults.push(
            Fault::new(raw.pause_above.span, "the read would pause before it slows down")
                .help("write a `pause_above` that is not below `slow_above`"),
        );
        return None;
    }
    Some(Some(Throttle { query, slow_above, pause_above, every: every?.unwrap_or(Duration::from_secs(10)) }))
}
