//! Versions of datasets: how each came to be, its evidence, and what its columns come from.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use chrono::DateTime;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::datasets::{Version, engine, home, look, no_such_dataset, no_such_version};
use super::params::{Limit, Params, cut, entries};
use super::shapes::ReceiptShape;
use super::{Answer, Api, unavailable};
use crate::error::Error;
use crate::govern::{Permission, Principal};
use crate::publish::receipt::{self, Receipt};
use crate::publish::{Account, Store, table};
use crate::run::plan::lineage;
use crate::serve::auth::require;
use crate::serve::problem::Problem;
use crate::spec::{DatasetName, PipelineName, StreamName};

/// How long a plan may take that tells what columns come from; below [`super::REQUEST_TIMEOUT`].
const PLAN_LIMIT: Duration = Duration::from_secs(25);

/// One version of a dataset.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionShown {
    /// The version.
    version: u64,
    /// When it was committed.
    #[schema(required, format = "date-time")]
    committed_at: Option<String>,
    /// The Delta operation: `WRITE`, `MERGE`, `OPTIMIZE` …
    #[schema(required)]
    operation: Option<String>,
    /// The run or the upkeep that made it; null where another writer did.
    #[schema(required)]
    run_id: Option<String>,
    /// `pipeline/stream`, where a run made it.
    #[schema(required)]
    stream: Option<String>,
    /// Rows that it added, where a run made it.
    #[schema(required)]
    rows: Option<u64>,
    /// Bytes that it added, where a run made it.
    #[schema(required)]
    bytes: Option<u64>,
    /// SHA-256 of its receipt.
    #[schema(required)]
    receipt: Option<String>,
}

/// Some versions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionPage {
    versions: Vec<VersionShown>,
    /// `after` of the next page; null at the end.
    #[schema(required)]
    next: Option<u64>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Most versions of the answer.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 50)]
    limit: Option<Limit>,
    /// What the page before gave as `next`: older versions come.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    after: Option<Version>,
}

/// List the versions of a dataset
///
/// The newest come first, as far back as the log is kept.
#[utoipa::path(
    get, path = "/datasets/{dataset}/versions", operation_id = "listVersions", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "The dataset.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}\\.[a-z0-9][a-z0-9_-]{0,62}$"),
        Listing,
    ),
    responses(
        (status = 200, description = "Some versions.", body = VersionPage),
        (status = 404, description = "`no-such-dataset`"),
        (status = 502, description = "`unreachable`: a store cannot be reached."),
    ),
)]
pub(super) async fn list_versions(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(dataset): Path<String>,
    Params(listing): Params<Listing>,
) -> Answer {
    require(&principal, Permission::DatasetRead, None)?;
    let engine = engine(&api)?;
    let _place = look(&api)?;
    let (dataset, store) = home(&engine, &dataset).await?;
    let limit = entries(listing.limit);
    let newest = table::versions(&store, &dataset).await?.last().copied();
    let from = match listing.after.map(Version::get) {
        Some(after) => newest.and_then(|newest| newest.min(after).checked_sub(u64::from(after <= newest))),
        None => newest,
    };
    let mut versions = Vec::new();
    if let Some(from) = from {
        let more = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut commits = table::commits(&store, &dataset, from.saturating_sub(more)..=from);
        while let Some((version, commit)) = commits.try_next().await? {
            versions.push(shown(version, &commit));
        }
    }
    let next = cut(&mut versions, limit, |shown| shown.version.to_string());
    let next = next.and_then(|next| next.parse().ok());
    Ok(Json(VersionPage { versions, next }).into_response())
}

