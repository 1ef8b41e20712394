//! Raw documents to valid types. Every function here reads all of its part and tells the faults
//! all that is wrong with it before it gives up.

pub(crate) mod access;
pub(crate) mod action;
pub(crate) mod cases;
pub(crate) mod classification;
pub(crate) mod columns;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod contract;
pub(crate) mod file_set;
pub(crate) mod increment;
pub(crate) mod keys;
pub(crate) mod listen;
pub(crate) mod merging;
pub(crate) mod observability;
pub(crate) mod parquet;
pub(crate) mod pipeline;
pub(crate) mod policy;
pub(crate) mod quality;
pub(crate) mod quantity;
pub(crate) mod quarantine;
pub(crate) mod schedule;
pub(crate) mod store;
pub(crate) mod stream;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::claims::Claims;
use super::faults::{Fault, Faults, quoted};
use super::hidden::{Hidden, is_reference};
use super::policy::Policy;
use super::raw;
use super::raw::placed::{Later, Placed};
use crate::error::{Error, Result};
use crate::secret::Reference;

/// What other documents say that a pipeline is checked against.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// What the configuration names; `None` where there is no configuration to ask.
    pub(crate) known: Option<Arc<Known>>,
    /// The policy, where weaker actions are to be told at once.
    pub(crate) policy: Option<Arc<Policy>>,
    /// What is taken already: by other documents, and by what was read of this one.
    pub(crate) claims: RefCell<Claims>,
}

/// The names in a configuration, valid or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Connections with their kind, where it can be told.
    pub(crate) connections: BTreeMap<String, Option<ConnectionKind>>,
    pub(crate) stores: Vec<String>,
}

/// What a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    Database,
    Files,
}

impl Context {
    /// The store that a pipeline means which names none.
    pub(crate) fn only_store(&self) -> Option<&str> {
        self.known.as_ref()?.only_store()
    }
}

impl Known {
    pub(crate) fn of(config: &raw::config::Config) -> Self {
        let names = |name: &Placed<String>| name.get().cloned();
        let connections = config.connections.get().into_iter().flat_map(|connections| &connections.0);
        let stores = config.stores.get().into_iter().flat_map(|stores| &stores.0);
        Self {
            connections: connections
                .filter_map(|(name, connection)| {
                    let kind = connection.get().map(|connection| match connection {
                        raw::config::Connection::Files(_) => ConnectionKind::Files,
                        _ => ConnectionKind::Database,
                    });
                    Some((names(name)?, kind))
                })
                .collect(),
            stores: stores.filter_map(|(name, _)| names(name)).collect(),
        }
    }

    /// The store that a pipeline means which names none.
    pub(crate) fn only_store(&self) -> Option<&str> {
        match self.stores.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The names that the resolved configuration holds.
    pub(crate) fn of_valid(config: &super::Config) -> Self {
        use super::config::Connection;
        let kind = |connection: &Connection| match connection {
            Connection::Files { .. } => ConnectionKind::Files,
            _ => ConnectionKind::Database,
        };
        Self {
            connections: config
                .connections
                .iter()
                .map(|(name, connection)| (name.as_str().to_owned(), Some(kind(connection))))
                .collect(),
            stores: config.stores.keys().map(|name| name.as_str().to_owned()).collect(),
        }
    }
}

/// A secret's reference. A value in its place is told and never shown.
pub(crate) fn reference(placed: &Placed<String>, folder: &Path, faults: &Faults<'_>) -> Option<Reference> {
    if let Some(text) = placed.get().filter(|text| !is_reference(text)) {
        faults.hide([Hidden { span: placed.span, text: text.clone() }]);
        faults.push(Fault::new(placed.span, "a secret must be a reference, never a value").help(
            "write `env:NAME` or `file:/path`; if this was the secret, change it: it has been in a file",
        ));
        return None;
    }
    faults.parse(placed, |text| Reference::parse(text, folder))
}

/// As [`reference`], for a key that may be left out.
#[expect(clippy::option_option, reason = "left out and wrong are different things")]
pub(crate) fn optional_reference(
    placed: Option<&Placed<String>>,
    folder: &Path,
    faults: &Faults<'_>,
) -> Option<Option<Reference>> {
    placed.map_or(Some(None), |placed| reference(placed, folder, faults).map(Some))
}

/// Text that says something.
pub(crate) fn not_empty(text: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Err(Error::invalid("this text is empty").help("write what belongs here"));
    }
    Ok(text.trim().to_owned())
}

/// A whole number within bounds.
pub(crate) fn within(low: u64, high: u64) -> impl Fn(&u64) -> Result<u64> {
    move |number| {
        if (low..=high).contains(number) {
            Ok(*number)
        } else {
            let bounds = match high {
                u64::MAX => format!("write a whole number of {low} or more"),
                high => format!("write a whole number from {low} to {high}"),
            };
            Err(Error::invalid(format!("{number} is out of bounds")).help(bounds))
        }
    }
}

/// Refuses keys that the design knows and this version does not have.
pub(crate) fn refuse_later(later: &[(&str, &Option<Placed<Later>>, &str)], faults: &Faults<'_>) {
    for (key, placed, help) in later {
        if let Some(placed) = placed {
            faults.push(
                Fault::new(placed.key, format!("{} is not available in this version", quoted(key)))
                    .help(*help),
            );
        }
    }
}

/// Refuses a value that the design knows and this version does not have.
pub(crate) fn not_yet(what: &str, help: &str) -> Error {
    Error::invalid(format!("`{what}` is not available in this version")).help(help)
}
