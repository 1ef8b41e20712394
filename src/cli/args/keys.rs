//! What can be typed after `sealift keys`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Keys {
    #[command(subcommand)]
    pub(in crate::cli) verb: KeysVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeysVerb {
    /// List keys and their state; no key is shown
    List {
        /// Only keys of this dataset
        dataset: Option<String>,
    },
    /// Print the keys that read a dataset's encrypted columns; recorded in the audit trail
    Release {
        /// The dataset (namespace.name)
        dataset: String,
        /// Only the key of this column (and the footer's)
        #[arg(long)]
        column: Option<String>,
    },
    /// Print the public keys that check the signatures of receipts and of the audit trail; they are no secret
    Public,
    /// Make new keys for what is written from now on, or a new root key around the keys there are
    Rotate(RotateKeys),
    /// Have keys destroyed: what is sealed with them can never be read again
    Destroy(DestroyKeys),
    /// Write the keys folder to one file, sealed by a passphrase
    Backup(KeysFile),
    /// Put back the keys of a backup that are missing
    Restore(KeysFile),
    /// Ask the provider, unwrap every key, and compare with what is published
    Check,
    /// Destroy the keys of persons, so that nobody can read their values in columns encrypted by subject
    Shred(Shred),
}

/// Which keys.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(in crate::cli) struct ChosenKeys {
    /// Keys of this dataset (namespace.name)
    #[arg(conflicts_with = "key")]
    pub(in crate::cli) dataset: Option<String>,
    /// Only those of this column
    #[arg(long, requires = "dataset")]
    pub(in crate::cli) column: Option<String>,
    /// A key by its id, as `keys list` shows it
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) key: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RotateKeys {
    /// Keys of this dataset (namespace.name) that encrypt: its columns' and its footers'
    #[arg(required_unless_present_any = ["key", "root"], conflicts_with_all = ["key", "root"])]
    pub(in crate::cli) dataset: Option<String>,
    /// Only the key of this column
    #[arg(long, requires = "dataset")]
    pub(in crate::cli) column: Option<String>,
    /// A key by its id, as `keys list` shows it; with a new key of tokens or hashes, values look otherwise
    #[arg(long, value_name = "ID", conflicts_with = "root")]
    pub(in crate::cli) key: Vec<String>,
    /// The root key: every key is wrapped anew, and no data file is touched
    #[arg(long)]
    pub(in crate::cli) root: bool,
    /// The configuration whose root key wraps the keys now, where another provider is to take over
    #[arg(long, value_name = "CONFIG", requires = "root")]
    pub(in crate::cli) from: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DestroyKeys {
    #[command(flatten)]
    pub(in crate::cli) chosen: ChosenKeys,
    /// How long it can be called off; meanwhile the keys are refused
    #[arg(long, value_name = "DURATION", default_value = "7days", conflicts_with = "cancel")]
    pub(in crate::cli) after: String,
    /// Call it off
    #[arg(long)]
    pub(in crate::cli) cancel: bool,
    /// Do it; without this it is only said what would be done
    #[arg(long, conflicts_with = "cancel")]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KeysFile {
    /// The backup
    pub(in crate::cli) file: PathBuf,
    /// Where its passphrase is: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE")]
    pub(in crate::cli) passphrase: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Shred {
    /// The dataset (namespace.name)
    pub(in crate::cli) dataset: String,
    /// The column that is encrypted by subject; can be given several times
    #[arg(long = "column", value_name = "COLUMN", required = true)]
    pub(in crate::cli) columns: Vec<String>,
    /// A file of the persons, one a line, each by its value of the column that `by` names; without it they are read
    /// from standard input
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(in crate::cli) subject_file: Option<PathBuf>,
    /// Do it: what is shredded cannot be brought back
    #[arg(long, required_unless_present = "dry_run")]
    pub(in crate::cli) yes: bool,
    /// Only count the persons' values in the newest version; all of the columns is read
    #[arg(long, conflicts_with = "yes")]
    pub(in crate::cli) dry_run: bool,
}
