//! How the files of one write look: decided once, before the first row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::flat::{self, Sealing};
use super::statistics::Leaf;
use crate::error::{Error, Result};
use crate::keys::{DataKey, DatasetKey};
use crate::protect::Sealed;
use crate::publish::path;
use crate::spec::DatasetName;
use crate::spec::pipeline::{Compression, Parquet};

/// A row group is closed at this encoded size, whatever its rows.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Statistics of texts are cut to this; the writer rounds a cut maximum up.
const STATISTICS_BYTES: usize = 64;

/// Parts of a multipart upload: at least this large, and few enough for the 10,000 that S3 takes.
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_MOST: u64 = 9_000;

/// The common traits of every file of a write. Holds dataset keys: no `Debug`.
pub(super) struct Layout {
    pub(super) dataset: DatasetName,
    /// Indices of the partition columns in the batches, in `partition_by` order.
    pub(super) partition: Vec<usize>,
    /// Names of the partition columns.
    pub(super) partition_by: Vec<String>,
    /// Indices of the columns that go into the files.
    pub(super) columns: Vec<usize>,
    /// Schema of the files.
    pub(super) schema: SchemaRef,
    /// How our own encoder writes the files; none where a column is nested, which the library writes.
    pub(super) flat: Option<Arc<flat::Plan>>,
    /// Open leaves that have statistics.
    pub(super) leaves: Vec<Leaf>,
    /// A file is closed when it has grown to this.
    pub(super) file_size_bytes: u64,
    /// Size of a part of an upload.
    pub(super) part_bytes: usize,
    /// Most rows of one slice handed to the Parquet writer; sizes are looked at in between.
    pub(super) slice_rows: usize,
    /// Leaves to encrypt, each with its dataset key.
    encrypted: Vec<(String, DatasetKey)>,
    footer: DatasetKey,
    /// Paths in the file of the leaves whose values may be seen in statistics.
    open: Vec<ColumnPath>,
    row_group_rows: usize,
    compression: basic::Compression,
}

impl Layout {
    /// Decides.
    ///
    /// # Errors
    /// `Invalid` for a partition column that is not there or of a type that cannot partition;
    /// `Failed` where the sealed rows contradict themselves.
    pub(super) fn new(sealed: &Sealed, settings: &Parquet, partition_by: &[String]) -> Result<Self> {
        let schema = sealed.schema();
        let partition = partition_by
            .iter()
            .map(|name| partition_index(schema, name, sealed.open()))
            .collect::<Result<Vec<_>>>()?;
        let columns: Vec<_> = (0..schema.fields().len()).filter(|index| !partition.contains(index)).collect();
        if columns.is_empty() {
            return Err(Error::invalid(
                "every column is a partition column: no column is left for the files",
            )
            .help("remove one from partition_by"));
        }
        let file_schema = schema
            .project(&columns)
            .map_err(|_| Error::failed("the schema of the sealed rows contradicts itself"))?;
        let written = leaf_paths(&file_schema)?;
        check_leaves(&written, sealed.encrypted())?;
        let open = written.into_iter().filter(|path| sealed.open().contains(&path.string())).collect();
        let row_group_rows = settings.row_group_rows.max(1);
        let flat = flat::Plan::of(
            &file_schema,
            flat::Settings {
                open: &|name| sealed.open().contains(name),
                codec: page_codec(settings.compression),
                row_group_rows,
                row_group_bytes: ROW_GROUP_BYTES,
                file_size_bytes: settings.file_size_bytes,
            },
        );
        Ok(Self {
            flat: flat.map(Arc::new),
            dataset: sealed.dataset().clone(),
            partition,
            partition_by: partition_by.to_vec(),
            columns,
            leaves: Leaf::of(&file_schema, sealed.open()),
            schema: Arc::new(Schema::new(file_schema.fields().clone())),
            file_size_bytes: settings.file_size_bytes,
            part_bytes: PART_BYTES
                .max(usize::try_from(settings.file_size_bytes / PARTS_AT_MOST).unwrap_or(PART_BYTES)),
            slice_rows: 8_192.min(settings.row_group_rows.max(1)),
            encrypted: sealed.encrypted().to_vec(),
            footer: sealed.footer().clone(),
            open,
            row_group_rows,
            compression: codec(settings.compression)?,
        })
    }

