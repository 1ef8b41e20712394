//! `sealift audit`: who did what, and whether the record of it is whole.

mod verify;

use std::io::{BufWriter, Write as _};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::args::{Audit, AuditList, AuditVerb};
use super::remote::printable;
use super::{Context, Done, show};
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Entry, Filter};
use crate::keys::Keyring;
use crate::run::Ledger;
use crate::run::trail::Trail;
use crate::spec::Config;

/// Most characters of a subject in the table.
const SUBJECT_CHARS: usize = 400;

pub(super) async fn run(context: &Context, args: &Audit) -> Done {
    let config = Config::load(&context.config)?;
    let ledger = Ledger::open(&config.metadata).await?;
    match &args.verb {
        None => list(context, &ledger, &args.list).await,
        Some(AuditVerb::Verify(args)) => verify::run(context, &config, &ledger, args).await,
        Some(AuditVerb::Checkpoint) => checkpoint(context, &config, &ledger).await,
        Some(AuditVerb::Export { after }) => export(context, &ledger, *after).await,
    }
}

async fn list(context: &Context, ledger: &Ledger, args: &AuditList) -> Done {
    let filter = Filter {
        actor: args.actor.clone(),
        action: args.action.clone(),
        since_ms: args.since.as_deref().map(since).transpose()?.map(|at| at.timestamp_millis()),
        before: args.before,
        limit: args.limit,
    };
    let entries = audit::list(ledger, &filter).await?;
    let is_full = u32::try_from(entries.len()).is_ok_and(|found| found == filter.limit);
    let next = entries.last().filter(|_| is_full).map(|entry| entry.seq).filter(|seq| *seq > 1);
    if context.json {
        let entries: Vec<Value> = entries.iter().map(Entry::to_json).collect();
        show::json(&json!({ "entries": entries, "next": next }));
        return Ok(());
    }
    print(&entries);
    if let Some(next) = next {
        println!("Earlier ones: --before {next}");
    }
    Ok(())
}

fn print(entries: &[Entry]) {
    let mut table = show::table(&["entry", "when", "who", "what", "outcome", "to what"], &[0]);
    for entry in entries {
        table.add_row([
            entry.seq.to_string(),
            entry.at().format("%Y-%m-%d %H:%M:%SZ").to_string(),
            one_line(&entry.actor),
            one_line(&entry.action),
            one_line(&entry.outcome),
            one_line(&entry.subject),
        ]);
    }
    println!("{table}");
}

/// The store may hold anything by now.
fn one_line(text: &str) -> String {
    printable(text, SUBJECT_CHARS).replace('\n', " ")
}

async fn checkpoint(context: &Context, config: &Config, ledger: &Ledger) -> Done {
    let keyring = Keyring::open(&config.keys, &|notice| eprintln!("{notice}")).await?;
    let made = Trail::new(config, ledger, &keyring)?.checkpoint().await?;
    if context.json {
        let made =
            made.map(|made| json!({"seq": made.seq, "hash": made.hash.to_string(), "signer": made.signer}));
        show::json(&json!({ "checkpoint": made }));
        return Ok(());
    }
    match made {
        Some(made) => println!("signed: the trail ends with entry {}, {}", made.seq, made.hash),
        None => println!("There is no entry since the last checkpoint."),
    }
    Ok(())
}

/// Page by page, so that memory does not grow with the trail.
async fn export(context: &Context, ledger: &Ledger, after: i64) -> Done {
    let unwritable = |_| Error::failed("the trail could not be written to standard output");
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut last, mut entries) = (after, 0_u64);
    loop {
        let page = audit::after(ledger, last, audit::MAX_LISTED).await?;
        let Some(newest) = page.last() else { break };
        last = newest.seq;
        entries += page.len() as u64;
        for entry in &page {
            writeln!(out, "{}", entry.to_json()).map_err(unwritable)?;
        }
    }
    out.flush().map_err(unwritable)?;
    drop(out);
    if context.json {
        let trail = audit::head(ledger).await?.map(|head| head.trail);
        show::json(&json!({"trail": trail, "entries": entries, "last": last}));
    }
    Ok(())
}

/// The instant that a person names, or that lies so far back.
#[expect(clippy::disallowed_methods, reason = "a person's words are turned into an instant here")]
fn since(text: &str) -> Result<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let wrong = || {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        Error::new(Kind::Usage, "this is neither a duration nor an instant")
            .help(format!("write --since 24h, or --since {now}"))
    };
    let back = humantime::parse_duration(text).map_err(|_| wrong())?;
    let back = TimeDelta::from_std(back).map_err(|_| wrong())?;
    Utc::now().checked_sub_signed(back).ok_or_else(wrong)
}
