//! `sealift doctor`: tests everything a run relies on, and writes nothing that stays.

use serde_json::{Value, json};

use super::{Context, Done, Failure, show};
use crate::error::{Error, Result};
use crate::publish::Store;
use crate::run::Engine;
use crate::source;

/// One thing that was tested.
struct Check {
    what: String,
    result: Result<()>,
}

pub(super) async fn run(context: &Context) -> Done {
    let mut checks = Vec::new();
    match Engine::open(&context.config, &|notice| eprintln!("{notice}")).await {
        Ok(engine) => {
            let pipelines = engine.pipelines.len();
            checks.push(Check {
                what: format!("documents ({pipelines} pipelines), ledger, keys"),
                result: Ok(()),
            });
            places(&engine, &mut checks).await;
        }
        Err(error) => checks.push(Check { what: "documents, ledger, keys".into(), result: Err(error) }),
    }
    if !context.json {
        checks.iter().for_each(print);
    }
    let summary = json!({ "checks": checks.iter().map(check_json).collect::<Vec<_>>() });
    match worst(checks) {
        Some(error) => Err(Failure { error, summary: Box::new(summary) }),
        None => {
            if context.json {
                show::json(&summary);
            }
            Ok(())
        }
    }
}

async fn places(engine: &Engine, checks: &mut Vec<Check>) {
    for (name, settings) in &engine.config.stores {
        let result = match Store::open(settings) {
            Ok(store) => store.check().await,
            Err(error) => Err(error),
        };
        checks
            .push(Check { what: format!("store {name}: written, read back, one winner per commit"), result });
    }
    for (name, connection) in &engine.config.connections {
        let result = match source::open(connection, engine.gates().of(name)) {
            Ok(source) => source.snapshot().await.map(|_| ()),
            Err(error) => Err(error),
        };
        checks.push(Check { what: format!("connection {name}"), result });
    }
}

fn print(check: &Check) {
    match &check.result {
        Ok(()) => println!("ok    {}", check.what),
        Err(error) => println!("FAIL  {}: {}", check.what, error.message()),
    }
}

fn check_json(check: &Check) -> Value {
    match &check.result {
        Ok(()) => json!({ "check": check.what, "ok": true }),
        Err(error) => json!({ "check": check.what, "ok": false, "error": show::error_json(error) }),
    }
}

/// The first failure that no retry helps, or else the first.
fn worst(checks: Vec<Check>) -> Option<Error> {
    let failed: Vec<(String, Error)> =
        checks.into_iter().filter_map(|check| check.result.err().map(|error| (check.what, error))).collect();
    let lasting = failed.iter().find(|(_, error)| !error.kind().meaning().retry).or(failed.first());
    lasting.map(|(what, error)| error.clone().at(what.clone()))
}
