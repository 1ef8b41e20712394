//! `sealift reseal`: published columns become as the policy asks by now.

use serde_json::{Value, json};

use super::args::Reseal as Args;
use super::{Context, Done, progress, show};
use crate::error::Result;
use crate::run::Engine;
use crate::run::policy::Ask;
use crate::run::upkeep::{self, Changed, Demand, Reseal};
use crate::spec::DatasetName;

pub(super) async fn run(context: &Context, args: &Args) -> Done {
    let dataset = DatasetName::parse(&args.dataset)?;
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let demand = Demand { columns: args.columns.clone(), dry_run: args.dry_run };
    let turning = progress::turning(context.json, format!("sealing columns of {dataset}"));
    let outcome: Result<Reseal> = upkeep::reseal(&engine, &dataset, &demand).await;
    drop(turning);
    let outcome = outcome?;
    if context.json {
        show::json(&summary(&dataset, &engine, &outcome, args.dry_run));
    } else {
        print(&dataset, &engine, &outcome);
    }
    Ok(())
}

fn summary(dataset: &DatasetName, engine: &Engine, outcome: &Reseal, dry_run: bool) -> Value {
    let columns: Vec<Value> = outcome
        .changed
        .iter()
        .map(|one| {
            json!({"column": one.column, "tag": one.tag, "from": one.from, "to": Ask::Action(one.to.clone()).shown()})
        })
        .collect();
    let made = outcome.resealed.as_ref();
    let older = made.and_then(|made| made.older);
    let older = older.map(|(from, to)| json!({"from": from, "to": to, "next": vacuum(dataset)}));
    json!({
        "dataset": dataset.to_string(), "policy": engine.policy.name, "dry_run": dry_run, "columns": columns,
        "version": made.map(|made| made.version), "rows": made.map_or(0, |made| made.rows),
        "files": made.map(|made| made.files.clone()).unwrap_or_default(), "older_versions": older, "outcome": "done",
    })
}

/// What removes the older versions.
fn vacuum(dataset: &DatasetName) -> String {
    format!("{} vacuum {dataset} --retain 0s --force", show::command())
}

fn print(dataset: &DatasetName, engine: &Engine, outcome: &Reseal) {
    let policy = &engine.policy.name;
    if outcome.changed.is_empty() {
        println!("Every column of {dataset} is published as policy {policy} asks, or more strictly.");
        return;
    }
    let mut table = show::table(&["column", "tag", "published", "by the policy"], &[]);
    for Changed { column, tag, from, to } in &outcome.changed {
        let to = Ask::Action(to.clone()).shown();
        table.add_row([column.as_str(), tag.as_deref().unwrap_or_default(), from.as_str(), to.as_str()]);
    }
    println!("{table}");
    let Some(made) = &outcome.resealed else {
        println!("Nothing was changed.");
        return;
    };
    let (rows, files) = (show::count(made.rows), made.files.len());
    println!("{rows} rows of {files} files of {dataset} are sealed so: version {}", made.version);
    if let Some((from, to)) = made.older {
        println!(
            "Versions {from} to {to} can still be read as they were, by everybody who can read the store, and the log \
             keeps the least and the greatest value of columns that were open. When nobody needs them:\n  {}",
            vacuum(dataset)
        );
    }
}
