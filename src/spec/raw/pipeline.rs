//! The pipeline document as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiVersion;
use super::contract::SchemaContract;
use super::placed::{Many, Map, Placed, Words};
use super::quality::Check;
use super::schedule::{Priority, Retry, Schedule};
use super::stream::{Parquet, Stream, SyncMode, WriteMode};

/// One connection, many streams.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Sealift pipeline")]
#[expect(dead_code, reason = "apiVersion and kind are checked by being read")]
pub(crate) struct Pipeline {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: Placed<ApiVersion>,
    pub(crate) kind: Placed<Kind>,
    /// Its name, unique in the pipelines folder.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) name: Placed<String>,
    /// Who answers for it.
    pub(crate) owner: Placed<String>,
    /// What it is for.
    pub(crate) description: Option<Placed<String>>,
    /// A connection of the configuration.
    pub(crate) connection: Placed<String>,
    /// A store of the configuration; needed where there are several.
    pub(crate) store: Option<Placed<String>>,
    /// Names the datasets, as `namespace.name` with {schema}, {table} and {stream} filled in.
    pub(crate) dataset: Placed<String>,
    /// What holds for every stream that does not say otherwise.
    pub(crate) defaults: Option<Placed<Defaults>>,
    /// The streams, by table pattern or name.
    #[schemars(extend("minProperties" = 1))]
    pub(crate) streams: Placed<Map<Stream>>,
    /// When the daemon runs it; without one, only on request.
    pub(crate) schedule: Option<Placed<Schedule>>,
    /// How often a run is tried again that ended in a way where that may help; default not at all.
    pub(crate) retry: Option<Placed<Retry>>,
    /// How long an attempt of a run may take, such as `2h`; `1s` to `7days`, default `7days`.
    pub(crate) timeout: Option<Placed<Words>>,
    /// Which of the runs that wait begins first; default `normal`.
    pub(crate) priority: Option<Placed<Priority>>,
}

/// What the document is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) enum Kind {
    Pipeline,
}

/// What holds for every stream that does not say otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// How sources are read.
    pub(crate) sync_mode: Option<Placed<SyncMode>>,
    /// How datasets are written.
    pub(crate) write_mode: Option<Placed<WriteMode>>,
    /// Most rows of a stream that may go to its quarantine in one run, 0 to 10,000,000.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(crate) max_quarantine_rows: Option<Placed<u64>>,
    /// How Parquet is written.
    pub(crate) parquet: Option<Placed<Parquet>>,
    /// Columns that incremental streams know their new rows by.
    pub(crate) cursor_field: Option<Placed<Many<Placed<String>>>>,
    /// How far behind the last cursor incremental streams read again.
    pub(crate) lookback: Option<Placed<Words>>,
    /// What may change about published schemas; each key is overridden by the stream's.
    pub(crate) schema_contract: Option<Placed<SchemaContract>>,
    /// What must hold of the rows of every stream that has no `quality` of its own.
    pub(crate) quality: Option<Placed<Vec<Placed<Check>>>>,
}
