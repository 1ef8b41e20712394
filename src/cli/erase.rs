//! `sealift erase`: rows that meet a condition go.

use std::io::Read as _;

use serde_json::{Value, json};

use super::args::Erase;
use super::{Context, Done, progress, show};
use crate::error::{Error, Kind, Result};
use crate::publish::upkeep::Erased;
use crate::run::Engine;
use crate::run::upkeep::{self, Beside, Erasure, Outcome};
use crate::spec::DatasetName;

/// Most bytes of a condition that is read from standard input.
const CONDITION_BYTES: u64 = 1 << 20;
/// Most file names that are printed for people.
const FILES_SHOWN: usize = 10;

pub(super) async fn run(context: &Context, args: &Erase) -> Done {
    let dataset = DatasetName::parse(&args.dataset)?;
    let condition = condition(&args.condition)?;
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let erasure = Erasure { condition: &condition, reason: args.reason.as_deref(), dry_run: args.dry_run };
    let turning = progress::turning(context.json, format!("erasing rows of {dataset}"));
    let outcome = upkeep::erase(&engine, &dataset, erasure).await?;
    drop(turning);
    if context.json {
        show::json(&summary(&dataset, &outcome));
    } else {
        print(&dataset, &outcome);
    }
    Ok(())
}

/// What was typed, or what stands on standard input: an argument can be seen in the list of processes.
fn condition(typed: &str) -> Result<String> {
    if typed != "-" {
        return Ok(typed.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(CONDITION_BYTES).read_to_string(&mut text);
    match read {
        Ok(_) => Ok(text),
        Err(_) => Err(Error::new(Kind::Usage, "the condition on standard input cannot be read as text")),
    }
}

fn summary(dataset: &DatasetName, outcome: &Outcome) -> Value {
    let mut summary = told(dataset, &outcome.erased);
    summary["dry_run"] = outcome.digest.is_none().into();
    summary["condition"] = json!(outcome.digest);
    summary["quarantine"] = match &outcome.beside {
        Beside::None => Value::Null,
        Beside::Erased(quarantine, erased) => told(quarantine, erased),
        Beside::Unfit(quarantine, why) => json!({"dataset": quarantine.to_string(), "unfit": why}),
    };
    summary["outcome"] = "done".into();
    summary
}

fn told(dataset: &DatasetName, erased: &Erased) -> Value {
    let older = erased.older.map(|(from, to)| json!({"from": from, "to": to, "next": vacuum(dataset)}));
    json!({
        "dataset": dataset.to_string(), "version": erased.version, "rows": erased.rows, "files": erased.files,
        "older_versions": older,
    })
}

/// What removes the older versions.
fn vacuum(dataset: &DatasetName) -> String {
    format!("{} vacuum {dataset} --retain 0s --force", show::command())
}

fn print(dataset: &DatasetName, outcome: &Outcome) {
    print_one(dataset, &outcome.erased);
    match &outcome.beside {
        Beside::None => {}
        Beside::Erased(quarantine, erased) => print_one(quarantine, erased),
        Beside::Unfit(quarantine, why) => println!(
            "{quarantine} was left as it is: {why}\nErase there by a condition over its own columns: \
             {} erase {quarantine} --where …",
            show::command()
        ),
    }
    if outcome.erased.version.is_some() {
        println!(
            "\nThe log keeps the least and the greatest value of open columns until the stream has published again \
             and the dataset is vacuumed.\nWhere the source still has the rows, a stream that reads them again \
             brings them back: erase them there first."
        );
    }
}

fn print_one(dataset: &DatasetName, erased: &Erased) {
    let (rows, files) = (show::count(erased.rows), erased.files.len());
    match erased.version {
        Some(version) => {
            println!("{rows} rows of {files} files are erased from {dataset}: version {version}");
        }
        None => println!("{rows} rows of {files} files of {dataset} meet the condition; nothing was changed"),
    }
    for file in erased.files.iter().take(FILES_SHOWN) {
        println!("  {file}");
    }
    if files > FILES_SHOWN {
        println!("  and {} more (--json names all)", files - FILES_SHOWN);
    }
    if let Some((from, to)) = erased.older {
        println!(
            "Versions {from} to {to} can still be read, and may hold such rows in these files and in others. When \
             nobody needs them:\n  {}",
            vacuum(dataset)
        );
    }
}
