//! Datasets: what is published, column by column, and where it comes from. Never their rows.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::params::{Limit, Params, Within, cut, entries};
use super::{Answer, Api, unavailable};
use crate::error::{At as _, Error};
use crate::govern::{Permission, Principal};
use crate::publish::{Decided, Store, Table, recorded, type_name};
use crate::run::Engine;
use crate::serve::auth::require;
use crate::serve::problem::Problem;
use crate::spec::DatasetName;

/// Most requests to stores and sources that datasets are looked up by at the same time.
pub(super) const LOOKS_AT_ONCE: usize = 16;

/// A dataset in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct DatasetEntry {
    /// `namespace.name`
    dataset: String,
    /// The store's URL.
    store: String,
}

/// Some datasets, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct DatasetPage {
    datasets: Vec<DatasetEntry>,
    /// `after` of the next page; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// A dataset at one version.
#[derive(Serialize, ToSchema)]
pub(super) struct DatasetShown {
    #[serde(flatten)]
    entry: DatasetEntry,
    /// The version.
    version: u64,
    /// Its rows, where the log tells.
    #[schema(required)]
    rows: Option<u64>,
    /// Its data files.
    files: usize,
    /// Their bytes.
    bytes: u64,
    /// Columns that became folders.
    partition_by: Vec<String>,
    /// Its columns, in their order.
    columns: Vec<ColumnShown>,
}

/// A column of a dataset.
#[derive(Serialize, ToSchema)]
pub(super) struct ColumnShown {
    /// Its name.
    column: String,
    /// The Delta type.
    r#type: String,
    nullable: bool,
    /// What happened to its values; null for a nested column, whose leaves tell.
    #[serde(flatten)]
    protection: Protection,
    /// What happened to each leaf of a nested column.
    leaves: Vec<LeafShown>,
}

/// What happened to values.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Protection {
    /// Their class of data.
    #[schema(required)]
    tag: Option<String>,
    /// The action's word.
    #[schema(required)]
    action: Option<String>,
    /// Id of the key it used.
    #[schema(required)]
    key: Option<String>,
}

/// A leaf of a nested column.
#[derive(Serialize, ToSchema)]
pub(super) struct LeafShown {
    /// Its dotted path.
    path: String,
    #[serde(flatten)]
    protection: Protection,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Most datasets of the answer.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 50)]
    limit: Option<Limit>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}\\.[a-z0-9][a-z0-9_-]{0,62}$")]
    after: Option<String>,
}

/// List datasets
///
/// Those of every store of the configuration, by name.
#[utoipa::path(
    get, path = "/datasets", operation_id = "listDatasets", tag = "datasets",
    params(Listing),
    responses(
        (status = 200, description = "Some datasets.", body = DatasetPage),
        (status = 502, description = "`unreachable`: a store cannot be reached."),
    ),
)]
pub(super) async fn list_datasets(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Params(listing): Params<Listing>,
) -> Answer {
    require(&principal, Permission::DatasetRead, None)?;
    let after = listing.after.as_deref().map(DatasetName::parse).transpose();
    let after =
        after.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad-request", error.message()))?;
    let engine = engine(&api)?;
    let _place = look(&api)?;
    let mut found = Vec::new();
    for store in engine.stores()? {
        let names = Table::list(&store).await.at(|| format!("store {}", store.url()))?;
        found.extend(names.into_iter().map(|name| (name, store.url().to_string())));
    }
    found.sort();
    found.dedup_by(|later, earlier| later.0 == earlier.0);
    let limit = entries(listing.limit);
    let rest = found.into_iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
    let entry = |(name, store): (DatasetName, String)| DatasetEntry { dataset: name.to_string(), store };
    let mut datasets: Vec<DatasetEntry> = rest.take(limit + 1).map(entry).collect();
    let next = cut(&mut datasets, limit, |entry| entry.dataset.clone());
    Ok(Json(DatasetPage { datasets, next }).into_response())
}

/// A version in a query string: what a Delta log can count to.
pub(super) type Version = Within<0, 9_007_199_254_740_991>;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AsOf {
    /// The version; the newest without it.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    version: Option<Version>,
}

