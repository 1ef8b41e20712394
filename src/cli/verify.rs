//! `sealift verify`: whether the evidence of a published version holds.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::args::Verify;
use super::{Context, Done, Failure, show};
use crate::error::{At as _, Error, Result};
use crate::keys::{GivenKey, Keyring};
use crate::publish::{Store, receipt, table};
use crate::run::verify::{self, Compared, Fault, Findings, Question, Trust};
use crate::run::{Engine, Ledger, trail};
use crate::spec::{Config, DatasetName};

pub(super) async fn run(context: &Context, args: &Verify) -> Done {
    let dataset = DatasetName::parse(&args.dataset)?;
    let config = Config::load(&context.config)?;
    let stores = config.stores.values().map(Store::open).collect::<Result<Vec<_>>>()?;
    let store = home(&stores, &dataset).await?;
    let ledger = Ledger::open(&config.metadata).await?;
    let (given, keyring);
    let trust = match &args.public_key {
        Some(path) => {
            given = public_keys(path)?;
            Trust::Public(&given)
        }
        None => {
            keyring = Keyring::open(&config.keys, &|notice| eprintln!("{notice}")).await?;
            Trust::Keys(&keyring)
        }
    };
    let question = Question { dataset: &dataset, version: args.version, store, ledger: &ledger, trust };
    let bar = bar(context.json);
    let verifying = async { verify::verify(&question, &|bytes| bar.inc(bytes)).await };
    let mut findings = match &question.trust {
        Trust::Keys(keyring) => {
            let keys = keyring.around(&dataset).await?;
            trail::using(&ledger, keyring, &format!("verify {dataset}"), &keys, verifying).await?
        }
        Trust::Public(_) => verifying.await?,
    };
    bar.finish_and_clear();
    if args.against_source {
        against_source(context, &dataset, &mut findings).await?;
    }
    finish(context, &dataset, &findings)
}

/// Reads the source again, and seals its rows as a run does: with keys that the trail is told of.
async fn against_source(context: &Context, dataset: &DatasetName, findings: &mut Findings) -> Result<()> {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let keys = engine.keyring.around(dataset).await?;
    let comparing = verify::against(&engine, findings);
    trail::using(&engine.ledger, &engine.keyring, &format!("compare {dataset}"), &keys, comparing).await
}

/// What an auditor was given.
pub(super) fn public_keys(path: &Path) -> Result<Vec<GivenKey>> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::invalid(format!("cannot read it: {}", e.kind())));
    text.and_then(|text| GivenKey::read(&text)).at(|| format!("public keys {}", path.display()))
}

/// The store that holds the dataset, or what is left of it; the first where none does.
async fn home<'s>(stores: &'s [Store], dataset: &DatasetName) -> Result<&'s Store> {
    for store in stores {
        let there = !table::versions(store, dataset).await?.is_empty()
            || !receipt::all(store, dataset).await?.is_empty();
        if there {
            return Ok(store);
        }
    }
    stores.first().ok_or_else(|| Error::invalid("the configuration names no store"))
}

fn bar(json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("comparing files {spinner}  {bytes}  {bytes_per_sec}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn finish(context: &Context, dataset: &DatasetName, findings: &Findings) -> Done {
    if !context.json {
        print(dataset, findings);
    }
    let summary = summary(dataset, findings);
    if findings.faults.is_empty() {
        if context.json {
            show::json(&summary);
        }
        return Ok(());
    }
    let count = findings.faults.len();
    let faults = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
    let error = Error::failed(format!(
        "the evidence of {dataset} version {} does not hold: {faults}",
        findings.version
    ))
    .help("docs/evidence.md says what each fault means and what to do");
    Err(Failure { error, summary: Box::new(summary) })
}

fn print(dataset: &DatasetName, findings: &Findings) {
    let Findings { version, receipts, files, bytes, columns, faults, notes, .. } = findings;
    println!("{dataset} version {version}");
    println!("  receipts compared: {}", show::count(*receipts));
    println!("  files compared: {} ({})", show::count(*files), show::bytes(*bytes));
    let named = |how: &Compared| {
        let names = columns.iter().filter(|(_, compared)| *compared == how).map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    for (what, how) in [("published rows", Compared::Rows), ("source", Compared::Source)] {
        if columns.values().any(|compared| *compared == how) {
            println!("  values compared with those of the {what}: {}", named(&how));
        }
    }
    for (name, compared) in columns {
        if let Compared::Not(why) = compared {
            println!("  values not compared: {name}: {why}");
        }
    }
    notes.iter().for_each(|note| println!("note: {note}"));
    faults.iter().for_each(|fault| println!("fault: {}", fault.message));
    if faults.is_empty() {
        println!("The evidence holds.");
    }
}

fn summary(dataset: &DatasetName, findings: &Findings) -> Value {
    let columns = findings.columns.iter().map(|(column, compared)| {
        let (how, why) = match compared {
            Compared::Rows => (Some("rows"), None),
            Compared::Source => (Some("source"), None),
            Compared::Not(why) => (None, Some(why)),
        };
        json!({"column": column, "compared_with": how, "why_not": why})
    });
    json!({
        "dataset": dataset.to_string(),
        "version": findings.version,
        "holds": findings.faults.is_empty(),
        "receipts": findings.receipts,
        "files": findings.files,
        "bytes": findings.bytes,
        "columns": columns.collect::<Vec<_>>(),
        "faults": findings.faults.iter().map(Fault::to_json).collect::<Vec<_>>(),
        "notes": findings.notes,
    })
}
