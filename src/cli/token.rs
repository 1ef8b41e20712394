//! `sealift token`: tokens for the daemon's API.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::args::{Token, TokenVerb};
use super::{Context, Done, show};
use crate::error::{Error, Kind, Result};
use crate::govern::token::{self, Listed, Terms};
use crate::govern::{Permission, Role, Scope, audit};
use crate::run::Ledger;
use crate::spec::Config;

pub(super) async fn run(context: &Context, args: &Token) -> Done {
    let config = Config::load(&context.config)?;
    match &args.verb {
        TokenVerb::Create { name, role, pipelines, expires } => {
            let role: Role = role.parse()?;
            let terms = Terms { role, scope: Scope::of(pipelines)?, expires_at: expiry(expires)? };
            let ledger = Ledger::open(&config.metadata).await?;
            let token = token::create_with(&ledger, &audit::operator(), name, &terms).await?;
            told(context, name, &terms, token.expose_str()?);
        }
        TokenVerb::List => {
            let tokens = token::list(&Ledger::open(&config.metadata).await?).await?;
            if context.json {
                show::json(&json!({ "tokens": tokens.iter().map(to_json).collect::<Vec<_>>() }));
            } else {
                print_all(&tokens);
            }
        }
        TokenVerb::Revoke { name } => {
            token::revoke(&Ledger::open(&config.metadata).await?, &audit::operator(), name).await?;
            if context.json {
                show::json(&json!({ "name": name, "revoked": true }));
            } else {
                println!("Token {name} is good no longer; a daemon that runs knows within 5 seconds.");
            }
        }
    }
    Ok(())
}

fn told(context: &Context, name: &str, terms: &Terms, token: &str) {
    let role = terms.role.word();
    if context.json {
        let pipelines = terms.scope.patterns();
        let expires_at = terms.expires_at.map(|at| at.to_rfc3339());
        show::json(&json!({
            "name": name, "role": role, "pipelines": pipelines, "expires_at": expires_at, "token": token,
        }));
        return;
    }
    println!("{token}");
    eprintln!("Keep it now: it is shown once. Clients read it from SEALIFT_TOKEN.");
    match terms.expires_at {
        Some(at) => eprintln!("It is good until {}.", at.format("%Y-%m-%d %H:%MZ")),
        None => eprintln!("It is good until it is revoked."),
    }
    if Permission::PipelineWrite.roles().contains(&terms.role) && !terms.scope.patterns().is_empty() {
        eprintln!(
            "It is limited by the names of pipelines alone: one that it writes may read from every connection and \
             into every store."
        );
    }
}

fn to_json(token: &Listed) -> Value {
    let at = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339());
    json!({
        "name": token.name,
        "role": token.role.word(),
        "pipelines": token.scope.patterns(),
        "created_at": token.created_at.to_rfc3339(),
        "expires_at": at(token.expires_at),
        "last_used_at": at(token.last_used_at),
        "revoked_at": at(token.revoked_at),
    })
}

fn print_all(tokens: &[Listed]) {
    let mut table = show::table(&["token", "role", "pipelines", "expires", "last used", "revoked"], &[]);
    let at = |at: Option<DateTime<Utc>>| at.map(|at| at.format("%Y-%m-%d %H:%MZ").to_string());
    for token in tokens {
        let patterns = token.scope.patterns();
        table.add_row([
            token.name.clone(),
            token.role.to_string(),
            if patterns.is_empty() { "all".to_owned() } else { patterns.join(" ") },
            at(token.expires_at).unwrap_or_else(|| "never".to_owned()),
            at(token.last_used_at).unwrap_or_default(),
            at(token.revoked_at).unwrap_or_default(),
        ]);
    }
    println!("{table}");
}

/// The instant that lies this far ahead; of `never`, none.
#[expect(clippy::disallowed_methods, reason = "a person's words are turned into an instant here")]
fn expiry(text: &str) -> Result<Option<DateTime<Utc>>> {
    if text == "never" {
        return Ok(None);
    }
    let wrong =
        || Error::new(Kind::Usage, "this is not a duration").help("write it like 90d or 12h, or write never");
    let ahead = humantime::parse_duration(text).map_err(|_| wrong())?;
    let ahead = TimeDelta::from_std(ahead).map_err(|_| wrong())?;
    Utc::now().checked_add_signed(ahead).map(Some).ok_or_else(wrong)
}
