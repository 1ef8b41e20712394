//! A stream of a pipeline document as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::action::Action;
use super::contract::SchemaContract;
use super::placed::{Either, Many, Map, Placed, Words};
use super::quality::Check;
use crate::spec::schema::allow_words;

/// One stream: tables (the key is `schema.table`, `*` and `?` are wildcards), a query, or files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// A query in the source's own SQL; the key is then the stream's name.
    pub(crate) query: Option<Placed<String>>,
    /// Files by a glob relative to the connection's root; the key is then the stream's name.
    pub(crate) path: Option<Placed<String>>,
    /// How the files are read.
    pub(crate) format: Option<Placed<Format>>,
    /// Types of a text file's columns in order: boolean, int32, int64, float64, decimal(p,s), text, date,
    /// timestamp, timestamptz. Without it they are inferred from the whole of every file.
    pub(crate) schema: Option<Placed<Map<String>>>,
    /// Names the dataset of this stream; default the pipeline's.
    pub(crate) dataset: Option<Placed<String>>,
    /// How the source is read; default `full_refresh`.
    pub(crate) sync_mode: Option<Placed<SyncMode>>,
    /// How the dataset is written; default `overwrite`.
    pub(crate) write_mode: Option<Placed<WriteMode>>,
    /// Column whose ranges are read in parallel, for what has no physical ranges of its own: views, queries,
    /// tables of other databases. An integer, a date or a timestamp, best the indexed key.
    pub(crate) split_by: Option<Placed<String>>,
    /// What a full load that died goes on with; default `same_instant`.
    pub(crate) resume: Option<Placed<Resume>>,
    /// Output columns that tell rows apart; `merge` and `scd2` need them.
    pub(crate) primary_key: Option<Placed<Vec<Placed<String>>>>,
    /// Output column that says a row is deleted: true, or anything but NULL where it is no boolean. For `merge`
    /// and `scd2`.
    pub(crate) soft_delete: Option<Placed<String>>,
    /// What becomes of a row whose key the source no longer has; without it, it stays. For `merge` and `scd2`.
    pub(crate) delete_missing: Option<Placed<DeleteMissing>>,
    /// DataFusion SQL over the table `source`.
    pub(crate) transform: Option<Placed<String>>,
    /// What is declared of columns, by name; `"*"` is the default for columns not named.
    pub(crate) columns: Option<Placed<Map<Column>>>,
    /// Output columns that become folders; never protected ones.
    pub(crate) partition_by: Option<Placed<Vec<Placed<String>>>>,
    /// Most rows of one run that may go to the quarantine, 0 to 10,000,000, default 10,000; one more fails the
    /// run.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(crate) max_quarantine_rows: Option<Placed<u64>>,
    /// How Parquet is written; each key overrides the one in `defaults`.
    pub(crate) parquet: Option<Placed<Parquet>>,
    /// Column of the source that only grows from change to change, by which an incremental sync knows what
    /// is new; a list compares column by column.
    pub(crate) cursor_field: Option<Placed<Many<Placed<String>>>>,
    /// How far behind the last cursor rows are read again, for commits that come late: a duration such as
    /// `1h`, or a whole number for a cursor of whole numbers. Of the first column of `cursor_field`.
    pub(crate) lookback: Option<Placed<Words>>,
    /// What may change about the published schema; default `evolve`.
    pub(crate) schema_contract: Option<Placed<SchemaContract>>,
    /// What must hold of the output rows before they are published; replaces the list in `defaults`.
    pub(crate) quality: Option<Placed<Vec<Placed<Check>>>>,
}

/// How the source is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SyncMode {
    /// All rows, every time.
    FullRefresh,
    /// The rows whose `cursor_field` has reached or passed the last run's.
    Incremental,
}

/// How the dataset is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WriteMode {
    /// The new version replaces the old.
    Overwrite,
    /// The new version holds the old rows and the new.
    Append,
    /// A row replaces the one of its primary key.
    Merge,
    /// As `merge`, and the row that was there stays as history.
    Scd2,
}

/// What becomes of a row whose key the source no longer has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeleteMissing {
    /// It stays, and `_deleted_at` says since when; of `scd2`, it is no longer current.
    Soft,
    /// It is taken out.
    Hard,
}

/// What a full load that died goes on with, where some of its parts are written already.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resume {
    /// The missing parts, if the source can give the same instant again (files that did not change); else
    /// it starts over.
    SameInstant,
    /// The missing parts, each as of the instant it is read at; needs `split_by`.
    MixedInstants,
}

/// What is declared of one column: a tag, an action, a type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct Column {
    /// Its class of data, such as `pii.email`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$"))]
    pub(crate) tag: Option<Placed<String>>,
    /// The least that happens to it; can only strengthen what the policy asks.
    pub(crate) action: Option<Placed<Action>>,
    /// Type that a column of the source is carried as instead of the one `plan` shows: boolean, int32, int64,
    /// float64, decimal(p,s), text, date, timestamp, timestamptz. Or a further column made of the same values:
    /// `{column: email_token, action: tokenize}`.
    pub(crate) r#as: Option<Placed<Either<String, Companion>>>,
    /// What becomes of a value that `as` cannot hold exactly; default `fail`.
    pub(crate) on_overflow: Option<Placed<OnOverflow>>,
}

/// A further output column, made of the same values by another action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Companion {
    /// Its name.
    pub(crate) column: Placed<String>,
    /// What happens to the values in it; not less than the policy asks.
    pub(crate) action: Placed<Action>,
}

/// What becomes of a value that the type asked for cannot hold exactly.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnOverflow {
    /// The run fails.
    Fail,
    /// The value becomes NULL.
    Null,
    /// Its row goes to the quarantine dataset instead.
    Quarantine,
}

/// How files are read; told by the name's ending (`.csv`, `.parquet`) where it is left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = allow_words)]
pub(crate) enum Format {
    /// Delimited text.
    Csv(Box<Csv>),
    /// Apache Parquet.
    Parquet,
}

/// Options of delimited text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Csv {
    /// The first line names the columns; default true.
    pub(crate) header: Option<Placed<bool>>,
    /// One ASCII character between fields; default `,`.
    pub(crate) delimiter: Option<Placed<String>>,
    /// One ASCII character around fields; default `"`.
    pub(crate) quote: Option<Placed<String>>,
    /// Unquoted text that stands for NULL; default the empty field.
    pub(crate) null: Option<Placed<String>>,
}

/// How Parquet is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parquet {
    /// Codec, default `zstd`.
    pub(crate) compression: Option<Placed<Compression>>,
    /// Level of zstd, 1 to 22, default 1.
    #[schemars(range(min = 1, max = 22))]
    pub(crate) compression_level: Option<Placed<u64>>,
    /// Most rows in a row group, 1,024 to 16,777,216, default 1,048,576.
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub(crate) row_group_rows: Option<Placed<u64>>,
    /// A file is closed when it has grown to this, such as `512MiB` (the default); 1MiB to 5TiB.
    #[schemars(regex(pattern = r"^[0-9]+ ?([KMGT]i?)?B$"))]
    pub(crate) file_size: Option<Placed<Words>>,
}

/// A Parquet codec.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compression {
    Zstd,
    Snappy,
    Lz4,
    None,
}