    /// Options for the file at `relative`, with fresh data keys. Holds raw keys that its `Debug`
    /// would print: hand it to the writer and nothing else.
    ///
    /// # Errors
    /// `Failed` when the system gives no randomness.
    pub(super) fn options(&self, relative: &str) -> Result<ArrowWriterOptions> {
        let mut properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_created_by(super::created_by())
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_statistics_truncate_length(Some(STATISTICS_BYTES))
            .set_column_index_truncate_length(Some(STATISTICS_BYTES))
            // Closed by default: a leaf has statistics only where it is named open. They are of row
            // groups only: page statistics cost encode time and little is gained on a lake. Bloom
            // filters stay off for every column (the writer leaves them unencrypted).
            .set_statistics_enabled(EnabledStatistics::None);
        for leaf in &self.open {
            properties = properties.set_column_statistics_enabled(leaf.clone(), EnabledStatistics::Chunk);
        }
        if let Some(encryption) = self.encryption(relative)? {
            properties = properties.with_file_encryption_properties(encryption);
        }
        // The embedded Arrow schema would carry field metadata of sources, and readers do not need it.
        Ok(ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true))
    }

    /// The same for our own encoder: keys of the file at `relative`, a fresh one for every encrypted
    /// leaf and for the footer's signature. None where [`Self::encryption`] has none.
    ///
    /// # Errors
    /// `Failed` when the system gives no randomness.
    pub(super) fn sealing(&self, relative: &str) -> Result<Option<Sealing>> {
        if self.encrypted.is_empty() {
            return Ok(None);
        }
        let broken =
            |flat::Fault(why)| Error::failed(format!("the encryption of a file cannot be set up: {why}"));
        let prefix = path::aad_prefix(&self.dataset, relative);
        let footer = DataKey::generate(&self.footer, true)?;
        let mut sealing = Sealing::new(&prefix, footer.secret.expose(), footer.metadata).map_err(broken)?;
        for (leaf, key) in &self.encrypted {
            let key = DataKey::generate(key, false)?;
            sealing.column(leaf, key.secret.expose(), key.metadata).map_err(broken)?;
        }
        Ok(Some(sealing))
    }

    /// A fresh key for every encrypted leaf and for the footer's signature.
    ///
    /// Nothing is encrypted, and so nothing is signed, where no leaf is to be encrypted: without any
    /// column key Parquet encrypts every column with the footer key, and a table that the policy
    /// opens would be closed to all.
    fn encryption(&self, relative: &str) -> Result<Option<Arc<FileEncryptionProperties>>> {
        if self.encrypted.is_empty() {
            return Ok(None);
        }
        let footer = DataKey::generate(&self.footer, true)?;
        let mut properties = FileEncryptionProperties::builder(footer.secret.expose().to_vec())
            .with_plaintext_footer(true)
            .with_footer_key_metadata(footer.metadata)
            .with_aad_prefix(path::aad_prefix(&self.dataset, relative))
            .with_aad_prefix_storage(true);
        for (leaf, key) in &self.encrypted {
            let key = DataKey::generate(key, false)?;
            properties =
                properties.with_column_key_and_metadata(leaf, key.secret.expose().to_vec(), key.metadata);
        }
        let properties =
            properties.build().map_err(|_| Error::failed("the encryption of a file cannot be set up"))?;
        Ok(Some(properties))
    }
}

/// The codec of our own encoder; [`codec`] has checked the level.
const fn page_codec(compression: Compression) -> flat::Codec {
    match compression {
        Compression::Zstd(level) => flat::Codec::Zstd(level),
        Compression::Snappy => flat::Codec::Snappy,
        Compression::Lz4 => flat::Codec::Lz4,
        Compression::Uncompressed => flat::Codec::Uncompressed,
    }
}

/// The index of a partition column, which must be open and of a type with a plain text form.
fn partition_index(schema: &Schema, name: &str, open: &BTreeSet<String>) -> Result<usize> {
    let Ok(index) = schema.index_of(name) else {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::invalid(format!("partition column `{name}` is not among the published columns"))
            .help(format!("partition by one of: {}", names.join(", "))));
    };
    if !open.contains(name) {
        return Err(Error::held(format!(
            "partition column `{name}` is protected: its values would be folder names"
        ))
        .help("partition by a column whose action is allow"));
    }
    let data_type = schema.field(index).data_type();
    let value = match data_type {
        DataType::Dictionary(_, value) => value.as_ref(),
        other => other,
    };
    match value {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Date32 => Ok(index),
        other => Err(Error::invalid(format!("partition column `{name}` is of type {other}"))
            .help("partition by a boolean, an integer, a text or a date")),
    }
}

/// The leaves as they are called in the files.
fn leaf_paths(schema: &Schema) -> Result<Vec<ColumnPath>> {
    let parquet = ArrowSchemaConverter::new()
        .convert(schema)
        .map_err(|_| Error::invalid("the columns cannot be written as Parquet"))?;
    Ok(parquet.columns().iter().map(|column| column.path().clone()).collect())
}

/// Every leaf to encrypt must be in the file under exactly this path, or it would be in the clear.
fn check_leaves(written: &[ColumnPath], encrypted: &[(String, DatasetKey)]) -> Result<()> {
    let written: BTreeSet<_> = written.iter().map(ColumnPath::string).collect();
    match encrypted.iter().find(|(leaf, _)| !written.contains(leaf)) {
        Some((leaf, _)) => Err(Error::failed(format!(
            "leaf column `{leaf}` is to be encrypted and is not in the files under that path"
        ))),
        None => Ok(()),
    }
}

fn codec(compression: Compression) -> Result<basic::Compression> {
    Ok(match compression {
        Compression::Zstd(level) => {
            let level = basic::ZstdLevel::try_new(level)
                .map_err(|_| Error::invalid("the zstd level is not 1 to 22").help("write a level 1 to 22"))?;
            basic::Compression::ZSTD(level)
        }
        Compression::Snappy => basic::Compression::SNAPPY,
        Compression::Lz4 => basic::Compression::LZ4_RAW,
        Compression::Uncompressed => basic::Compression::UNCOMPRESSED,
    })
}
