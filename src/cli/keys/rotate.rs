//! `sealift keys rotate`: new keys for what is written from now on, or a new root key.

use serde_json::json;

use super::is_of_column;
use crate::cli::args::RotateKeys;
use crate::cli::{Context, Done, progress, show};
use crate::error::{Error, Kind, Result};
use crate::govern::audit;
use crate::keys::Keyring;
use crate::run::Ledger;
use crate::spec::{Config, DatasetName};

pub(super) async fn run(context: &Context, keyring: &Keyring, ledger: &Ledger, args: &RotateKeys) -> Done {
    if args.root {
        return root(context, keyring, ledger, args).await;
    }
    let bases = match &args.dataset {
        Some(dataset) => encrypting(keyring, &DatasetName::parse(dataset)?, args.column.as_deref()).await?,
        None => args.key.clone(),
    };
    audit::record(ledger, &audit::operator(), audit::Action::KeyRotate, &bases.join(" ")).await?;
    let mut made = Vec::with_capacity(bases.len());
    for base in &bases {
        made.push(keyring.rotate(base).await?);
    }
    if context.json {
        let keys: Vec<_> = made.iter().map(|id| json!({ "id": id })).collect();
        show::json(&json!({ "keys": keys }));
        return Ok(());
    }
    made.iter().for_each(|id| println!("{id}"));
    println!(
        "What is written from now on is sealed with these; what is there still reads with the older ones."
    );
    let changes =
        |id: &&String| ["#tokenize@", "#hash@", "#fpe@", "#shift@"].iter().any(|kind| id.contains(kind));
    if made.iter().any(|id| changes(&id)) {
        println!(
            "Values of their columns look otherwise from now on: datasets that stay are held until they are published \
             once more as a whole (`{} sync PIPELINE --full-refresh`, with write_mode: overwrite).",
            show::command()
        );
    }
    Ok(())
}

async fn root(context: &Context, keyring: &Keyring, ledger: &Ledger, args: &RotateKeys) -> Done {
    audit::record(ledger, &audit::operator(), audit::Action::KeyRotate, "the root key").await?;
    let turning = progress::turning(context.json, "wrapping every key with the new root key".to_owned());
    let rewrapped = match &args.from {
        None => keyring.renew_root().await?,
        Some(config) => {
            let old = Config::load(config)?;
            let old = Keyring::open(&old.keys, &|notice| eprintln!("{notice}")).await?;
            keyring.take_over(&old).await?
        }
    };
    drop(turning);
    if context.json {
        show::json(&json!({"root": rewrapped.root, "keys": rewrapped.keys}));
    } else {
        println!("{} keys are wrapped by {} now; no data file was touched.", rewrapped.keys, rewrapped.root);
        println!("Backups of the keys from before still open with the old root key: make a new one with");
        println!("  {} keys backup FILE --passphrase env:NAME", show::command());
    }
    Ok(())
}

/// The keys of a dataset that encrypt, each once.
async fn encrypting(keyring: &Keyring, dataset: &DatasetName, column: Option<&str>) -> Result<Vec<String>> {
    let is_wanted = |id: &String| column.is_none_or(|column| is_of_column(id, dataset, column));
    let ids = keyring.list(Some(dataset)).await?;
    let mut bases: Vec<String> = ids
        .into_iter()
        .filter(is_wanted)
        .filter_map(|id| id.rsplit_once('@').map(|(base, _)| base.to_owned()))
        .collect();
    bases.dedup();
    if bases.is_empty() {
        let what = column
            .map_or_else(|| format!("dataset {dataset}"), |column| format!("column `{column}` of {dataset}"));
        return Err(Error::new(Kind::Usage, format!("{what} has no key that encrypts"))
            .help(format!("`{} keys list {dataset}` lists its keys", show::command())));
    }
    Ok(bases)
}
