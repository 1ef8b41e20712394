//! `sealift keys destroy`: what is sealed with a key can never be read again.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use super::{is_of, is_of_column};
use crate::cli::args::{ChosenKeys, DestroyKeys};
use crate::cli::{Context, Done, show};
use crate::error::{Error, Kind, Result};
use crate::govern::audit;
use crate::keys::{Keyring, split_id};
use crate::run::{Ledger, destroy_due};
use crate::spec::DatasetName;

pub(super) async fn run(context: &Context, keyring: &Keyring, ledger: &Ledger, args: &DestroyKeys) -> Done {
    let ids = chosen(keyring, &args.chosen).await?;
    if args.cancel {
        return cancel(context, keyring, ledger, &ids).await;
    }
    let after = instant(&args.after)?;
    let shown = after.to_rfc3339_opts(SecondsFormat::Secs, true);
    if args.yes {
        let subject = format!("after {shown} {}", ids.join(" "));
        audit::record(ledger, &audit::operator(), audit::Action::KeyDestroy, &subject).await?;
        keyring.destroy_after(&ids, after).await?;
        destroy_due(ledger, keyring, &|notice| eprintln!("{notice}")).await?;
    }
    if context.json {
        show::json(&json!({"keys": ids, "after": shown, "dry_run": !args.yes}));
        return Ok(());
    }
    ids.iter().for_each(|id| println!("{id}"));
    if args.yes {
        println!("These keys are refused from now on, and destroyed by the first command after {shown}.");
        println!("Until then `{} keys destroy --cancel` calls it off.", show::command());
        println!(
            "Copies in backups can be used as long as the root key of their time is there: `keys rotate --root`"
        );
        println!("makes them useless once no backup holds that root key either.");
    } else {
        println!(
            "What is sealed with these keys could never be read again. Nothing was changed; --yes does it."
        );
    }
    Ok(())
}

async fn cancel(context: &Context, keyring: &Keyring, ledger: &Ledger, ids: &[String]) -> Done {
    audit::record(ledger, &audit::operator(), audit::Action::KeyKeep, &ids.join(" ")).await?;
    let kept = keyring.keep(ids).await?;
    if context.json {
        show::json(&json!({ "keys": kept }));
    } else if kept.is_empty() {
        println!("None of these keys was to be destroyed.");
    } else {
        kept.iter().for_each(|id| println!("{id}"));
        println!("These keys stay.");
    }
    Ok(())
}

/// Every version of what was named.
async fn chosen(keyring: &Keyring, chosen: &ChosenKeys) -> Result<Vec<String>> {
    let all = keyring.list(None).await?;
    let Some(dataset) = &chosen.dataset else {
        // By its id, or by what all its versions have in common.
        let names = |id: &str, name: &str| id == name || split_id(id).is_some_and(|(base, _)| base == name);
        let is_named = |id: &&String| chosen.key.iter().any(|name| names(id, name));
        let unknown = chosen.key.iter().find(|name| !all.iter().any(|id| names(id, name)));
        return match unknown {
            Some(name) => Err(none(&format!("there is no key {name}"))),
            None => Ok(all.iter().filter(is_named).cloned().collect()),
        };
    };
    let dataset = DatasetName::parse(dataset)?;
    // Rejected rows are sealed by keys of their own.
    let datasets: Vec<DatasetName> =
        std::iter::once(dataset.clone()).chain(dataset.quarantine().ok()).collect();
    let is_meant = |id: &String| {
        datasets.iter().any(|dataset| match &chosen.column {
            Some(column) => is_of_column(id, dataset, column),
            None => is_of(id, dataset),
        })
    };
    let ids: Vec<String> = all.into_iter().filter(is_meant).collect();
    if ids.is_empty() {
        return Err(none(&match &chosen.column {
            Some(column) => format!("column `{column}` of {dataset} has no key of its own"),
            None => format!("dataset {dataset} has no keys"),
        }));
    }
    Ok(ids)
}

fn none(message: &str) -> Error {
    Error::new(Kind::Usage, message).help(format!("`{} keys list` shows the keys", show::command()))
}

#[expect(clippy::disallowed_methods, reason = "a command owns the time from which its window counts")]
fn instant(after: &str) -> Result<DateTime<Utc>> {
    let wrong = || {
        Error::new(Kind::Usage, "this is no time in which it can be called off")
            .help("write --after 7days, or up to 3650days")
    };
    let ahead = humantime::parse_duration(after).map_err(|_| wrong())?;
    let ahead =
        TimeDelta::from_std(ahead).ok().filter(|ahead| *ahead <= TimeDelta::days(3650)).ok_or_else(wrong)?;
    Utc::now().checked_add_signed(ahead).ok_or_else(wrong)
}
