//! What can be typed.

mod audit;
mod daemon;
mod keys;
mod token;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(super) use audit::{Audit, AuditList, AuditVerb, AuditVerify};
pub(super) use daemon::Daemon;
pub(super) use keys::{ChosenKeys, DestroyKeys, Keys, KeysFile, KeysVerb, RotateKeys, Shred};
pub(super) use token::{Token, TokenVerb};

/// Moves on-premises tables and files to Delta tables on object storage, sealed column by column.
#[derive(Debug, Parser)]
#[command(name = "sealift", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Args {
    /// The configuration document
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SEALIFT_CONFIG",
        default_value = "config/sealift.yaml"
    )]
    pub(super) config: PathBuf,
    /// Answer for programs: the last line of stdout is one JSON object
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Log more to stderr (-v info, -vv debug)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// How log lines are written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", env = "SEALIFT_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 done · 1 failed, do not retry unchanged · 2 usage · 65 the data broke its contract
  69 daemon unreachable · 75 temporary, retry later · 76 held by policy or approval
  77 not authorised · 78 a document or the configuration is invalid · 130/143 cancelled";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[value(alias = "human")]
    Text,
    /// One JSON object per line
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check documents offline: every mistake, with file, line, column and remedy
    Validate(Validate),
    /// Show what a run would do to each column; reads some rows, writes nothing
    Plan(OfPipeline),
    /// Tell what columns seem to hold, of a pipeline's streams or of a file; writes nothing
    Classify(Classify),
    /// Run a pipeline here and now
    Sync(Sync),
    /// Read a past range of incremental streams again, window by window
    Backfill(Backfill),
    /// Query published datasets with SQL, as namespace.name
    Query(Query),
    /// List runs, or show one
    Runs(Runs),
    /// List published datasets, show the columns of one, or rebuild the ledger from them
    Datasets(Datasets),
    /// Erase rows from a dataset and its quarantine
    Erase(Erase),
    /// Join the small files of a dataset
    Compact(Compact),
    /// Protect published columns as the policy asks by now, where their values are there
    Reseal(Reseal),
    /// Remove files and log entries that no version within the retention needs
    Vacuum(Vacuum),
    /// Check a published version against its signed evidence
    Verify(Verify),
    /// List, release, rotate, destroy, back up and check the keys of datasets
    Keys(Keys),
    /// Show who did what, check that the record is whole, sign it, or export it
    Audit(Audit),
    /// Test a policy, or compare two by what is published
    Policy(Policy),
    /// Run the daemon: REST API and schedules
    Serve,
    /// Ask a daemon for a run, and wait for its end
    Trigger(Trigger),
    /// Ask a daemon to let the schedule of a pipeline rest
    Pause(OfDaemon),
    /// Ask a daemon to go on with the schedule of a pipeline
    Resume(OfDaemon),
    /// Ask a daemon whether it is ready
    Health(Health),
    /// Make, list and revoke tokens for the daemon's API
    Token(Token),
    /// Test documents, ledger, keys, stores and connections
    Doctor,
    /// Print the JSON Schema of a document, for editors
    Schema(Schema),
    /// Print a completion script for a shell
    Completions(Completions),
}

