//! The DataOps engineer's document: one connection, many streams.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::contract::SchemaContract;
use super::quality::Check;
pub use super::schedule::Schedule;
use super::schedule::{Priority, Retry};
use super::sync::{Resume, SyncMode, WriteMode};
use super::{Action, ConnectionName, DatasetName, PipelineName, StoreName, StreamName, Tag};
use crate::error::{Error, Result};

/// A valid pipeline document.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file it came from.
    pub path: PathBuf,
    /// SHA-256 of the document's bytes, lower-case hex.
    pub digest: String,
    /// Its name, unique in the pipelines folder.
    pub name: PipelineName,
    /// Who answers for it.
    pub owner: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Where its rows come from.
    pub connection: ConnectionName,
    /// Where its datasets go; may be left out where the configuration names one store only.
    pub store: Option<StoreName>,
    /// Its streams, in document order.
    pub streams: Vec<Stream>,
    /// When the daemon runs it.
    pub schedule: Option<Schedule>,
    /// How often a run of it is tried again.
    pub retry: Retry,
    /// How long an attempt of a run may take.
    pub timeout: Duration,
    /// Which of the runs that wait begins first.
    pub priority: Priority,
}

/// One stream entry: what is read, and what becomes of it. A table entry with wildcards stands for
/// many tables.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What is read.
    pub selector: Selector,
    /// Names the dataset.
    pub dataset: DatasetTemplate,
    /// How it is read from run to run.
    pub sync_mode: SyncMode,
    /// How it is written.
    pub write_mode: WriteMode,
    /// Output columns that tell rows apart, for merges and for rows that are read twice.
    pub primary_key: Vec<String>,
    /// What becomes of changes to the published schema.
    pub schema_contract: SchemaContract,
    /// What must hold of its rows.
    pub quality: Vec<Check>,
    /// Column of the source whose ranges are read in parallel.
    pub split_by: Option<String>,
    /// What a full load that died goes on with.
    pub resume: Resume,
    /// DataFusion SQL over `source`; `None` publishes the columns as they are.
    pub transform: Option<String>,
    /// What is declared of columns.
    pub columns: Columns,
    /// Output columns that become folders; never protected ones.
    pub partition_by: Vec<String>,
    /// Most rows of one run that may go to the quarantine; one more fails the run.
    pub max_quarantine_rows: u64,
    /// How Parquet is written.
    pub parquet: Parquet,
    /// Where the entry stands in its document.
    pub position: Position,
}

/// A place in a document; line and column count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// What a stream reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Tables of a database: `schema.table`, `*` and `?` as wildcards in either part.
    Table(TablePattern),
    /// The result of a query in the source's own SQL.
    Query {
        /// The stream's name.
        name: StreamName,
        /// The query.
        sql: String,
    },
    /// Files of one shape under the connection's root.
    Files(FileSet),
}

/// Tables by pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    /// Schema name or glob.
    pub schema: String,
    /// Table name or glob.
    pub table: String,
}

/// Files of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSet {
    /// The stream's name.
    pub name: StreamName,
    /// Path glob relative to the connection's root (`customers*.csv`).
    pub path: String,
    /// How the files are read.
    pub format: Format,
    /// Declared columns in order (name and type); `None` infers the
    /// types from the whole of every file.
    pub schema: Option<Vec<(String, ColumnType)>>,
}

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Delimited text, RFC 4180 quoting.
    Csv(Csv),
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// As the ending of a file's name tells; `None` where it does not.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().rsplit_once('.') {
            Some((_, "csv")) => Some(Self::Csv(Csv::default())),
            Some((_, "parquet")) => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// Options of delimited text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// The first line names the columns (default true).
    pub header: bool,
    /// Between fields (default `,`).
    pub delimiter: u8,
    /// Around fields (default `"`).
    pub quote: u8,
    /// The unquoted text that stands for NULL (default: the empty field).
    pub null: String,
}

impl Default for Csv {
    fn default() -> Self {
        Self { header: true, delimiter: b',', quote: b'"', null: String::new() }
    }
}

/// A column type as people write it: declared of a text file, or decided for a source's column (`as`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`: true/false.
    Boolean,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float64`
    Float64,
    /// `decimal(p,s)`: precision 1 to 38, scale 0 to p.
    Decimal(u8, i8),
    /// `text`
    Text,
    /// `date`: ISO 8601.
    Date,
    /// `timestamp`: ISO 8601 without a zone, microseconds.
    Timestamp,
    /// `timestamptz`: ISO 8601 with a zone or Z, microseconds.
    TimestampTz,
}

/// The word people write for it.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Decimal(precision, scale) => return write!(f, "decimal({precision},{scale})"),
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
        })
    }
}

/// Names a dataset from `{schema}`, `{table}` and `{stream}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetTemplate(pub(super) String);

impl DatasetTemplate {
    /// The dataset of one concrete stream. Characters that a dataset name cannot hold become `_`,
    /// upper case becomes lower case.
    ///
    /// # Errors
    /// `Invalid` when the result is not a dataset name, or one that is kept for a quarantine.
    pub fn expand(&self, schema: Option<&str>, table: &str, stream: &StreamName) -> Result<DatasetName> {
        if schema.is_none() && self.0.contains("{schema}") {
            return Err(Error::invalid(format!("`{stream}` has no schema to fill {{schema}} with"))
                .help("use {table} or {stream} in `dataset`"));
        }
        let mut expanded = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, (placeholder, after))) =
            rest.split_once('{').and_then(|(before, r)| Some((before, r.split_once('}')?)))
        {
            expanded.push_str(before);
            expanded.push_str(&as_slug(match placeholder {
                "schema" => schema.unwrap_or_default(),
                "table" => table,
                _ => stream.as_str(),
            }));
            rest = after;
        }
        expanded.push_str(rest);
        let name = DatasetName::parse(&expanded).map_err(|error| {
            error.at(format!("stream {stream}")).help("give the stream a `dataset:` of its own")
        })?;
        if name.is_quarantine() {
            return Err(Error::invalid(format!("the dataset name `{name}` is kept for rejected rows"))
                .at(format!("stream {stream}"))
                .help("give the stream a `dataset:` of its own, whose name does not end in __quarantine"));
        }
        Ok(name)
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text as a part of a dataset name.
fn as_slug(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect()
}

