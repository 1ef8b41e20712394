//! The configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use super::access::access;
use super::connection::connection;
use super::keys::keys;
use super::listen::listen;
use super::observability::observability;
use super::quantity::duration_within;
use super::store::store;
use super::{not_empty, reference, within};
use crate::error::{Error, Result};
use crate::spec::config::{Metadata, Runs};
use crate::spec::faults::{Fault, Faults, listed, quoted};
use crate::spec::raw::config as raw;
use crate::spec::raw::placed::{Either, Map, Placed, Words};
use crate::spec::{Config, ConnectionName, StoreName};

/// How long a lease in PostgreSQL stands without being renewed.
const LEASE: Duration = Duration::from_secs(30);

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
    let audit_checkpoints = audit(raw, faults);
    let memory_limit_mb = faults.take_optional(raw.memory_limit_mb.as_ref(), within(256, 16_000_000));
    let observability = observability(raw, faults);
    let runs = raw.runs.as_ref().map_or(Some(Runs::default()), |placed| runs(placed.get()?, faults));
    Some(Config {
        path: faults.text.path.clone(),
        digest: faults.text.digest.clone(),
        pipelines: pipelines?,
        policy: policy?,
        metadata: metadata?,
        keys: keys?,
        stores: stores?,
        connections: connections?,
        listen: listen?,
        access: access?,
        audit_checkpoints: audit_checkpoints?,
        memory_limit_bytes: memory_limit_mb?.unwrap_or(1024) * 1_000_000,
        observability: observability?,
        runs: runs?,
    })
}

fn runs(raw: &raw::Runs, faults: &Faults<'_>) -> Option<Runs> {
    let default = Runs::default();
    let at_once = faults.take_optional(raw.at_once.as_ref(), within(1, 64));
    let waiting = faults.take_optional(raw.waiting.as_ref(), within(1, 100_000));
    let count =
        |number: Option<u64>, default| number.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    Some(Runs { at_once: count(at_once?, default.at_once), waiting: count(waiting?, default.waiting) })
}

fn metadata(placed: &Placed<raw::Metadata>, faults: &Faults<'_>) -> Option<Metadata> {
    match placed.get()? {
        raw::Metadata::Sqlite(path) => {
            let path = faults.parse(path, not_empty)?;
            Some(Metadata::Sqlite(faults.text.resolve(&path)))
        }
        raw::Metadata::Postgres(Either::Word(url)) => {
            let url = reference(&url.0, faults.text.folder(), faults)?;
            Some(Metadata::Postgres { url, lease: LEASE })
        }
        raw::Metadata::Postgres(Either::Mapping(raw)) => {
            let url = reference(&raw.url, faults.text.folder(), faults);
            let lease = faults
                .take_optional(raw.lease.as_ref(), |words: &Words| duration_within("3s", "10m", &words.0));
            Some(Metadata::Postgres { url: url?, lease: lease?.unwrap_or(LEASE) })
        }
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

/// The store of checkpoints, which must be one of those that are named.
#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn audit(raw: &raw::Config, faults: &Faults<'_>) -> Option<Option<StoreName>> {
    let Some(audit) = &raw.audit else { return Some(None) };
    let named = raw.stores.get().map(|stores| stores.0.as_slice()).unwrap_or_default();
    let known: Vec<&str> = named.iter().filter_map(|(key, _)| key.get().map(String::as_str)).collect();
    faults.parse_optional(audit.get()?.checkpoints.as_ref(), |text| {
        if !known.contains(&text) {
            return Err(Error::invalid(format!("there is no store {}", quoted(text)))
                .help(format!("the stores are {}", listed(&known))));
        }
        StoreName::parse(text)
    })
}
