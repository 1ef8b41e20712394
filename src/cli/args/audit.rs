//! What can be typed after `sealift audit`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Audit {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<AuditVerb>,
    #[command(flatten)]
    pub(in crate::cli) list: AuditList,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditVerb {
    /// Check every entry against the chain and against what was signed, and name what was done to it
    Verify(AuditVerify),
    /// Sign where the trail ends now, and keep that outside the metadata store too
    Checkpoint,
    /// Print the whole trail as lines of JSON, with its hashes
    Export {
        /// Only entries after this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
        after: i64,
    },
}

/// Which entries.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AuditList {
    /// Only what this actor did: os:1000, token:NAME, run:ID …
    #[arg(long)]
    pub(in crate::cli) actor: Option<String>,
    /// Only this action, such as key.release; or all of a kind, such as key
    #[arg(long)]
    pub(in crate::cli) action: Option<String>,
    /// Only of the last while (24h), or since an instant (2026-11-30T08:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) since: Option<String>,
    /// Only entries before this number: the next page
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    pub(in crate::cli) before: Option<i64>,
    /// At most this many, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AuditVerify {
    /// Check signatures with the public keys in FILE, as `sealift keys public` prints them, and without the keys
    /// folder
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) public_key: Option<PathBuf>,
    /// Checkpoints of your own keeping, in place of the file beside the metadata store
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) checkpoints: Option<PathBuf>,
}
