//! `sealift keys shred`: nobody can read a person's values any more.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::args::Shred;
use crate::cli::{Context, Done, show};
use crate::error::{Error, Kind, Result};
use crate::govern::audit;
use crate::keys::Keyring;
use crate::keys::subject::Digest;
use crate::run::{Engine, Ledger, trail, upkeep};
use crate::spec::DatasetName;

/// Most bytes of a list of subjects.
const LIST_BYTES: u64 = 4 << 20;

/// What was done in one column.
struct Shredded {
    dataset: DatasetName,
    column: String,
    /// Every subject that was named, once.
    subjects: Vec<Digest>,
    /// How many of them were shredded now; the others were before.
    now: usize,
    /// How many values of theirs the newest version has, where that was asked.
    cells: Option<BTreeMap<Digest, u64>>,
}

pub(super) async fn run(context: &Context, keyring: &Keyring, ledger: &Ledger, args: &Shred) -> Done {
    let dataset = DatasetName::parse(&args.dataset)?;
    let text = match &args.subject_file {
        Some(path) => {
            let unreadable = |error: std::io::Error| {
                Error::new(Kind::Usage, format!("cannot read {}: {}", path.display(), error.kind()))
            };
            text(std::fs::File::open(path).map_err(unreadable)?)?
        }
        None => {
            if std::io::stdin().is_terminal() {
                eprintln!("one person a line, by the value of the column that `by` names; end with Ctrl-D");
            }
            text(std::io::stdin().lock())?
        }
    };
    let subjects: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if subjects.is_empty() {
        return Err(Error::new(Kind::Usage, "nobody is named to be shredded")
            .help("write one person a line, by the value of the column that `by` names")
            .into());
    }
    let mut planned = Vec::new();
    for column in &args.columns {
        planned.push(named(keyring, &dataset, column, &subjects).await?.ok_or_else(|| {
            Error::new(Kind::Usage, format!("column `{column}` of {dataset} was never encrypted by subject"))
                .help("name a column of `encrypt_value: {by: …}`; `sealift keys list` shows its #subject key")
        })?);
        // Rejected rows have trees of their own.
        if let Ok(quarantine) = dataset.quarantine() {
            planned.extend(named(keyring, &quarantine, column, &subjects).await?);
        }
    }
    if args.dry_run {
        let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
        let keys = engine.keyring.around(&dataset).await?;
        let counting = counted(&engine, &mut planned);
        trail::using(ledger, &engine.keyring, &format!("count {dataset}"), &keys, counting).await?;
        return told(context, &planned);
    }
    for one in &mut planned {
        let subjects: Vec<String> =
            one.subjects.iter().map(|digest| format!("{}/{} {digest}", one.dataset, one.column)).collect();
        audit::record_each(ledger, &audit::operator(), audit::Action::SubjectShred, &subjects).await?;
        one.now = keyring.shred(&one.dataset, &one.column, &one.subjects).await?;
    }
    told(context, &planned)
}

async fn counted(engine: &Engine, planned: &mut [Shredded]) -> Result<()> {
    for one in planned {
        one.cells = Some(upkeep::cells(engine, &one.dataset, &one.column, &one.subjects).await?);
    }
    Ok(())
}

fn told(context: &Context, planned: &[Shredded]) -> Done {
    if context.json {
        let columns: Vec<Value> = planned.iter().map(summary).collect();
        show::json(&json!({ "columns": columns, "outcome": "done" }));
    } else {
        planned.iter().for_each(print);
    }
    Ok(())
}

/// Never an argument: those can be seen in the list of processes.
fn text(from: impl Read) -> Result<Zeroizing<String>> {
    let unreadable =
        || Error::new(Kind::Usage, "the list of subjects cannot be read as text of at most 4 MiB");
    let mut text = Zeroizing::new(String::new());
    from.take(LIST_BYTES + 1).read_to_string(&mut text).map_err(|_| unreadable())?;
    if text.len() as u64 > LIST_BYTES { Err(unreadable()) } else { Ok(text) }
}

/// The subjects by their digests in a column; `None` where it has no keys by subject.
async fn named(
    keyring: &Keyring,
    dataset: &DatasetName,
    column: &str,
    subjects: &[&str],
) -> Result<Option<Shredded>> {
    let Some(tree) = keyring.known_subjects(dataset, column).await? else { return Ok(None) };
    let mut subjects: Vec<Digest> = subjects.iter().map(|subject| tree.digest(subject.as_bytes())).collect();
    subjects.sort_unstable();
    subjects.dedup();
    Ok(Some(Shredded { dataset: dataset.clone(), column: column.to_owned(), subjects, now: 0, cells: None }))
}

fn summary(one: &Shredded) -> Value {
    json!({
        "dataset": one.dataset.to_string(), "column": one.column, "shredded": one.now,
        "subjects": one.subjects.iter().map(Digest::to_string).collect::<Vec<_>>(),
        "values": one.cells.as_ref().map(|cells| cells.values().collect::<Vec<_>>()),
    })
}

fn print(one: &Shredded) {
    let (before, column) = (one.subjects.len() - one.now, &one.column);
    if let Some(cells) = &one.cells {
        println!("{}: `{column}` has these values of them; nothing was changed", one.dataset);
        cells.iter().for_each(|(digest, count)| println!("  {digest} {}", show::count(*count)));
        return;
    }
    println!("{}: {} subjects of `{column}` are shredded, {before} were before", one.dataset, one.now);
    one.subjects.iter().for_each(|digest| println!("  {digest}"));
}
