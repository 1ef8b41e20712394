//! How Parquet is written.

use super::quantity::size_within;
use super::within;
use crate::spec::faults::{Fault, Faults};
use crate::spec::pipeline::{Compression, Parquet};
use crate::spec::raw::placed::Placed;
use crate::spec::raw::stream as raw;
use crate::spec::sync::WriteMode;

/// A stream's settings over the pipeline's (which are checked where they stand) over the built-in ones of
/// its write mode.
pub(crate) fn parquet(
    own: Option<&Placed<raw::Parquet>>,
    defaults: Option<&raw::Parquet>,
    write_mode: Option<&WriteMode>,
    faults: &Faults<'_>,
) -> Option<Parquet> {
    let built_in = match write_mode {
        Some(WriteMode::Merge(_) | WriteMode::Scd2(_)) => Parquet::of_merges(),
        _ => Parquet::default(),
    };
    let base = match defaults {
        Some(defaults) => settings(defaults, built_in, &Faults::new(faults.text))?,
        None => built_in,
    };
    match own {
        Some(own) => settings(own.get()?, base, faults),
        None => Some(base),
    }
}

fn settings(raw: &raw::Parquet, base: Parquet, faults: &Faults<'_>) -> Option<Parquet> {
    let compression = compression(raw, base.compression, faults);
    let rows = faults.take_optional(raw.row_group_rows.as_ref(), within(1 << 10, 1 << 24));
    let size = faults.take_optional(raw.file_size.as_ref(), |text| size_within("1MiB", "5TiB", &text.0));
    Some(Parquet {
        compression: compression?,
        row_group_rows: rows?.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(base.row_group_rows),
        file_size_bytes: size?.unwrap_or(base.file_size_bytes),
    })
}

fn compression(raw: &raw::Parquet, base: Compression, faults: &Faults<'_>) -> Option<Compression> {
    let level = faults.take_optional(raw.compression_level.as_ref(), within(1, 22));
    let codec = match &raw.compression {
        Some(placed) => match placed.get()? {
            raw::Compression::Zstd => match base {
                Compression::Zstd(level) => Compression::Zstd(level),
                _ => Compression::Zstd(1),
            },
            raw::Compression::Snappy => Compression::Snappy,
            raw::Compression::Lz4 => Compression::Lz4,
            raw::Compression::None => Compression::Uncompressed,
        },
        None => base,
    };
    match (codec, level?) {
        (Compression::Zstd(_), Some(level)) => i32::try_from(level).ok().map(Compression::Zstd),
        (codec, None) => Some(codec),
        (_, Some(_)) => {
            if let Some(placed) = &raw.compression_level {
                faults.push(
                    Fault::new(placed.key, "only zstd has levels")
                        .help("remove `compression_level`, or write `compression: zstd`"),
                );
            }
            None
        }
    }
}
