//! `sealift audit verify`: whether the trail is as it was written.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::cli::args::AuditVerify;
use crate::cli::verify::public_keys;
use crate::cli::{Context, Done, Failure, show};
use crate::error::{Error, Kind};
use crate::keys::{Keyring, pinned_trail};
use crate::run::Ledger;
use crate::run::trail::{self, Place, Proof};
use crate::run::verify::Trust;
use crate::spec::Config;

pub(super) async fn run(context: &Context, config: &Config, ledger: &Ledger, args: &AuditVerify) -> Done {
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
    let copy = match &args.checkpoints {
        Some(path) if !path.is_file() => {
            return Err(Error::new(Kind::Usage, format!("there is no file {}", path.display())).into());
        }
        copy => copy.clone().map(Place::File),
    };
    let known = pinned_trail(config.keys.path())?;
    let places = Place::all(config)?;
    let proof = trail::prove(ledger, &places, copy.as_ref(), trust, known.as_deref()).await?;
    let summary = summary(&proof);
    if context.json {
        if proof.findings.holds() {
            show::json(&summary);
        }
    } else {
        print(&proof);
    }
    if proof.findings.holds() {
        return Ok(());
    }
    let count = proof.findings.faults.len() as u64 + proof.findings.untold;
    let faults = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
    let error = Error::data(format!("the audit trail is not as it was written: {faults}"))
        .help("docs/audit.md says what each fault means and what to do");
    Err(Failure { error, summary: Box::new(summary) })
}

fn print(proof: &Proof) {
    let Proof { findings, checkpoints, newest, notes, .. } = proof;
    println!("entries read: {}", show::count(findings.entries));
    println!("checkpoints compared: {}", show::count(*checkpoints as u64));
    match newest {
        Some((seq, at_ms)) => {
            println!("signed outside the metadata store up to entry {seq}, at {}", instant(*at_ms));
        }
        None => println!(
            "nothing of it is signed outside the metadata store: `sealift audit checkpoint` does that"
        ),
    }
    notes.iter().for_each(|note| println!("note: {note}"));
    findings.faults.iter().for_each(|fault| println!("fault: {}", fault.message));
    if findings.untold > 0 {
        println!("fault: {} more like these", show::count(findings.untold));
    }
    if findings.holds() {
        println!("The trail is whole.");
    }
}

fn summary(proof: &Proof) -> Value {
    let Proof { trail, findings, checkpoints, newest, notes } = proof;
    let faults = findings
        .faults
        .iter()
        .map(|fault| json!({"what": fault.what.word(), "seq": fault.seq, "message": fault.message}));
    json!({
        "trail": trail,
        "holds": findings.holds(),
        "entries": findings.entries,
        "last": findings.last,
        "checkpoints": checkpoints,
        "signed_outside": newest.map(|(seq, at_ms)| json!({"seq": seq, "at": instant(at_ms)})),
        "faults": faults.collect::<Vec<_>>(),
        "more_faults": findings.untold,
        "notes": notes,
    })
}

fn instant(at_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
