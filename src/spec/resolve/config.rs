//! The configuration.

use std::collections::BTreeMap;

use super::access::access;
use super::connection::connection;
use super::keys::keys;
use super::listen::listen;
use super::store::store;
use super::{not_empty, not_yet, within};
use crate::error::Result;
use crate::spec::config::Metadata;
use crate::spec::faults::{Fault, Faults};
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
    let access = access(raw.access.as_ref(), faults);
    let memory_limit_mb = faults.take_optional(raw.memory_limit_mb.as_ref(), within(256, 16_000_000));
    Some(Config {
        path: faults.text.path.clone(),
        pipelines: pipelines?,
        policy: policy?,
        metadata: metadata?,
        keys: keys?,
        stores: stores?,
        connections: connections?,
        listen: listen?,
        access: access?,
        memory_limit_bytes: memory_limit_mb?.unwrap_or(1024) * 1_000_000,
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
