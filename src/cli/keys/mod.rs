//! `sealift keys`: key ids, keys for a reader, what checks receipts, and the life of keys.

mod backup;
mod check;
mod destroy;
mod rotate;
mod shred;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::args::{Keys, KeysVerb};
use super::{Context, Done, show};
use crate::error::{Error, Kind, Result};
use crate::govern::audit;
use crate::keys::health::{Entry, State};
use crate::keys::{Keyring, Purpose};
use crate::run::{Ledger, destroy_due, trail};
use crate::spec::{Config, DatasetName};

pub(super) async fn run(context: &Context, args: &Keys) -> Done {
    let config = Config::load(&context.config)?;
    let ledger = Ledger::open(&config.metadata).await?;
    trail::config_in_force(&ledger, &config).await?;
    // Before the keys are opened: there may be none yet.
    if let KeysVerb::Restore(file) = &args.verb {
        return backup::restore(context, &config, &ledger, file).await;
    }
    let keyring = Keyring::open(&config.keys, &|notice| eprintln!("{notice}")).await?;
    destroy_due(&ledger, &keyring, &|notice| eprintln!("{notice}")).await?;
    match &args.verb {
        KeysVerb::List { dataset } => {
            let dataset = dataset.as_deref().map(DatasetName::parse).transpose()?;
            list(context, &keyring, dataset.as_ref()).await
        }
        KeysVerb::Release { dataset, column } => {
            release(context, &keyring, &ledger, &DatasetName::parse(dataset)?, column.as_deref()).await
        }
        KeysVerb::Public => public(context, &keyring, &ledger).await,
        KeysVerb::Rotate(args) => rotate::run(context, &keyring, &ledger, args).await,
        KeysVerb::Destroy(args) => destroy::run(context, &keyring, &ledger, args).await,
        KeysVerb::Backup(file) => backup::write(context, &config, &ledger, file).await,
        KeysVerb::Restore(file) => backup::restore(context, &config, &ledger, file).await,
        KeysVerb::Check => check::run(context, &config, &keyring, &ledger).await,
        KeysVerb::Shred(args) => shred::run(context, &keyring, &ledger, args).await,
    }
}

/// Prints every public key, those of receipts first, each oldest first: what is old stays signed by old keys. The key
/// that signs receipts is made on first use.
async fn public(context: &Context, keyring: &Keyring, ledger: &Ledger) -> Done {
    let [receipts, checkpoints] = [Purpose::Receipts, Purpose::Checkpoints].map(|purpose| purpose.base_id());
    audit::key_use(ledger, &audit::operator(), "public keys", &[&*receipts, &*checkpoints]).await?;
    let newest = keyring.signer().await?;
    let (mut keys, mut of_checkpoints) = (Vec::new(), Vec::new());
    for id in keyring.list(None).await? {
        let base = id.rsplit_once('@').map_or(id.as_str(), |(base, _)| base);
        if base == receipts {
            keys.push(keyring.public_key(&id).await?);
        } else if base == checkpoints {
            of_checkpoints.push(keyring.checkpoint_key(&id).await?);
        }
    }
    keys.append(&mut of_checkpoints);
    if context.json {
        let keys = keys.iter().map(|key| {
            json!({"id": key.id(), "algorithm": "ed25519", "public_key_base64": key.base64(), "pem": key.pem()})
        });
        show::json(&json!({ "keys": keys.collect::<Vec<_>>(), "signs": newest.id() }));
    } else {
        keys.iter().for_each(|key| print!("{}\n{}", key.id(), key.pem()));
    }
    Ok(())
}

async fn list(context: &Context, keyring: &Keyring, dataset: Option<&DatasetName>) -> Done {
    let mut entries = keyring.entries().await?;
    if let Some(dataset) = dataset {
        entries.retain(|entry| is_of(&entry.id, dataset));
    }
    if context.json {
        let keys = entries.iter().map(|entry| {
            let (state, at) = words(&entry.state);
            json!({"id": entry.id, "state": state, "at": at, "created": entry.created, "root": entry.root})
        });
        show::json(&json!({ "keys": keys.collect::<Vec<_>>() }));
        return Ok(());
    }
    let mut table = show::table(&["key", "state", "made", "wrapped by"], &[]);
    for Entry { id, state, root, created } in &entries {
        let (word, at) = words(state);
        let state = at.map_or_else(|| word.to_owned(), |at| format!("{word} {at}"));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        table.add_row([id.clone(), state, text(created), text(root)]);
    }
    println!("{table}");
    Ok(())
}

/// A state as it is shown, and since or until when.
fn words(state: &State) -> (&'static str, Option<&str>) {
    match state {
        State::Current => ("current", None),
        State::Older => ("older", None),
        State::Pending(at) => ("destroyed after", Some(at)),
        State::Destroyed(at) => ("destroyed", Some(at)),
    }
}

/// Whether a key is a dataset's own, whatever it is for.
fn is_of(id: &str, dataset: &DatasetName) -> bool {
    let rest = id.strip_prefix("sealift:").and_then(|rest| rest.strip_prefix(&dataset.to_string()));
    rest.is_some_and(|rest| rest.starts_with(['/', '#']))
}

/// Whether a key is one column's own.
fn is_of_column(id: &str, dataset: &DatasetName, column: &str) -> bool {
    let base = Purpose::Column { dataset: dataset.clone(), column: column.to_owned() }.base_id();
    id.strip_prefix(&base).is_some_and(|rest| rest.starts_with(['@', '#']))
}

/// Prints keys in the wire form that every client reads. The trail is written first: a release
/// that cannot be recorded does not happen.
async fn release(
    context: &Context,
    keyring: &Keyring,
    ledger: &Ledger,
    dataset: &DatasetName,
    column: Option<&str>,
) -> Done {
    let ids = chosen(keyring, dataset, column).await?;
    audit::record(ledger, &audit::operator(), audit::Action::KeyRelease, &ids.join(" ")).await?;
    let mut keys = Vec::with_capacity(ids.len());
    for id in &ids {
        let key = keyring.by_id(id).await?;
        let text = Zeroizing::new(BASE64_STANDARD.encode(key.secret().expose()));
        if context.json {
            keys.push(json!({ "id": id, "key_base64": *text }));
        } else {
            println!("{id} {}", *text);
        }
    }
    if context.json {
        show::json(&json!({ "keys": Value::Array(keys) }));
    }
    Ok(())
}

/// Every version of the keys that read the dataset, or one column of it.
async fn chosen(keyring: &Keyring, dataset: &DatasetName, column: Option<&str>) -> Result<Vec<String>> {
    let mut ids = keyring.list(Some(dataset)).await?;
    if let Some(column) = column {
        let of = |purpose: Purpose| format!("{}@", purpose.base_id());
        let wanted = [
            of(Purpose::Column { dataset: dataset.clone(), column: column.to_owned() }),
            of(Purpose::Footer(dataset.clone())),
        ];
        if !ids.iter().any(|id| id.starts_with(&wanted[0])) {
            return Err(Error::new(
                Kind::Usage,
                format!("dataset {dataset} has no encrypted column `{column}`"),
            )
            .help(format!("`sealift keys list {dataset}` lists its keys")));
        }
        ids.retain(|id| wanted.iter().any(|prefix| id.starts_with(prefix)));
    }
    if ids.is_empty() {
        return Err(Error::new(Kind::Usage, format!("dataset {dataset} has no keys"))
            .help("`sealift datasets` lists the datasets"));
    }
    Ok(ids)
}
