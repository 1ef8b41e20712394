//! `sealift token`: tokens for the daemon's API.

use serde_json::json;

use super::args::{Token, TokenVerb};
use super::{Context, Done, show};
use crate::error::{Error, Kind};
use crate::govern::{audit, token};
use crate::run::Ledger;
use crate::spec::Config;

pub(super) async fn run(context: &Context, args: &Token) -> Done {
    let TokenVerb::Create { name, role, expires_in } = &args.verb;
    let config = Config::load(&context.config)?;
    let ledger = Ledger::open(&config.metadata).await?;
    let expires_in = expires_in
        .as_deref()
        .map(|text| {
            humantime::parse_duration(text)
                .map_err(|_| Error::new(Kind::Usage, "this is not a duration").help("write it like 90d or 12h"))
        })
        .transpose()?;
    let role = role.parse()?;
    let token = token::create(&ledger, name, role, expires_in, &audit::operator()).await?;
    if context.json {
        show::json(&json!({ "name": name, "role": role.word(), "token": token.expose_str()? }));
    } else {
        println!("{}", token.expose_str()?);
        eprintln!("Keep it now: it is shown once. Clients read it from SEALIFT_TOKEN.");
    }
    Ok(())
}
