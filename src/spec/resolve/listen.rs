//! The daemon's doors.

use std::net::SocketAddr;

use super::access::roles;
use super::{not_empty, reference, refuse_later};
use crate::error::{Error, Result};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::listen::{Clients, Listen, Tls};
use crate::spec::raw::listen as raw;
use crate::spec::raw::placed::Placed;

/// What the name of a host begins with.
const DNS: &str = "dns:";
/// What the name of a client can be.
const NAMES: [&str; 4] = ["uri:", DNS, "email:", "cn:"];

pub(crate) fn listen(placed: Option<&Placed<raw::Listen>>, faults: &Faults<'_>) -> Option<Listen> {
    let Some(placed) = placed else { return Some(Listen::default()) };
    let raw = placed.get()?;
    refuse_later(&[("flight", &raw.flight, "remove it; the REST API listens on `http`")], faults);
    let http = faults.parse_optional(raw.http.as_ref(), address);
    let tls = raw.tls.as_ref().map_or(Some(None), |placed| tls(placed.get()?, faults).map(Some));
    let is_plaintext_allowed = flag(raw.plaintext_allowed.as_ref(), false);
    let http = http?.unwrap_or(Listen::default().http);
    if let Some(placed) = raw.plaintext_allowed.as_ref().filter(|_| raw.tls.is_some()) {
        faults.push(
            Fault::new(placed.key, "`plaintext_allowed` does nothing beside `tls`")
                .help("remove one of the two"),
        );
    }
    if raw.tls.is_none() && is_plaintext_allowed == Some(false) && !http.ip().is_loopback() {
        let place = raw.http.as_ref().map_or(placed.span, |http| http.span);
        faults.push(
            Fault::new(place, format!("{http} can be reached from other machines, and speaks no TLS")).help(
                "write `tls: {certificate: …, key: \"file:…\"}` beside it, or listen on 127.0.0.1 or [::1]",
            ),
        );
        return None;
    }
    is_plaintext_allowed?;
    Some(Listen { http, tls: tls? })
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| {
        Error::invalid(format!("{} is not an address with a port", quoted(text)))
            .help("write it as \"127.0.0.1:8470\"")
    })
}

fn tls(raw: &raw::Tls, faults: &Faults<'_>) -> Option<Tls> {
    let certificate = faults.parse(&raw.certificate, not_empty);
    let key = reference(&raw.key, faults.text.folder(), faults);
    let clients = raw.clients.as_ref().map_or(Some(None), |placed| clients(placed.get()?, faults).map(Some));
    Some(Tls { certificate: faults.text.resolve(&certificate?), key: key?, clients: clients? })
}

fn clients(raw: &raw::Clients, faults: &Faults<'_>) -> Option<Clients> {
    let ca_file = faults.parse(&raw.ca_file, not_empty);
    let roles =
        raw.roles.as_ref().map_or_else(|| Some(Default::default()), |placed| roles(placed, faults, client));
    Some(Clients {
        ca_file: faults.text.resolve(&ca_file?),
        is_required: flag(raw.required.as_ref(), false)?,
        roles: roles?,
    })
}

/// The name of a client, with its kind before it. Capitals of a host's name say nothing (RFC 4343).
fn client(text: &str) -> Result<String> {
    if text.len() > DNS.len() && text.starts_with(DNS) {
        return Ok(text.to_ascii_lowercase());
    }
    if NAMES.iter().any(|kind| text.len() > kind.len() && text.starts_with(kind)) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("{} does not say what kind of name it is", quoted(text)))
        .help("write `uri:`, `dns:`, `email:` or `cn:` before it, such as \"dns:airflow.example.com\""))
}

/// What a flag says; `None` where it says nothing that can be read.
pub(super) fn flag(placed: Option<&Placed<bool>>, default: bool) -> Option<bool> {
    placed.map_or(Some(default), |placed| placed.get().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_client_has_its_kind_and_that_of_a_host_no_capitals() {
        assert_eq!(client("dns:ETL.example.com").unwrap(), "dns:etl.example.com");
        assert_eq!(client("cn:Ann").unwrap(), "cn:Ann");
        for bad in ["etl.example.com", "dns:", "DNS:etl.example.com"] {
            assert!(client(bad).is_err(), "{bad}");
        }
    }
}
