//! The configuration.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::quantity::size_within;
use super::store::{is_loopback, store};
use super::{not_empty, not_yet, optional_reference, refuse_later, within};
use crate::error::{Error, Result};
use crate::spec::config::{Connection, Keys, Listen, Metadata, Postgres, Tls};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::config as raw;
use crate::spec::raw::placed::{Map, Placed};
use crate::spec::{Config, ConnectionName, StoreName};

pub(crate) fn config(raw: &raw::Config, faults: &Faults<'_>) -> Option<Config> {
    let pipelines = faults.parse(&raw.pipelines, not_empty).map(|path| faults.text.resolve(&path));
    let policy = faults.parse(&raw.policy, not_empty).map(|path| faults.text.resolve(&path));
    let metadata = metadata(&raw.metadata, faults);
    let keys = keys(&raw.keys, faults);
    let stores = named(&raw.stores, "store", StoreName::parse, faults, |raw| store(raw, faults));
    let connections =
        named(&raw.connections, "connection", ConnectionName::parse, faults, |raw| connection(raw, faults));
    let listen = listen(raw.listen.as_ref(), faults);
    let memory_limit =
        faults.take_optional(raw.memory_limit.as_ref(), |text| size_within("64MiB", "16TiB", &text.0));
    Some(Config {
        path: faults.text.path.clone(),
        pipelines: pipelines?,
        policy: policy?,
        metadata: metadata?,
        keys: keys?,
        stores: stores?,
        connections: connections?,
        listen: listen?,
        memory_limit_bytes: memory_limit?.unwrap_or(1 << 30),
    })
}

fn metadata(placed: &Placed<raw::Metadata>, faults: &Faults<'_>) -> Option<Metadata> {
    match placed.get()? {
        raw::Metadata::Sqlite(path) => {
            let path = faults.parse(path, not_empty)?;
            Some(Metadata::Sqlite(faults.text.resolve(&path)))
        }
        raw::Metadata::Postgres(_) => faults.take(placed, |_| {
            Err(not_yet("metadata: postgres", "write `metadata: {sqlite: ../var/sealift.db}`"))
        }),
    }
}

fn keys(placed: &Placed<raw::Keys>, faults: &Faults<'_>) -> Option<Keys> {
    let provider = match placed.get()? {
        raw::Keys::File(keys) => {
            let folder = faults.text.folder();
            let path = faults.parse(&keys.path, not_empty).map(|path| faults.text.resolve(&path));
            let passphrase = optional_reference(keys.passphrase.as_ref(), folder, faults);
            return Some(Keys::File { path: path?, passphrase: passphrase? });
        }
        raw::Keys::Pkcs11(_) => "pkcs11",
        raw::Keys::AwsKms(_) => "aws_kms",
        raw::Keys::AzureKeyVault(_) => "azure_key_vault",
        raw::Keys::GcpKms(_) => "gcp_kms",
        raw::Keys::Vault(_) => "vault",
    };
    faults.take(placed, |_| Err(not_yet(provider, "write `keys: {file: {path: ../var/keys}}`")))
}

/// A mapping from names to things, each of which must be valid.
fn named<R, N: Ord, T>(
    placed: &Placed<Map<R>>,
    what: &str,
    name: impl Fn(&str) -> Result<N>,
    faults: &Faults<'_>,
    read: impl Fn(&R) -> Option<T>,
) -> Option<BTreeMap<N, T>> {
    let entries = &placed.get()?.0;
    if entries.is_empty() {
        faults.push(Fault::new(placed.key, format!("no {what} is defined")).help(format!("define a {what}")));
        return None;
    }
    let read: Vec<_> = entries
        .iter()
        .map(|(key, value)| {
            let key = faults.parse(key, |text| name(text));
            let value = value.get().and_then(&read);
            Some((key?, value?))
        })
        .collect();
    read.into_iter().collect()
}

fn connection(raw: &raw::Connection, faults: &Faults<'_>) -> Option<Connection> {
    match raw {
        raw::Connection::Postgres(raw) => postgres(raw, faults).map(Connection::Postgres),
        raw::Connection::Files(files) => {
            let root = faults.parse(&files.root, not_empty)?;
            Some(Connection::Files { root: faults.text.resolve(&root) })
        }
    }
}

fn postgres(raw: &raw::Postgres, faults: &Faults<'_>) -> Option<Postgres> {
    let folder = faults.text.folder();
    let host = faults.parse(&raw.host, host);
    let port = faults.take_optional(raw.port.as_ref(), within(1, 65_535));
    let database = faults.parse(&raw.database, not_empty);
    let user = faults.parse(&raw.user, not_empty);
    let password = optional_reference(raw.password.as_ref(), folder, faults);
    let ca_file = faults.parse_optional(raw.ca_file.as_ref(), not_empty);
    let tls = match &raw.tls {
        None => Some(Tls::VerifyFull),
        Some(tls) => tls.get().map(|tls| match tls {
            raw::Tls::Disable => Tls::Disable,
            raw::Tls::VerifyFull => Tls::VerifyFull,
        }),
    };
    if let (Some(Tls::Disable), Some(written)) = (tls, &raw.tls) {
        if let Some(host) = host.as_ref().filter(|host| !is_loopback(host)) {
            let message = format!("`tls: disable` sends rows in the clear to {}", quoted(host));
            faults.push(
                Fault::new(written.span, message)
                    .help("use `tls: verify-full`; `disable` is for this machine only (localhost)"),
            );
        }
        if let Some(ca_file) = &raw.ca_file {
            faults.push(
                Fault::new(ca_file.key, "`ca_file` does nothing under `tls: disable`")
                    .help("remove one of the two"),
            );
        }
    }
    Some(Postgres {
        host: host?,
        port: u16::try_from(port?.unwrap_or(5432)).ok()?,
        database: database?,
        user: user?,
        password: password?,
        tls: tls?,
        ca_file: ca_file?.map(|path| faults.text.resolve(&path)),
    })
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

fn listen(placed: Option<&Placed<raw::Listen>>, faults: &Faults<'_>) -> Option<Listen> {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8470));
    let Some(placed) = placed else { return Some(Listen { http: default }) };
    let listen = placed.get()?;
    refuse_later(&[("flight", &listen.flight, "remove it; the REST API listens on `http`")], faults);
    let http = faults.parse_optional(listen.http.as_ref(), |text| {
        let address: SocketAddr = text.parse().map_err(|_| {
            Error::invalid(format!("{} is not an address with a port", quoted(text)))
                .help("write it as \"127.0.0.1:8470\"")
        })?;
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err(Error::invalid(format!("{address} can be reached from other machines"))
                .help("listen on 127.0.0.1 or [::1], and put a TLS proxy in front for others"))
        }
    })?;
    Some(Listen { http: http.unwrap_or(default) })
}