#[derive(Debug, clap::Args)]
pub(super) struct Validate {
    /// Documents to check; without any, everything the configuration names
    pub(super) paths: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct OfPipeline {
    /// The pipeline's name
    pub(super) pipeline: String,
    /// Only this stream
    #[arg(long)]
    pub(super) stream: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Classify {
    /// A pipeline's name, or a .csv or .parquet file
    #[arg(value_name = "PIPELINE|FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(super) target: String,
    /// Only this stream of the pipeline
    #[arg(long)]
    pub(super) stream: Option<String>,
    /// Look at so many rows of each stream at the most
    #[arg(long, default_value_t = 100_000, value_parser = rows)]
    pub(super) rows: usize,
}

/// At least one row, and not more than fit a sample's counts.
fn rows(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|rows| (1..=1_000_000_000).contains(rows))
        .ok_or_else(|| "write 1 to 1000000000".to_owned())
}

#[derive(Debug, clap::Args)]
pub(super) struct Sync {
    /// The pipeline's name
    pub(super) pipeline: String,
    /// Only this stream
    #[arg(long)]
    pub(super) stream: Option<String>,
    /// Read all rows of incremental streams again; what they appended is replaced
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub(super) full_refresh: bool,
    /// Of incremental streams only rows whose cursor is at least this; the cursor stays where it is
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) from: Option<String>,
    /// Of incremental streams only rows whose cursor is below this
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) to: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Backfill {
    /// The pipeline's name
    pub(super) pipeline: String,
    /// Only this stream
    #[arg(long)]
    pub(super) stream: Option<String>,
    /// The least cursor
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) from: String,
    /// Past the greatest cursor
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) to: String,
    /// What one commit holds: a duration such as 1day, or a whole number
    #[arg(long, value_name = "WIDTH")]
    pub(super) window: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// One SELECT; datasets are namespace.name
    pub(super) sql: String,
    /// How rows are printed
    #[arg(long, default_value = "table")]
    pub(super) format: Format,
    /// Read this version of every dataset instead of the newest
    #[arg(long, value_name = "VERSION")]
    pub(super) as_of: Option<u64>,
    /// Turn pseudonyms back into values for this purpose, where detokenize(column) is written and a `reveal` rule
    /// of the policy allows it; recorded in the audit trail
    #[arg(long, value_name = "PURPOSE")]
    pub(super) reveal: Option<String>,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people; the first 1,000 rows
    Table,
    /// RFC 4180, with a header
    Csv,
    /// One array of row objects
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Runs {
    /// Show this run
    pub(super) run_id: Option<String>,
    /// Ask a daemon how the run goes, until it is over; its outcome is the exit code
    #[arg(long, requires = "run_id")]
    pub(super) follow: bool,
    /// Ask a daemon to stop the run
    #[arg(long, requires = "run_id", conflicts_with = "follow")]
    pub(super) cancel: bool,
    #[command(flatten)]
    pub(super) daemon: Daemon,
    /// Only runs of this pipeline
    #[arg(long, conflicts_with = "run_id")]
    pub(super) pipeline: Option<String>,
    /// At most this many, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct Datasets {
    /// Show the columns of this dataset (namespace.name)
    pub(super) dataset: Option<String>,
    /// Record every run again that the tables tell of and the ledger does not know
    #[arg(long, conflicts_with = "dataset")]
    pub(super) rebuild: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The dataset (namespace.name)
    pub(super) dataset: String,
    /// This version instead of the newest
    #[arg(long)]
    pub(super) version: Option<u64>,
    /// Also read the source again and compare its rows
    #[arg(long)]
    pub(super) against_source: bool,
    /// Check signatures with the public keys in FILE, as `sealift keys public` prints them, and without the keys
    /// folder; digests of rows are then not compared
    #[arg(long, value_name = "FILE", conflicts_with = "against_source")]
    pub(super) public_key: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Erase {
    /// The dataset (namespace.name)
    pub(super) dataset: String,
    /// Rows to erase: a condition in SQL over the published columns; - reads it from standard input
    #[arg(long = "where", value_name = "SQL", allow_hyphen_values = true)]
    pub(super) condition: String,
    /// Why, such as a ticket: kept in the table's log, in the clear
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Only count the rows
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Without the condition, which may name somebody.
impl std::fmt::Debug for Erase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erase").field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Compact {
    /// The dataset (namespace.name)
    pub(super) dataset: String,
    /// How large files are to be, such as 512MiB; without it as the dataset's stream says
    #[arg(long, value_name = "SIZE")]
    pub(super) target_size: Option<String>,
    /// Bring rows together that are alike in these open columns; every file is written anew
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(super) cluster_by: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reseal {
    /// The dataset (namespace.name)
    pub(super) dataset: String,
    /// Only this column; can be given several times
    #[arg(long = "column", value_name = "COLUMN")]
    pub(super) columns: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    pub(super) verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyVerb {
    /// Try every case of a policy's tests; offline
    Test {
        /// The document of cases; without it policy.test.yaml beside the policy of the configuration
        file: Option<PathBuf>,
    },
    /// Show which columns of which datasets a newer policy protects otherwise, and what has to be done
    Diff {
        /// The policy until now
        old: PathBuf,
        /// The policy from now on
        new: PathBuf,
        /// End with 76 where a column would be protected less
        #[arg(long)]
        fail_on_weaker: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Vacuum {
    /// The dataset (namespace.name)
    pub(super) dataset: String,
    /// Versions that were the newest within this time stay readable
    #[arg(long, value_name = "DURATION", default_value = "7days")]
    pub(super) retain: String,
    /// Allow a retention below 7 days: readers that are under way and time travel may break
    #[arg(long)]
    pub(super) force: bool,
    /// Only say what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Trigger {
    /// The pipeline's name
    pub(super) pipeline: String,
    /// Wait for the end of the run; its outcome is the exit code
    #[arg(long)]
    pub(super) wait: bool,
    /// Wait no longer than this, such as 90m; the run goes on
    #[arg(long, value_name = "DURATION", requires = "wait")]
    pub(super) timeout: Option<String>,
    /// Where the pipeline has an active run already, take that one
    #[arg(long)]
    pub(super) join: bool,
    /// The name of this wanted run: sent again within a day, it makes no second one
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(super) daemon: Daemon,
}

#[derive(Debug, clap::Args)]
pub(super) struct OfDaemon {
    /// The pipeline's name
    pub(super) pipeline: String,
    #[command(flatten)]
    pub(super) daemon: Daemon,
}

#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// Where the daemon listens
    #[arg(long, value_name = "URL", env = "SEALIFT_URL", default_value = "http://127.0.0.1:8470")]
    pub(super) url: String,
    /// PEM file of the certificate authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE", env = "SEALIFT_CA_FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// PEM file of a certificate and its key, for a daemon that lets nobody in without one
    #[arg(long, value_name = "FILE", env = "SEALIFT_CLIENT_CERTIFICATE")]
    pub(super) client_certificate: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Which document
    pub(super) document: Document,
}

/// The documents people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    /// One connection, many streams
    Pipeline,
    /// Which tag asks for which action
    Policy,
    /// What a policy is expected to ask
    PolicyTest,
    /// Where things are
    Config,
    /// The daemon's API, as OpenAPI 3.1
    Api,
}

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}
