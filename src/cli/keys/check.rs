//! `sealift keys check`: the provider answers, every key opens, and none is missing that a dataset needs.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::{Context, Done, progress, show};
use crate::error::{At, Error, Result};
use crate::govern::audit;
use crate::keys::health::State;
use crate::keys::{Keyring, Purpose, split_id};
use crate::publish::{Store, Table, recorded};
use crate::run::Ledger;
use crate::spec::Config;

pub(super) async fn run(context: &Context, config: &Config, keyring: &Keyring, ledger: &Ledger) -> Done {
    audit::key_use(ledger, &audit::operator(), "check", &["every key"]).await?;
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

/// A key and all its versions before: older files still need them. Of subjects' keys there is the newest alone.
fn up_to(key: &str) -> Vec<String> {
    match split_id(key) {
        Some((base, newest)) if !base.ends_with("#subject") => {
            (1..=newest).map(|version| format!("{base}@{version}")).collect()
        }
        _ => vec![key.to_owned()],
    }
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
            let decided = recorded::decided(&store, &dataset, table.version).await?;
            let of_columns = decided
                .iter()
                .filter_map(|one| Some((format!("column `{}`", one.column), one.key.as_deref()?)));
            let footer = Purpose::Footer(dataset.clone()).base_id();
            let of_footers =
                |id| split_id(id).filter(|(base, _)| *base == footer).map(|(_, version)| version);
            let versions = entries.iter().filter_map(|entry| of_footers(&entry.id));
            let footer = format!("{footer}@{}", versions.max().unwrap_or(1));
            for (what, key) in of_columns.chain([("its files".to_owned(), footer.as_str())]) {
                for id in up_to(key) {
                    let why = match states.get(id.as_str()) {
                        None => "is not here".to_owned(),
                        Some(State::Pending(at)) => format!("is to be destroyed after {at}"),
                        Some(State::Destroyed(_) | State::Current | State::Older) => continue,
                    };
                    problems.push(format!("{dataset}, {what}: the key {id} {why}"));
                }
            }
        }
    }
    Ok(problems)
}
