//! The address of a store in PostgreSQL. It holds a password: nothing of it is ever repeated.

use std::net::IpAddr;

use sqlx::any::AnyConnectOptions;
use url::Url;

use crate::error::{Error, Result};
use crate::secret::Secret;

/// What may stand behind the `?`. The driver takes more, among it what would lead to another host.
const SETTINGS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "options"];

/// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`.
///
/// # Errors
/// `Invalid` for any other text, and where the connection to another machine would not be checked.
pub(super) fn postgres(secret: &Secret) -> Result<AnyConnectOptions> {
    let text = secret.expose_str()?.trim();
    let url = Url::parse(text).map_err(|_| invalid("is no URL"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(invalid("does not begin with postgres://"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| invalid("names no host"))?;
    if url.username().is_empty() {
        return Err(invalid("names no user"));
    }
    if url.path().trim_matches('/').is_empty() {
        return Err(invalid("names no database"));
    }
    let unknown = url.query_pairs().any(|(key, _)| !SETTINGS.contains(&key.as_ref()));
    if unknown {
        let known = SETTINGS.join(", ");
        return Err(invalid("has a setting that is not known").help(format!("the settings are {known}")));
    }
    let modes: Vec<_> = url.query_pairs().filter(|(key, _)| key == "sslmode").map(|(_, mode)| mode).collect();
    let is_checked = matches!(modes.as_slice(), [mode] if mode == "verify-full");
    if !is_checked && !is_this_machine(host) {
        return Err(invalid("leads to another machine without checking which one").help(
            "end it with `?sslmode=verify-full`, and `&sslrootcert=/path` for an authority of your own",
        ));
    }
    text.parse().map_err(|_| invalid("cannot be read"))
}

/// A loopback address, or a socket in a folder (`%2Fvar%2Frun%2Fpostgresql`).
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_socket = host.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f"));
    is_socket
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn invalid(what: &str) -> Error {
    Error::invalid(format!("the address of the metadata store {what}"))
        .help("write postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn read(text: &str) -> Result<AnyConnectOptions> {
        postgres(&Secret::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn another_machine_must_prove_which_one_it_is() {
        for good in [
            "postgres://u:p@localhost/d",
            "postgres://u@127.0.0.1:5433/d?options=-csearch_path%3Dmeta",
            "postgresql://u:p@[::1]:5432/d?sslmode=disable",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
            "postgres://u:p@db.example/d?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        ] {
            read(good).unwrap();
        }
        for bad in [
            "postgres://u:hunter2@db.example/d",
            "postgres://u:hunter2@db.example/d?sslmode=require",
            "postgres://u:hunter2@db.example/d?sslmode=verify-full&sslmode=disable",
            "postgres://u:hunter2@localhost.example/d",
            "postgres://u:hunter2@localhost/d?host=db.example",
            "postgres://u:hunter2@localhost/d?hostaddr=10.0.0.1",
            "postgres://u:hunter2@localhost/",
            "postgres://localhost/d?password=hunter2",
            "mysql://u:hunter2@localhost/d",
            "hunter2",
        ] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{bad}");
            assert!(!format!("{error:?}").contains("hunter2") && error.remedy().is_some(), "{error:?}");
        }
    }
}
