//! SQL over published datasets.
//!
//! A [`Session`] sees every dataset of the stores as `namespace.name`, and nothing else: no files, no
//! network, no statement that changes anything. Encrypted columns are opened with the keys of the
//! keyring, fetched per query and only for the columns it touches; a query of open columns alone
//! needs none. Nothing is spilled to disk. Pseudonyms are turned back into values only in a session that was opened
//! with a [`Reveal`], and as far as the policy allows.

mod catalog;
mod dataset;
mod fault;
mod partition;
mod reveal;
mod unseal;

pub use self::reveal::Reveal;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use object_store::ObjectStore;

use crate::Batches;
use crate::error::{At, Error, Result};
use crate::keys::Keyring;
use crate::publish::{Store, Table};
use crate::spec::DatasetName;

/// The one catalog's name; no query needs to write it.
const CATALOG: &str = "sealift";

/// A read-only view of published datasets. Everything it holds in memory for a query is bounded by
/// the limit it was opened with, beyond the row groups being read.
pub struct Session {
    context: SessionContext,
    datasets: Vec<DatasetName>,
    keyring: Arc<Keyring>,
    reveal: Option<Reveal>,
}

impl Session {
    /// Lists the stores' datasets. Each query reads their newest versions, or those of number
    /// `as_of`. Without `reveal`, no pseudonym is turned back into a value, and nobody is told that it was asked for.
    ///
    /// # Errors
    /// As [`Table::list`]; `Invalid` when two stores hold a dataset of the same name.
    pub async fn open(
        stores: Vec<Store>,
        keyring: Arc<Keyring>,
        memory_limit_bytes: u64,
        as_of: Option<u64>,
        reveal: Option<Reveal>,
    ) -> Result<Self> {
        let mut places: BTreeMap<DatasetName, catalog::Place> = BTreeMap::new();
        let mut objects = Vec::new();
        for (index, store) in stores.into_iter().enumerate() {
            let url = store_url(index)?;
            objects.push((url.clone(), Arc::clone(store.objects())));
            for dataset in Table::list(&store).await.at(|| format!("store {}", store.url()))? {
                let place = catalog::Place { store: store.clone(), url: url.clone() };
                if let Some(other) = places.insert(dataset.clone(), place) {
                    return Err(Error::invalid(format!(
                        "dataset {dataset} lies in two stores, {} and {}",
                        other.store.url(),
                        store.url()
                    ))
                    .help("query a configuration that names one of them"));
                }
            }
        }
        let datasets = places.keys().cloned().collect();
        let context = context(objects, memory_limit_bytes)?;
        reveal::functions().for_each(|function| context.register_udf(function));
        let access = catalog::Access { keyring: Arc::clone(&keyring), as_of };
        context.register_catalog(CATALOG, Arc::new(catalog::Catalog::new(places, &access)));
        Ok(Self { context, datasets, keyring, reveal })
    }

    /// The datasets it sees, sorted.
    #[must_use]
    pub fn datasets(&self) -> &[DatasetName] {
        &self.datasets
    }

    /// Runs one query.
    ///
    /// # Errors
    /// `Invalid` when the text is not one query over what is there (with the nearest name);
    /// `Denied` when a key is missing for a column it touches, or a value may not be revealed; `Data` when a value does not fit an
    /// expression; `Failed` when a file was altered or the memory limit is reached; else as the
    /// store answers. Those of running it may arrive as an item of the rows.
    pub async fn sql(&self, sql: &str) -> Result<(SchemaRef, Batches)> {
        let planning = |error: DataFusionError| fault::planning(&error, sql, &self.datasets);
        let state = self.context.state();
        let plan = state.create_logical_plan(sql).await.map_err(planning)?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|_| Error::invalid("only queries are allowed here").help("write one SELECT"))?;
        let bound = reveal::bind(plan, self.reveal.as_ref(), sql, &self.keyring).await;
        let (plan, tally) = bound.map_err(planning)?;
        let plan = state.create_physical_plan(&plan).await.map_err(planning)?;
        let rows = execute_stream(plan, self.context.task_ctx()).map_err(|e| fault::execution(&e))?;
        let schema = rows.schema();
        let rows = rows.map(|batch| batch.map_err(|e| fault::execution(&e))).boxed();
        Ok((
            schema,
            match tally {
                Some(tally) => tally.watch(rows),
                None => rows,
            },
        ))
    }
}

fn context(
    objects: Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)>,
    memory_limit_bytes: u64,
) -> Result<SessionContext> {
    let limit_bytes = usize::try_from(memory_limit_bytes).unwrap_or(usize::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limit_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_object_store_registry(Arc::new(OnlyStores(objects)))
        .build_arc()
        .map_err(|_| Error::failed("the SQL engine could not be started"))?;
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, "public")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let parquet = &mut config.options_mut().execution.parquet;
    parquet.pushdown_filters = true;
    parquet.reorder_filters = true;
    // Sealed files have neither page statistics nor bloom filters.
    parquet.enable_page_index = false;
    parquet.bloom_filter_on_read = false;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

fn store_url(index: usize) -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(format!("sealift://store-{index}"))
        .map_err(|_| Error::failed("the SQL engine could not be started"))
}

/// The given stores, and no way to any other: the usual registry would open the local file system.
#[derive(Debug)]
struct OnlyStores(Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)>);

impl ObjectStoreRegistry for OnlyStores {
    fn register_store(&self, _: &url::Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &url::Url) -> datafusion::common::Result<Arc<dyn ObjectStore>> {
        let is_it = |known: &ObjectStoreUrl| {
            let known: &url::Url = known.as_ref();
            known.scheme() == url.scheme() && known.host_str() == url.host_str()
        };
        let found = self.0.iter().find(|(known, _)| is_it(known));
        let found = found.map(|(_, objects)| Arc::clone(objects));
        found.ok_or_else(|| fault::carry(Error::denied("a query reads published datasets and nothing else")))
    }
}