/// What is declared of columns. A name may be an output column of the stream or a column of the
/// source; a declaration on a source column follows it through the SQL.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// By name (`address.city` for a leaf of a nested column).
    ///
    /// Boxed: a map keeps room for eleven, and most streams name few.
    pub named: BTreeMap<String, Box<Column>>,
    /// `"*"`: the stated default for columns not named.
    pub default: Option<Column>,
}

impl Columns {
    /// Whether a decision on a type sends rows to the quarantine.
    #[must_use]
    pub fn quarantine(&self) -> bool {
        let quarantines = |conversion: &Conversion| conversion.on_overflow == OnOverflow::Quarantine;
        self.named.values().filter_map(|column| column.conversion.as_ref()).any(quarantines)
    }
}

/// What is declared of one column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its class of data.
    pub tag: Option<Tag>,
    /// The least that must happen to it; can only strengthen what the policy asks.
    pub action: Option<Action>,
    /// The decision on the type a column of the source is carried as.
    pub conversion: Option<Conversion>,
    /// A further column that is published of its values.
    pub companion: Option<Companion>,
    /// Where it is declared.
    pub position: Position,
}

/// A further output column, made of the same values by another action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its name.
    pub column: String,
    /// What happens to the values in it.
    pub action: Action,
}

impl Column {
    /// Whether it says what the column holds or what happens to it. A decision on the type alone says
    /// neither: for the policy such a column is one that is not named.
    #[must_use]
    pub fn declares(&self) -> bool {
        self.tag.is_some() || self.action.is_some()
    }
}

/// A written decision on how a column of the source is carried (`as`, `on_overflow`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The type it becomes.
    pub to: ColumnType,
    /// What becomes of a value that type cannot hold exactly.
    pub on_overflow: OnOverflow,
}

/// What becomes of a value that the type asked for cannot hold exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOverflow {
    /// The run fails (`Data`).
    Fail,
    /// It becomes NULL, so the column is nullable.
    Null,
    /// Its row is left out of the dataset and goes to the quarantine.
    Quarantine,
}

/// How Parquet is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parquet {
    /// Codec, default zstd level 1.
    pub compression: Compression,
    /// Rows in a row group at the most, default 1,048,576.
    pub row_group_rows: usize,
    /// A file is closed when it has grown to this, default 512 MiB; 64 MiB where rows are merged.
    pub file_size_bytes: u64,
}

/// Parquet codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard, level 1 to 22.
    Zstd(i32),
    /// Snappy.
    Snappy,
    /// LZ4 (raw).
    Lz4,
    /// None.
    Uncompressed,
}

impl Default for Parquet {
    fn default() -> Self {
        Self { compression: Compression::Zstd(1), row_group_rows: 1 << 20, file_size_bytes: 512 << 20 }
    }
}

impl Parquet {
    /// The default where rows are merged: a changed row costs the file that holds it, written again.
    #[must_use]
    pub fn of_merges() -> Self {
        Self { file_size_bytes: 64 << 20, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn expand(template: &str, schema: Option<&str>, table: &str, stream: &str) -> Result<String> {
        DatasetTemplate(template.to_owned())
            .expand(schema, table, &StreamName::parse(stream).unwrap())
            .map(|name| name.to_string())
    }

    #[test]
    fn placeholders_are_filled_and_made_to_fit() {
        assert_eq!(
            expand("crm.{table}", Some("public"), "Order Lines", "public.Order Lines").unwrap(),
            "crm.order_lines"
        );
        assert_eq!(
            expand("{schema}.{stream}_v2", Some("public"), "a", "public.a").unwrap(),
            "public.public_a_v2"
        );
    }

    #[test]
    fn a_placeholder_in_a_name_is_not_filled_again() {
        assert_eq!(expand("crm.{table}", Some("s"), "{stream}x", "s.t").unwrap_err().kind(), Kind::Invalid);
        assert_eq!(expand("crm.t{table}", Some("s"), "{stream}", "s.t").unwrap(), "crm.t_stream_");
    }

    #[test]
    fn a_result_that_is_no_name_is_refused() {
        assert!(expand("crm.{table}", None, "_tmp", "_tmp").is_err());
        assert!(expand("crm.{table}", None, &"x".repeat(64), "x").is_err());
        assert!(expand("{schema}.{table}", None, "t", "t").is_err());
    }

    #[test]
    fn a_name_that_is_kept_for_a_quarantine_is_refused() {
        for (template, table) in
            [("crm.{table}", "Orders__Quarantine"), ("crm.{table}__quarantine", "orders")]
        {
            let error = expand(template, Some("s"), table, "s.t").unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{template}");
            assert!(error.remedy().unwrap().contains("`dataset:` of its own"), "{error}");
        }
        let longest = DatasetName::parse(&format!("crm.{}", "x".repeat(51))).unwrap();
        assert!(longest.quarantine().unwrap().is_quarantine());
        let longer = DatasetName::parse(&format!("crm.{}", "x".repeat(52))).unwrap();
        assert_eq!(longer.quarantine().unwrap_err().kind(), Kind::Invalid);
    }
}
