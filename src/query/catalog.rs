//! Datasets as DataFusion's catalog: a schema per namespace, a table per dataset, loaded when a query
//! names it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;

use super::dataset::Dataset;
use super::fault;
use crate::error::At;
use crate::keys::Keyring;
use crate::publish::{Store, Table};
use crate::spec::DatasetName;

/// Where a dataset lies.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: Store,
    /// The store's name inside the session.
    pub(super) url: ObjectStoreUrl,
}

/// How datasets are read.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) keyring: Arc<Keyring>,
    pub(super) as_of: Option<u64>,
}

/// The one catalog.
pub(super) struct Catalog(BTreeMap<String, Arc<Namespace>>);

/// The datasets of one namespace.
struct Namespace {
    places: BTreeMap<String, (DatasetName, Place)>,
    access: Access,
}

impl Catalog {
    pub(super) fn new(places: BTreeMap<DatasetName, Place>, access: &Access) -> Self {
        let mut namespaces: BTreeMap<String, BTreeMap<String, (DatasetName, Place)>> = BTreeMap::new();
        for (dataset, place) in places {
            let names = namespaces.entry(dataset.namespace().to_owned()).or_default();
            names.insert(dataset.name().to_owned(), (dataset, place));
        }
        let with_access = |places| Arc::new(Namespace { places, access: access.clone() });
        Self(namespaces.into_iter().map(|(name, places)| (name, with_access(places))).collect())
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let namespace: Arc<dyn SchemaProvider> = self.0.get(name)?.clone();
        Some(namespace)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.places.keys()).finish()
    }
}

#[async_trait]
impl SchemaProvider for Namespace {
    fn table_names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some((dataset, place)) = self.places.get(name) else {
            return Ok(None);
        };
        let loaded = Table::load(&place.store, dataset, self.access.as_of).await;
        let Some(table) = loaded.at(|| format!("dataset {dataset}")).map_err(fault::carry)? else {
            return Ok(None);
        };
        let keyring = Arc::clone(&self.access.keyring);
        let dataset = Dataset::new(dataset.clone(), place.url.clone(), place.store.clone(), table, keyring);
        Ok(Some(Arc::new(dataset)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }
}