fn shown(version: u64, commit: &[u8]) -> VersionShown {
    let info = receipt::actions_of(commit, "commitInfo").next().unwrap_or_default();
    let named = receipt::named(commit);
    let account = Account::of(version, commit).map(|account| account.publication);
    VersionShown {
        version,
        committed_at: info["timestamp"]
            .as_i64()
            .and_then(DateTime::from_timestamp_millis)
            .map(|at| at.to_rfc3339()),
        operation: info["operation"].as_str().map(str::to_owned),
        run_id: named.as_ref().and_then(|named| named.run_id.clone()),
        stream: account.as_ref().map(|publication| publication.stream.clone()),
        rows: account.as_ref().map(|publication| publication.outcome.rows),
        bytes: account.as_ref().map(|publication| publication.outcome.bytes),
        receipt: named.and_then(|named| named.sha256),
    }
}

/// Read the receipt of a version
///
/// The signed evidence, byte by byte as it lies beside the table.
#[utoipa::path(
    get, path = "/datasets/{dataset}/receipts/{version}", operation_id = "readReceipt", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "The dataset.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}\\.[a-z0-9][a-z0-9_-]{0,62}$"),
        ("version" = u64, Path, description = "The version.", minimum = 0, maximum = 9_007_199_254_740_991_u64),
    ),
    responses(
        (status = 200, description = "The receipt.", body = ReceiptShape),
        (status = 404, description = "`no-such-dataset`, `no-such-version`, `no-receipt`: another writer made the version."),
        (status = 502, description = "`unreachable`: a store cannot be reached."),
    ),
)]
pub(super) async fn read_receipt(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path((dataset, version)): Path<(String, String)>,
) -> Answer {
    require(&principal, Permission::DatasetRead, None)?;
    let version = version.parse().map_err(|_| no_such_version())?;
    let engine = engine(&api)?;
    let _place = look(&api)?;
    let (dataset, store) = home(&engine, &dataset).await?;
    let bytes = receipt_of(&store, &dataset, version).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

async fn receipt_of(store: &Store, dataset: &DatasetName, version: u64) -> Result<bytes::Bytes, Problem> {
    let none = || {
        Problem::new(axum::http::StatusCode::NOT_FOUND, "no-receipt", "the version has no receipt")
            .with("help", "another writer made it, or the receipt is gone: `sealift verify` tells")
    };
    let commit = table::commits(store, dataset, version..=version).try_next().await?;
    let (_, commit) = commit.ok_or_else(no_such_version)?;
    let commit_id = receipt::named(&commit).ok_or_else(none)?.commit_id;
    let place = receipt::Place { version, commit_id };
    receipt::read(store, dataset, &place).await?.ok_or_else(none)
}

/// Where a dataset comes from.
#[derive(Serialize, ToSchema)]
pub(super) struct Lineage {
    /// `namespace.name`
    dataset: String,
    /// The newest version that a run made.
    version: u64,
    /// That run.
    run_id: String,
    /// Its pipeline.
    pipeline: String,
    /// Its stream.
    stream: String,
    /// The connection that the rows were read through.
    connection: String,
    /// The source's name for the instant, where it has one.
    #[schema(required)]
    snapshot: Option<String>,
    /// The policy that decided.
    policy: String,
    /// SHA-256 of the pipeline document that was run.
    spec_digest: String,
    /// Whether that document is in force still; else the columns are those of the document that is.
    is_in_force: bool,
    /// What each column comes from; null where the pipeline is no more, its source cannot be asked, or the caller may
    /// not have it asked.
    #[schema(required)]
    columns: Option<Vec<ColumnLineage>>,
    /// Why `columns` is null.
    #[schema(required)]
    why: Option<String>,
}

/// What a column comes from.
#[derive(Serialize, ToSchema)]
pub(super) struct ColumnLineage {
    /// The column, or its leaf's dotted path.
    column: String,
    /// Columns of the source; null where that cannot be told, which counts as all of them.
    #[schema(required)]
    sources: Option<Vec<String>>,
    /// The expressions between it and those, the last one first.
    path: Vec<String>,
}

/// Tell where a dataset comes from
///
/// The run and the source of the newest version, as its receipt has them, and the columns of the source that each column
/// comes from, by a plan that is made now for who has the permission `pipeline.plan`: the source is connected to.
#[utoipa::path(
    get, path = "/datasets/{dataset}/lineage", operation_id = "showLineage", tag = "datasets",
    params(("dataset" = String, Path, description = "The dataset.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}\\.[a-z0-9][a-z0-9_-]{0,62}$")),
    responses(
        (status = 200, description = "Where it comes from.", body = Lineage),
        (status = 404, description = "`no-such-dataset`, `no-receipt`: no run made one of the 1000 newest versions that are kept."),
        (status = 502, description = "`unreachable`: a store cannot be reached."),
        (status = 503, description = "`plans`: as many plans are made as can be; `busy`; `timeout`"),
    ),
)]
pub(super) async fn show_lineage(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(dataset): Path<String>,
) -> Answer {
    require(&principal, Permission::DatasetRead, None)?;
    let engine = engine(&api)?;
    let (name, receipt) = {
        let _place = look(&api)?;
        let (name, store) = home(&engine, &dataset).await?;
        let receipt = newest(&store, &name).await?;
        (name, receipt)
    };
    let (pipeline, stream) = receipt.stream.split_once('/').unwrap_or((receipt.stream.as_str(), ""));
    let in_force = PipelineName::parse(pipeline).ok().and_then(|name| api.dispatcher.registry().get(&name));
    let columns = match (&in_force, StreamName::parse(stream)) {
        (Some(pipeline), _) if !principal.may(Permission::PipelinePlan, Some(&pipeline.name)) => {
            Err(Error::denied("the source is connected to for who has the permission pipeline.plan"))
        }
        (Some(pipeline), Ok(stream)) => {
            let _place =
                api.plans.try_acquire().map_err(|_| unavailable("plans", "other plans are being made"))?;
            tokio::time::timeout(PLAN_LIMIT, lineage(&engine, pipeline, &stream))
                .await
                .unwrap_or_else(|_| Err(Error::temporary("the source took too long")))
        }
        _ => Err(Error::invalid("the pipeline is not in force any more")),
    };
    let (columns, why) = match columns {
        Ok(columns) => (Some(columns), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let of = |column: crate::run::plan::told::Column| ColumnLineage {
        column: column.name,
        sources: column.lineage,
        path: column.path,
    };
    let lineage = Lineage {
        dataset: name.to_string(),
        version: receipt.version,
        run_id: receipt.run_id.clone(),
        pipeline: pipeline.to_owned(),
        stream: stream.to_owned(),
        connection: receipt.source.connection.clone(),
        snapshot: receipt.source.snapshot.clone(),
        policy: receipt.policy.name.clone(),
        is_in_force: in_force.is_some_and(|pipeline| pipeline.digest == receipt.spec_digest),
        spec_digest: receipt.spec_digest.clone(),
        columns: columns.map(|columns| columns.into_iter().map(of).collect()),
        why,
    };
    Ok(Json(lineage).into_response())
}

/// Versions in which the newest that a run made is looked for, where others write to the dataset too.
const MOST_LOOKED_BACK: u64 = 1_000;

/// The receipt of the newest version that a run made.
async fn newest(store: &Store, dataset: &DatasetName) -> Result<Receipt, Problem> {
    let versions = table::versions(store, dataset).await?;
    let newest = versions.last().copied().ok_or_else(no_such_dataset)?;
    let mut commits = table::commits(store, dataset, newest.saturating_sub(MOST_LOOKED_BACK)..=newest);
    while let Some((version, commit)) = commits.try_next().await? {
        if Account::of(version, &commit).is_some() {
            let bytes = receipt_of(store, dataset, version).await?;
            return Ok(Receipt::parse(&bytes)?.receipt);
        }
    }
    let detail = format!("no run made one of the {MOST_LOOKED_BACK} newest versions that are kept");
    Err(Problem::new(axum::http::StatusCode::NOT_FOUND, "no-receipt", detail))
}
