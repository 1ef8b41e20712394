//! `sealift vacuum`: what no version within the retention needs is removed.

use std::time::Duration;

use serde_json::json;

use super::args::Vacuum;
use super::{Context, Done, progress, show};
use crate::error::{Error, Kind, Result};
use crate::publish::upkeep::Swept;
use crate::run::Engine;
use crate::run::upkeep::{self, RETENTION, Vacuumed};
use crate::spec::{DatasetName, duration_within};

#[expect(
    clippy::disallowed_methods,
    reason = "a person's retention counts back from the instant it is typed"
)]
pub(super) async fn run(context: &Context, args: &Vacuum) -> Done {
    let dataset = DatasetName::parse(&args.dataset)?;
    let retain = retention(&args.retain, args.force)?;
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let now = chrono::Utc::now();
    let turning = progress::turning(context.json, format!("looking through {dataset}"));
    let vacuumed = upkeep::vacuum(&engine, &dataset, retain, now, args.dry_run).await?;
    drop(turning);
    if context.json {
        let Vacuumed { swept, spared_strays } = &vacuumed;
        show::json(&json!({
            "dataset": dataset.to_string(), "dry_run": args.dry_run, "oldest_version": swept.oldest_version,
            "files": swept.files.keys().collect::<Vec<_>>(), "strays": swept.strays.keys().collect::<Vec<_>>(),
            "bytes": swept.bytes(), "log": swept.log, "log_kept_from": swept.log_kept_from,
            "spared_strays": spared_strays, "outcome": "done",
        }));
    } else {
        print(&dataset, &vacuumed, args.dry_run);
    }
    Ok(())
}

fn retention(text: &str, force: bool) -> Result<Duration> {
    let retain = duration_within("0s", "100years", text)?;
    if retain >= RETENTION || force {
        return Ok(retain);
    }
    Err(Error::new(Kind::Usage, "a retention below 7 days breaks who still needs older versions").help(
        "readers that are under way may miss files, and older versions can no longer be read or restored; if that \
         is meant, add --force",
    ))
}

fn print(dataset: &DatasetName, vacuumed: &Vacuumed, dry_run: bool) {
    let Vacuumed { swept, spared_strays } = vacuumed;
    let Swept { files, strays, log, oldest_version, log_kept_from } = swept;
    let mut table = show::table(&["", "objects", "bytes"], &[1, 2]);
    let sum = |files: &std::collections::BTreeMap<String, u64>| show::bytes(files.values().sum());
    table.add_row(["files of older versions".to_owned(), show::count(files.len() as u64), sum(files)]);
    table.add_row(["files that no version names".to_owned(), show::count(strays.len() as u64), sum(strays)]);
    table.add_row(["log entries".to_owned(), show::count(log.len() as u64), String::new()]);
    println!("{dataset}: {}\n{table}", if dry_run { "would be removed" } else { "removed" });
    println!("Versions from {oldest_version} on can be read.");
    if let Some(version) = log_kept_from {
        println!(
            "The log stays from version {version} on: it holds the last word of a stream, or no checkpoint stands in \
             for it. Its statistics may hold the least and the greatest value of open columns."
        );
    }
    if *spared_strays {
        println!(
            "A pipeline is running: files that no version names yet, and that a run may still publish, stay."
        );
    }
}
