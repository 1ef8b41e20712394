//! `sealift keys check`: the provider answers, every key opens, and none is missing that a dataset needs.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::{Context, Done, progress, show};
use crate::error::{At, Error, Result};
use crate::keys::Keyring;
use crate::keys::health::State;
use crate::publish::{Store, Table, recorded};
use crate::spec::Config;

pub(super) async fn run(context: &Context, config: &Config, keyring: &Keyring) -> Done {
    let turning = progress::turning(context.json, "unwrapping every key".to_owned());
    let (keys, mut problems) = keyring.check().await?;
    problems.extend(missing(config, keyring).await?);
    drop(turning);
    let root = keyring.root_id();
    if context.json {
        show::json(&json!({"root": root, "keys": keys, "problems": problems}));
    } else if problems.is_empty() {
        println!("The root key {root} answers, and all {keys} keys open.");
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::failed(problems.join("\n"))
        .help("`sealift keys restore FILE --passphrase REFERENCE` puts back what a backup has")
        .into())
}

/// What the newest versions of published datasets need and is not there, one line each.
async fn missing(config: &Config, keyring: &Keyring) -> Result<Vec<String>> {
    let entries = keyring.entries().await?;
    let states: BTreeMap<&str, &State> =
        entries.iter().map(|entry| (entry.id.as_str(), &entry.state)).collect();
    let mut problems = Vec::new();
    for (name, settings) in &config.stores {
        let store = Store::open(settings)?;
        for dataset in Table::list(&store).await.at(|| format!("store {name}"))? {
            let Some(table) = Table::load(&store, &dataset, None).await? else { continue };
            for decided in recorded::decided(&store, &dataset, table.version).await? {
                let Some(key) = decided.key.as_deref() else { continue };
                let why = match states.get(key) {
                    None => "is not here".to_owned(),
                    Some(State::Pending(at)) => format!("is to be destroyed after {at}"),
                    Some(State::Destroyed(_) | State::Current | State::Older) => continue,
                };
                problems.push(format!("{dataset}, column `{}`: its key {key} {why}", decided.column));
            }
        }
    }
    Ok(problems)
}
