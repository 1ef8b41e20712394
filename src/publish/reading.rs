//! Published rows, read back: to be merged with new ones, compacted, erased or verified.
//!
//! What was encrypted is decrypted with the dataset's keys; what a field-level action made (a token, a
//! hash) stays as it is. Such rows may go nowhere but into [`crate::protect::Sealed::again`].

mod file;
mod keys;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader as _, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;

pub use self::file::File;
pub use self::keys::Keys;
use super::table::LiveFile;
use super::{ObjectPath, Store, Table};
use crate::Batches;
use crate::error::{Error, Result};
use crate::keys::Keyring;
use crate::spec::DatasetName;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// Some columns of some files of one version, readable file by file.
#[derive(Clone, Debug)]
pub struct Reading {
    store: Store,
    dataset: DatasetName,
    keys: Arc<Keys>,
    /// The columns asked for, in that order, as the table has them.
    schema: SchemaRef,
    partition_by: Vec<String>,
}

impl Reading {
    /// Prepares to read the top-level `columns` of these live `files` of a table.
    ///
    /// # Errors
    /// `Failed` for a column that the table lacks; those of the keyring. A key that is gone is told by
    /// the file that needs it.
    pub async fn prepare(
        store: &Store,
        keyring: &Keyring,
        dataset: &DatasetName,
        table: &Table,
        columns: &[String],
        files: &[LiveFile],
    ) -> Result<Self> {
        let field = |name: &String| {
            let field = table.schema.field_with_name(name);
            let field = field.map_err(|_| Error::failed(format!("{dataset} has no column `{name}`")))?;
            // Folders hold NULL as well, whatever the table says.
            let is_folder = table.partition_by.contains(name);
            Ok(field.clone().with_nullable(field.is_nullable() || is_folder))
        };
        let fields: Vec<Field> = columns.iter().map(field).collect::<Result<_>>()?;
        let touched = columns.iter().filter(|name| !table.partition_by.contains(name)).cloned().collect();
        let keys = Keys::fetch(keyring, dataset, touched, files).await?;
        Ok(Self {
            store: store.clone(),
            dataset: dataset.clone(),
            keys: Arc::new(keys),
            schema: Arc::new(Schema::new(fields)),
            partition_by: table.partition_by.clone(),
        })
    }

    /// Schema of the rows: the columns asked for, in that order, as the table has them.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of a file, in file order: a column that the file lacks is NULL, and one of a narrower
    /// type is widened.
    ///
    /// # Errors
    /// `Denied` when a key is missing; `Failed` for a file that is damaged, altered or not the one that
    /// belongs there; else as the store answers. In mid-read they arrive as an item.
    pub async fn rows(&self, file: &LiveFile) -> Result<Batches> {
        let builder = self.open(file).await?;
        let columns: Vec<usize> = self
            .schema
            .fields()
            .iter()
            .filter_map(|field| builder.schema().index_of(field.name()).ok())
            .collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        let rows = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
        let rows = rows.map_err(|error| self.fault(&error, file))?;
        let (reading, file) = (self.clone(), file.clone());
        let shaped = move |batch: parquet::errors::Result<RecordBatch>| {
            reading.shape(&batch.map_err(|error| reading.fault(&error, &file))?, &file)
        };
        Ok(rows.map(shaped).boxed())
    }

    /// Leaf paths that are encrypted in a file, of all its columns.
    ///
    /// # Errors
    /// As [`Reading::rows`].
    pub async fn encrypted(&self, file: &LiveFile) -> Result<BTreeSet<String>> {
        let builder = self.open(file).await?;
        let chunks = builder.metadata().row_groups().iter().flat_map(|group| group.columns());
        let sealed = chunks.filter(|chunk| chunk.crypto_metadata().is_some());
        Ok(sealed.map(|chunk| chunk.column_path().string()).collect())
    }

    async fn open(&self, file: &LiveFile) -> Result<ParquetRecordBatchStreamBuilder<File>> {
        let location = ObjectPath::existing(&self.dataset, &file.path)?.location();
        let mut options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        if let Some(properties) = self.keys.decryption(&location)? {
            options = options.with_file_decryption_properties(properties);
        }
        let objects = Arc::clone(self.store.objects());
        let mut input = File::new(objects, Arc::clone(&self.keys), location, file.bytes);
        let opened = async {
            let metadata = input.get_metadata(Some(&options)).await?;
            ArrowReaderMetadata::try_new(metadata, options)
        };
        let metadata = opened.await.map_err(|error| self.fault(&error, file))?;
        Ok(ParquetRecordBatchStreamBuilder::new_with_metadata(input, metadata))
    }

    /// The batch as the table has its columns.
    fn shape(&self, batch: &RecordBatch, file: &LiveFile) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.schema.fields().iter().map(|field| {
            if self.partition_by.contains(field.name()) {
                return self.folder(field, file, rows);
            }
            match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
                Some(column) => self.exactly(column, field),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|_| self.unfit("its rows do not have the table's columns"))
    }

    fn exactly(&self, column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let name = field.name();
        cast_with_options(column, field.data_type(), &options)
            .map_err(|_| self.unfit(&format!("its column `{name}` does not fit the table's type")))
    }

    /// A column that is a folder's name.
    fn folder(&self, field: &Field, file: &LiveFile, rows: usize) -> Result<ArrayRef> {
        let value = file.partition.iter().find(|(name, _)| name == field.name());
        let Some(text) = value.and_then(|(_, value)| value.as_ref()) else {
            return Ok(new_null_array(field.data_type(), rows));
        };
        let one: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
        let one = if *field.data_type() == DataType::Utf8 { one } else { self.exactly(&one, field)? };
        let places = UInt32Array::from(vec![0; rows]);
        take(&one, &places, None).map_err(|_| self.unfit("its folder's value cannot be read"))
    }

    fn unfit(&self, why: &str) -> Error {
        Error::failed(format!("a data file of {} is not as its log says: {why}", self.dataset))
            .help("restore the file from a backup, or publish the dataset anew")
    }

    /// Our own error, if Parquet's carries one; its words may quote values.
    fn fault(&self, error: &ParquetError, file: &LiveFile) -> Error {
        if let ParquetError::External(inner) = error
            && let Some(own) = inner.downcast_ref::<Error>()
        {
            return own.clone();
        }
        Error::failed(format!("the file {} of {} is damaged, or was altered", file.path, self.dataset))
            .help("restore the file from a backup, or publish the dataset anew")
    }
}
