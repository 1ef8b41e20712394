//! What can be typed after `sealift token`.

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Token {
    #[command(subcommand)]
    pub(in crate::cli) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenVerb {
    /// Make a token; it is shown once and kept only as a hash
    Create {
        /// Who or what it is for
        name: String,
        /// engineer, scheduler, modeler, infosec, auditor or admin
        #[arg(long)]
        role: String,
        /// Only pipelines whose names match, such as crm_*; can be given several times
        #[arg(long = "pipeline", value_name = "GLOB")]
        pipelines: Vec<String>,
        /// How long it is good for, such as 12h, or never
        #[arg(long, alias = "expires-in", value_name = "DURATION", default_value = "90d")]
        expires: String,
    },
    /// List tokens: what they are good for, until when, and when they were used; no token is shown
    List,
    /// End a token, from now on and for good
    Revoke {
        /// Its name
        name: String,
    },
}
