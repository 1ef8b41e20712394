//! `sealift datasets`: what is published, and a ledger rebuilt from it.

use serde_json::{Value, json};

use super::args::Datasets;
use super::{Context, Done, show};
use crate::error::{At, Error, Kind, Result};
use crate::govern::audit;
use crate::publish::{Store, Table};
use crate::run::Ledger;
use crate::run::rebuild::{self, Rebuilt};
use crate::spec::{Config, DatasetName};

pub(super) async fn run(context: &Context, args: &Datasets) -> Done {
    let config = Config::load(&context.config)?;
    let stores = config.stores.values().map(Store::open).collect::<Result<Vec<_>>>()?;
    if args.rebuild {
        return rebuild(context, &config, &stores).await;
    }
    match &args.dataset {
        Some(name) => one(context, &stores, &DatasetName::parse(name)?).await,
        None => all(context, &stores).await,
    }
}

async fn rebuild(context: &Context, config: &Config, stores: &[Store]) -> Done {
    let ledger = Ledger::open(&config.metadata).await?;
    let subject = format!("the runs that {} stores tell of", stores.len());
    audit::record(&ledger, &audit::operator(), audit::Action::LedgerRebuild, &subject).await?;
    let Rebuilt { datasets, runs, streams } = rebuild::rebuild(&ledger, stores).await?;
    if context.json {
        show::json(&json!({ "datasets": datasets, "runs": runs, "streams": streams }));
    } else {
        println!(
            "{} runs recorded again, which published {} streams; {} datasets looked at",
            show::count(runs),
            show::count(streams),
            show::count(datasets)
        );
    }
    Ok(())
}

async fn all(context: &Context, stores: &[Store]) -> Done {
    let mut found = Vec::new();
    for store in stores {
        for dataset in Table::list(store).await.at(|| format!("store {}", store.url()))? {
            if let Some(table) = Table::load(store, &dataset, None).await? {
                found.push((dataset, store, table));
            }
        }
    }
    if context.json {
        let datasets: Vec<Value> =
            found.iter().map(|(dataset, store, table)| summary(dataset, store, table)).collect();
        show::json(&json!({ "datasets": datasets }));
        return Ok(());
    }
    if found.is_empty() {
        println!("No datasets yet. Next: {} sync PIPELINE", show::command());
        return Ok(());
    }
    let mut printed = show::table(&["dataset", "version", "rows", "files", "bytes", "store"], &[1, 2, 3, 4]);
    for (dataset, store, table) in &found {
        printed.add_row([
            dataset.to_string(),
            table.version.to_string(),
            rows(table).map_or_else(|| "unknown".into(), show::count),
            show::count(table.files.len() as u64),
            show::bytes(bytes(table)),
            store.url().to_string(),
        ]);
    }
    println!("{printed}");
    Ok(())
}

async fn one(context: &Context, stores: &[Store], dataset: &DatasetName) -> Done {
    for store in stores {
        let Some(table) = Table::load(store, dataset, None).await? else { continue };
        let columns: Vec<Value> = table
            .schema
            .fields()
            .iter()
            .map(|field| {
                json!({
                    "column": field.name(), "type": crate::publish::type_name(field.data_type()),
                    "nullable": field.is_nullable(),
                })
            })
            .collect();
        let mut summary = summary(dataset, store, &table);
        if context.json {
            summary["columns"] = Value::Array(columns);
            show::json(&summary);
        } else {
            println!("{dataset} version {} at {}", table.version, store.url());
            let mut printed = show::table(&["column", "type", "nullable"], &[]);
            for field in table.schema.fields() {
                let nullable = if field.is_nullable() { "yes" } else { "no" };
                printed.add_row([
                    field.name().as_str(),
                    &crate::publish::type_name(field.data_type()),
                    nullable,
                ]);
            }
            println!("{printed}");
        }
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("there is no dataset {dataset}"))
        .help("`sealift datasets` lists them")
        .into())
}

fn summary(dataset: &DatasetName, store: &Store, table: &Table) -> Value {
    json!({
        "dataset": dataset.to_string(), "version": table.version, "rows": rows(table),
        "files": table.files.len(), "bytes": bytes(table), "store": store.url().to_string(),
        "partition_by": table.partition_by,
    })
}

fn rows(table: &Table) -> Option<u64> {
    table.files.iter().map(|file| file.rows).sum()
}

fn bytes(table: &Table) -> u64 {
    table.files.iter().map(|file| file.bytes).sum()
}
