//! Reads bytes of one data file, and refuses a file that is not what the table says.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::Keys;
use crate::error::Error;
use crate::publish::fault;

/// Bytes read from the end of a file at first; a footer is seldom larger.
const FOOTER_BYTES: usize = 64 << 10;

/// One data file of a dataset, for the Parquet reader. Its errors carry our own [`Error`].
pub struct File {
    objects: Arc<dyn ObjectStore>,
    keys: Arc<Keys>,
    location: Path,
    size_bytes: u64,
}

impl File {
    /// A file of this size at this place.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, keys: Arc<Keys>, location: Path, size_bytes: u64) -> Self {
        Self { objects, keys, location, size_bytes }
    }

    fn store_fault(&self, error: &object_store::Error) -> ParquetError {
        if let object_store::Error::NotFound { .. } = error {
            return carry(self.gone());
        }
        carry(fault::of(error, &format!("read {}", self.location)))
    }

    fn gone(&self) -> Error {
        let Self { location, keys, .. } = self;
        Error::failed(format!("the file {location} of {} is gone", keys.dataset())).help(
            "older versions lose their files when the dataset is vacuumed: read the newest one, or restore the file \
             from a backup",
        )
    }

    /// parquet's own words for a footer that does not fit repeat bytes of it.
    fn unreadable(&self) -> Error {
        let Self { location, keys, .. } = self;
        let dataset = keys.dataset();
        Error::failed(format!(
            "the file {location} is damaged, or is not the one that {dataset} published there"
        ))
        .help("restore the file from a backup, or publish the dataset anew")
    }
}

impl AsyncFileReader for File {
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
            self.keys.check(&metadata).map_err(carry)?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

fn carry(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
