//! `sealift token`: tokens for the daemon's API.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::args::{Token, TokenVerb};
use super::{Context, Done, show};
use crate::error::{Error, Kind, Result};
use crate::govern::{Role, audit, token};
use crate::run::Ledger;
use crate::spec::Config;

pub(super) async fn run(context: &Context, args: &Token) -> Done {
    let TokenVerb::Create { name, role, expires_in } = &args.verb;
    let config = Config::load(&context.config)?;
    let ledger = Ledger::open(&config.metadata).await?;
    let expires_at = expires_in.as_deref().map(expiry).transpose()?;
    let role: Role = role.parse()?;
    let token = token::create(&ledger, &audit::operator(), name, role, expires_at).await?;
    if context.json {
        show::json(&json!({ "name": name, "role": role.word(), "token": token.expose_str()? }));
    } else {
        println!("{}", token.expose_str()?);
        eprintln!("Keep it now: it is shown once. Clients read it from SEALIFT_TOKEN.");
    }
    Ok(())
}

/// The instant that lies this far ahead.
#[expect(clippy::disallowed_methods, reason = "a person's words are turned into an instant here")]
fn expiry(text: &str) -> Result<DateTime<Utc>> {
    let wrong = || Error::new(Kind::Usage, "this is not a duration").help("write it like 90d or 12h");
    let ahead = humantime::parse_duration(text).map_err(|_| wrong())?;
    let ahead = TimeDelta::from_std(ahead).map_err(|_| wrong())?;
    Utc::now().checked_add_signed(ahead).ok_or_else(wrong)
}
