//! The keys of one scan, as DataFusion asks for them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::Result as DfResult;
use datafusion::config::EncryptionFactoryOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;

use super::fault;
use crate::error::Error;
use crate::publish::reading::{File, Keys};

/// Keys by file, for one scan.
#[derive(Debug)]
pub(super) struct Unsealing(pub(super) Arc<Keys>);

#[async_trait]
impl EncryptionFactory for Unsealing {
    async fn get_file_encryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        _: &SchemaRef,
        _: &Path,
    ) -> DfResult<Option<Arc<FileEncryptionProperties>>> {
        Err(fault::carry(Error::failed("a query writes nothing")))
    }

    async fn get_file_decryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        location: &Path,
    ) -> DfResult<Option<Arc<FileDecryptionProperties>>> {
        self.0.decryption(location).map_err(fault::carry)
    }
}

/// Makes a reader for each file of a scan.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) keys: Arc<Keys>,
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> DfResult<Box<dyn AsyncFileReader + Send>> {
        let (objects, keys) = (Arc::clone(&self.objects), Arc::clone(&self.keys));
        Ok(Box::new(File::new(objects, keys, file.object_meta.location, file.object_meta.size)))
    }
}
