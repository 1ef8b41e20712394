//! One version of a dataset as a DataFusion table: the Delta file list, read by DataFusion's own
//! Parquet source.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result as DfResult, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;

use super::reveal::Origin;
use super::unseal::{Readers, Unsealing};
use super::{fault, partition};
use crate::error::Result;
use crate::keys::Keyring;
use crate::publish::reading::Keys;
use crate::publish::table::LiveFile;
use crate::publish::{ObjectPath, Store, Table};
use crate::spec::DatasetName;

/// A dataset that a query can scan.
pub(super) struct Dataset {
    name: DatasetName,
    url: ObjectStoreUrl,
    store: Store,
    table: Table,
    keyring: Arc<Keyring>,
}

impl Dataset {
    pub(super) fn new(
        name: DatasetName,
        url: ObjectStoreUrl,
        store: Store,
        table: Table,
        keyring: Arc<Keyring>,
    ) -> Self {
        Self { name, url, store, table, keyring }
    }

    /// A column of the version, and where the dataset lies.
    pub(super) fn column(&self, name: &str) -> Option<(Origin, Store)> {
        self.table.schema.field_with_name(name).ok()?;
        let origin =
            Origin { dataset: self.name.clone(), column: name.to_owned(), version: self.table.version };
        Some((origin, self.store.clone()))
    }

    /// The table's columns as the scan wants them: those in the files, then those of the folders.
    fn scan_schema(&self) -> Result<TableSchema> {
        let is_partition = |field: &FieldRef| self.table.partition_by.contains(field.name());
        let in_files: Vec<FieldRef> =
            self.table.schema.fields().iter().filter(|field| !is_partition(field)).cloned().collect();
        let partitions = partition::fields(&self.name, &self.table)?;
        let in_files = TableSchema::builder(Arc::new(Schema::new(in_files)));
        Ok(in_files.with_table_partition_cols(partitions).build())
    }

    /// Names of the file columns that a scan touches.
    fn touched(&self, projection: &[usize], filters: &[Expr]) -> BTreeSet<String> {
        let fields = self.table.schema.fields();
        let mut names: BTreeSet<String> = projection
            .iter()
            .filter_map(|index| fields.get(*index))
            .map(|field| field.name().clone())
            .collect();
        for filter in filters {
            names.extend(filter.column_refs().into_iter().map(|column| column.name.clone()));
        }
        names.retain(|name| !self.table.partition_by.contains(name));
        names
    }

    /// A live file with the values of its folders, as DataFusion lists it.
    fn listed(&self, file: &LiveFile) -> Result<PartitionedFile> {
        let meta = ObjectMeta {
            location: ObjectPath::existing(&self.name, &file.path)?.location(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        let values = partition::values(&self.name, &self.table, file)?;
        Ok(PartitionedFile::new_from_meta(meta).with_partition_values(values))
    }

    /// Row counts of the log, where it has them of every file.
    fn statistics_of(&self, files: &[LiveFile], schema: &SchemaRef) -> Statistics {
        let mut statistics = Statistics::new_unknown(schema);
        let rows: Option<u64> = files.iter().map(|file| file.rows).sum();
        if let Some(rows) = rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Exact(rows);
        }
        statistics
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.table.version)
    }
}

#[async_trait]
impl TableProvider for Dataset {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Every filter helps to skip files, row groups or rows; DataFusion keeps those that the scan
    /// does not take over whole.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let every = || (0..self.table.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(every);
        let files = partition::prune(&self.name, &self.table, state, filters)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.table.schema.project(&projection)?))));
        }
        let schema = self.scan_schema().map_err(fault::carry)?;
        let touched = self.touched(&projection, filters);
        let keys = Keys::fetch(&self.keyring, &self.name, touched, &files).await;
        let keys = Arc::new(keys.map_err(fault::carry)?);

        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let readers = Readers { objects: Arc::clone(self.store.objects()), keys: Arc::clone(&keys) };
        let source = ParquetSource::new(schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers))
            .with_encryption_factory(Arc::new(Unsealing(keys)));

        // The scan's column order differs from the table's where folders hold columns.
        let columns = schema.table_schema();
        let wanted = projection.iter().map(|index| columns.index_of(self.table.schema.field(*index).name()));
        let wanted: Vec<usize> = wanted.collect::<Result<_, _>>()?;
        let listed: Result<Vec<_>> = files.iter().map(|file| self.listed(file)).collect();
        let groups = FileGroup::new(listed.map_err(fault::carry)?);
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups.split_files(state.config().target_partitions()))
            .with_statistics(self.statistics_of(&files, columns))
            .with_projection_indices(Some(wanted))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// A field of the same name and type that may be NULL.
pub(super) fn nullable(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_nullable(true))
}