/// Show a dataset
///
/// Its columns with their types, their classes of data, and what happened to each.
#[utoipa::path(
    get, path = "/datasets/{dataset}", operation_id = "showDataset", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "The dataset.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}\\.[a-z0-9][a-z0-9_-]{0,62}$"),
        AsOf,
    ),
    responses(
        (status = 200, description = "The dataset.", body = DatasetShown),
        (status = 404, description = "`no-such-dataset`, `no-such-version`: it may never have been, or is cleaned up."),
        (status = 502, description = "`unreachable`: a store cannot be reached."),
    ),
)]
pub(super) async fn show_dataset(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(dataset): Path<String>,
    Params(as_of): Params<AsOf>,
) -> Answer {
    require(&principal, Permission::DatasetRead, None)?;
    let engine = engine(&api)?;
    let _place = look(&api)?;
    let (dataset, store) = home(&engine, &dataset).await?;
    let version = as_of.version.map(Version::get);
    if let Some(version) = version
        && !crate::publish::table::versions(&store, &dataset).await?.contains(&version)
    {
        return Err(no_such_version());
    }
    let table = Table::load(&store, &dataset, version).await?.ok_or_else(no_such_dataset)?;
    let decided = recorded::decided(&store, &dataset, table.version).await?;
    let columns = table.schema.fields().iter();
    let columns = columns.map(|field| ColumnShown {
        column: field.name().clone(),
        r#type: type_name(field.data_type()),
        nullable: field.is_nullable(),
        protection: decided
            .iter()
            .find(|one| one.column == *field.name())
            .map(protection)
            .unwrap_or_default(),
        leaves: leaves(field.name(), &decided),
    });
    let shown = DatasetShown {
        version: table.version,
        rows: table.files.iter().map(|file| file.rows).sum(),
        files: table.files.len(),
        bytes: table.files.iter().map(|file| file.bytes).sum(),
        columns: columns.collect(),
        partition_by: table.partition_by.clone(),
        entry: DatasetEntry { dataset: dataset.to_string(), store: store.url().to_string() },
    };
    Ok(Json(shown).into_response())
}

fn leaves(column: &str, decided: &[Decided]) -> Vec<LeafShown> {
    let is_below = |one: &&Decided| one.column.strip_prefix(column).is_some_and(|rest| rest.starts_with('.'));
    let leaf = |one: &Decided| LeafShown { path: one.column.clone(), protection: protection(one) };
    decided.iter().filter(is_below).map(leaf).collect()
}

fn protection(decided: &Decided) -> Protection {
    let Decided { tag, action, key, .. } = decided.clone();
    Protection { tag, action: Some(action), key }
}

/// The store that holds the dataset.
pub(super) async fn home(engine: &Engine, dataset: &str) -> Result<(DatasetName, Store), Problem> {
    let dataset = DatasetName::parse(dataset).map_err(|_| no_such_dataset())?;
    let found: Vec<Store> = futures::stream::iter(engine.stores()?)
        .map(|store| {
            let dataset = &dataset;
            async move { Ok::<_, Error>(Table::exists(&store, dataset).await?.then_some(store)) }
        })
        .buffered(LOOKS_AT_ONCE)
        .try_filter_map(|store| std::future::ready(Ok(store)))
        .take(1)
        .try_collect()
        .await?;
    let store = found.into_iter().next().ok_or_else(no_such_dataset)?;
    Ok((dataset, store))
}

/// What datasets are looked up with.
pub(super) fn engine(api: &Api) -> Result<Arc<Engine>, Problem> {
    let documents = api.documents.as_ref();
    documents
        .map(|documents| documents.engine())
        .ok_or_else(|| unavailable("documents", "this daemon keeps no documents"))
}

/// A place among those that look at stores.
pub(super) fn look(api: &Api) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
    api.looks.try_acquire().map_err(|_| unavailable("busy", "too many datasets are being looked at"))
}

pub(super) fn no_such_dataset() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-dataset", "there is no dataset of this name")
        .with("help", "`GET /v1/datasets` lists them")
}

pub(super) fn no_such_version() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-version",
        "the dataset has no such version, or its files are cleaned up",
    )
    .with("help", "`GET /v1/datasets/{dataset}/versions` lists them")
}
