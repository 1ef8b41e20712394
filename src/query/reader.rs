//! Reads bytes of data files, and refuses a file that is not what the table says.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result as DfResult;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::unseal::Unsealing;
use crate::error::Error;
use crate::publish::fault;

/// Bytes read from the end of a file at first; a footer is seldom larger.
const FOOTER_BYTES: usize = 64 << 10;

/// Makes a reader for each file of a scan.
#[derive(Debug)]
pub(super) struct Readers {
    objects: Arc<dyn ObjectStore>,
    unsealing: Arc<Unsealing>,
}

impl Readers {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, unsealing: Arc<Unsealing>) -> Self {
        Self { objects, unsealing }
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> DfResult<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(Reader {
            objects: Arc::clone(&self.objects),
            unsealing: Arc::clone(&self.unsealing),
            size_bytes: file.object_meta.size,
            location: file.object_meta.location,
        }))
    }
}

struct Reader {
    objects: Arc<dyn ObjectStore>,
    unsealing: Arc<Unsealing>,
    location: Path,
    size_bytes: u64,
}

impl Reader {
    fn store_fault(&self, error: &object_store::Error) -> ParquetError {
        carry(fault::of(error, &format!("read {}", self.location)))
    }

    /// parquet's own words for a footer that does not fit repeat bytes of it.
    fn unreadable(&self) -> Error {
        let Self { location, unsealing, .. } = self;
        let dataset = unsealing.dataset();
        Error::failed(format!(
            "the file {location} is damaged, or is not the one that {dataset} published there"
        ))
        .help("restore the file from a backup, or publish the dataset anew")
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let bytes = self.objects.get_range(&self.location, range).await;
            bytes.map_err(|error| self.store_fault(&error))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let bytes = self.objects.get_ranges(&self.location, &ranges).await;
            bytes.map_err(|error| self.store_fault(&error))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let properties = options.and_then(|options| options.file_decryption_properties()).cloned();
            let size_bytes = self.size_bytes;
            let loaded = ParquetMetaDataReader::new()
                .with_metadata_options(options.map(|options| options.metadata_options().clone()))
                .with_decryption_properties(properties)
                .with_prefetch_hint(Some(FOOTER_BYTES))
                .load_and_finish(&mut *self, size_bytes)
                .await;
            let metadata = match loaded {
                Ok(metadata) => metadata,
                Err(ParquetError::External(own)) if own.is::<Error>() => {
                    return Err(ParquetError::External(own));
                }
                Err(_) => return Err(carry(self.unreadable())),
            };
            self.unsealing.check(&metadata).map_err(carry)?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

fn carry(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
