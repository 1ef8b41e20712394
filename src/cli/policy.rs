//! `sealift policy`: the tests of a policy, and two policies compared.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::{Policy as Args, PolicyVerb};
use super::{Context, Done, Failure, show};
use crate::error::{Error, Kind, Result};
use crate::publish::Store;
use crate::run::policy::Then;
use crate::run::policy::diff::{Change, Difference, Differences};
use crate::run::policy::rehearsal::{self, Failure as Missed};
use crate::spec::cases::PolicyTest;
use crate::spec::{Config, Policy, Tag};

pub(super) async fn run(context: &Context, args: &Args) -> Done {
    match &args.verb {
        PolicyVerb::Test { file } => test(context, file.as_deref()),
        PolicyVerb::Diff { old, new, fail_on_weaker } => diff(context, old, new, *fail_on_weaker).await,
    }
}

fn test(context: &Context, file: Option<&Path>) -> Done {
    let file = match file {
        Some(file) => file.to_owned(),
        None => beside(&Config::load(&context.config)?.policy),
    };
    let test = PolicyTest::load(&file)?;
    let policy = Policy::load(&test.policy)?;
    let missed = rehearsal::failures(&policy, &test.cases)?;
    let (cases, failed) = (test.cases.len(), missed.len());
    let mut summary = json!({
        "policy": policy.name, "file": test.path.to_string_lossy(), "cases": cases,
        "failures": missed.iter().map(told).collect::<Vec<_>>(),
    });
    if !context.json {
        for missed in &missed {
            println!("{}", line(&test.path, missed));
        }
    }
    if failed > 0 {
        let message = format!("{failed} of {cases} cases are not as policy {} has it", policy.name);
        let error = Error::failed(message).help("mend the policy, or what the case expects");
        return Err(Failure { error, summary: Box::new(summary) });
    }
    if context.json {
        summary["outcome"] = "done".into();
        show::json(&summary);
    } else {
        println!("{cases} cases of policy {} are as expected", policy.name);
    }
    Ok(())
}

/// `policy.test.yaml` of `policy.yaml`.
fn beside(policy: &Path) -> PathBuf {
    let ending = policy.extension().map_or_else(|| "yaml".into(), |ending| ending.to_string_lossy());
    policy.with_extension(format!("test.{ending}"))
}

fn told(missed: &Missed<'_>) -> Value {
    let Missed { case, expected, got, because } = missed;
    json!({
        "line": case.position.line, "column": case.position.column, "name": case.name,
        "tags": case.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "expected": expected, "got": got, "because": because,
    })
}

fn line(path: &Path, missed: &Missed<'_>) -> String {
    let Missed { case, expected, got, because } = missed;
    let tags: Vec<&str> = case.tags.iter().map(Tag::as_str).collect();
    let name = case.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let (path, at) = (path.display(), case.position);
    let tags = tags.join(", ");
    format!("{path}:{}:{}: {name}[{tags}] expected {expected}, got {got} ({because})", at.line, at.column)
}

async fn diff(context: &Context, old: &Path, new: &Path, fail_on_weaker: bool) -> Done {
    let config = Config::load(&context.config)?;
    let (old, new) = (Policy::load(old)?, Policy::load(new)?);
    let stores = config.stores.values().map(Store::open).collect::<Result<Vec<_>>>()?;
    let differences = Differences::between(&old, &new, &stores).await?;
    let mut summary = json!({
        "old": old.name, "new": new.name, "datasets": differences.datasets, "weaker": differences.weakens(),
        "unknown": differences.unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "columns": differences.found.iter().map(difference).collect::<Vec<_>>(),
    });
    if !context.json {
        print(&differences, &old.name, &new.name);
    }
    if fail_on_weaker && differences.weakens() {
        let error = Error::new(Kind::Held, format!("policy {} asks for less than {}", new.name, old.name))
            .help("have the columns marked as weaker approved, or leave out --fail-on-weaker");
        return Err(Failure { error, summary: Box::new(summary) });
    }
    if context.json {
        summary["outcome"] = "done".into();
        show::json(&summary);
    }
    Ok(())
}

fn difference(found: &Difference) -> Value {
    json!({
        "dataset": found.dataset.to_string(), "column": found.column, "tag": found.tag,
        "published": found.published, "old": found.old.shown(), "new": found.new.shown(),
        "change": found.change.word(), "then": found.then.word(),
    })
}

fn print(differences: &Differences, old: &str, new: &str) {
    let Differences { found, datasets, unknown } = differences;
    for dataset in unknown {
        println!("{dataset}: its log does not tell how its columns are protected");
    }
    if found.is_empty() {
        println!("Of {datasets} datasets no column is protected otherwise by {new} than by {old}.");
        return;
    }
    let mut table =
        show::table(&["dataset", "column", "tag", "published", "old", "new", "change", "what to do"], &[]);
    for one in found {
        table.add_row([
            one.dataset.to_string(),
            one.column.clone(),
            one.tag.clone().unwrap_or_default(),
            one.published.clone(),
            one.old.shown(),
            one.new.shown(),
            change(one.change).to_owned(),
            remedy(one),
        ]);
    }
    println!("{table}");
}

const fn change(change: Change) -> &'static str {
    match change {
        Change::Weaker => "WEAKER",
        Change::Stronger => "stronger",
        Change::Other => "other options",
        Change::None => "",
    }
}

fn remedy(found: &Difference) -> String {
    match found.then {
        Then::Nothing => String::new(),
        Then::Reseal => format!("{} reseal {}", show::command(), found.dataset),
        Then::PublishAgain => "publish again from the source".to_owned(),
        Then::Refused => "write a rule for its tag".to_owned(),
    }
}
