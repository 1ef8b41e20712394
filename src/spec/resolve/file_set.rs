//! File streams.

use crate::error::{Error, Result};
use crate::spec::StreamName;
use crate::spec::faults::{Fault, Faults, nearest, quoted};
use crate::spec::pipeline::{ColumnType, Csv, FileSet, Format};
use crate::spec::raw::placed::{Map, Placed};
use crate::spec::raw::stream as raw;

/// The files of a stream, but for its name.
pub(crate) fn file_set(
    path: &Placed<String>,
    raw: &raw::Stream,
    faults: &Faults<'_>,
) -> Option<impl FnOnce(StreamName) -> FileSet + use<>> {
    let format = format(path, raw.format.as_ref(), faults);
    let schema = raw.schema.as_ref().map_or(Some(None), |schema| self::schema(schema, faults).map(Some));
    if let (Some(Format::Parquet), Some(schema)) = (&format, &raw.schema) {
        faults.push(Fault::new(schema.key, "Parquet files carry their own types").help("remove `schema`"));
    }
    let path = faults.parse(path, relative)?;
    let (format, schema) = (format?, schema?);
    Some(move |name| FileSet { name, path, format, schema })
}

/// A path glob that cannot leave the connection's root.
fn relative(text: &str) -> Result<String> {
    let refused = |message: &str, help: &str| Err(Error::invalid(message).help(help));
    let drive = text.as_bytes().get(1) == Some(&b':');
    if text.trim().is_empty() {
        return refused("no file is named", "write a path such as \"customers*.csv\"");
    }
    if text.starts_with(['/', '\\', '~']) || drive || text.contains("://") {
        return refused("the path must be relative", "write it as seen from the connection's `root`");
    }
    if text.split(['/', '\\']).any(|part| part == "..") {
        return refused(
            "the path leaves the connection's root by `..`",
            "move the connection's `root` up, or define another connection",
        );
    }
    if text.contains('\\') {
        return refused("the path holds a backslash", "write `/` between folders");
    }
    Ok(text.strip_prefix("./").unwrap_or(text).to_owned())
}

fn format(
    path: &Placed<String>,
    placed: Option<&Placed<raw::Format>>,
    faults: &Faults<'_>,
) -> Option<Format> {
    let Some(placed) = placed else {
        let format = Format::of_name(path.get()?);
        if format.is_none() {
            faults.push(
                Fault::new(path.span, "the name's ending does not tell how these files are read")
                    .help("add `format: csv`, `format: {csv: {delimiter: \";\"}}` or `format: parquet`"),
            );
        }
        return format;
    };
    match placed.get()? {
        raw::Format::Parquet => Some(Format::Parquet),
        raw::Format::Csv(raw) => csv(raw, faults).map(Format::Csv),
    }
}

fn csv(raw: &raw::Csv, faults: &Faults<'_>) -> Option<Csv> {
    let default = Csv::default();
    let header = raw.header.as_ref().map_or(Some(default.header), |header| header.get().copied());
    let delimiter = faults.parse_optional(raw.delimiter.as_ref(), one_character);
    let quote = faults.parse_optional(raw.quote.as_ref(), one_character);
    let null = raw.null.as_ref().map_or(Some(default.null), |null| null.get().cloned());
    let delimiter = delimiter?.unwrap_or(default.delimiter);
    let quote = quote?.unwrap_or(default.quote);
    if delimiter == quote {
        let span = raw.delimiter.as_ref().or(raw.quote.as_ref()).map(|placed| placed.span);
        if let Some(span) = span {
            faults.push(
                Fault::new(span, "fields are delimited and quoted by the same character").help("change one"),
            );
        }
        return None;
    }
    Some(Csv { header: header?, delimiter, quote, null: null? })
}

fn one_character(text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(Error::invalid(format!("{} is not one ASCII character", quoted(text)))
            .help("write it in double quotes, such as \";\" or \"\\t\"")),
    }
}

fn schema(placed: &Placed<Map<String>>, faults: &Faults<'_>) -> Option<Vec<(String, ColumnType)>> {
    let columns = &placed.get()?.0;
    if columns.is_empty() {
        faults.push(
            Fault::new(placed.key, "no column is declared")
                .help("declare all columns in order, or remove `schema` to infer them"),
        );
        return None;
    }
    let read: Vec<_> = columns
        .iter()
        .map(|(name, column_type)| {
            let column_type = faults.parse(column_type, self::column_type);
            let name = faults.parse(name, super::not_empty);
            Some((name?, column_type?))
        })
        .collect();
    read.into_iter().collect()
}

pub(super) fn column_type(text: &str) -> Result<ColumnType> {
    const WORDS: [&str; 9] =
        ["boolean", "int32", "int64", "float64", "decimal(p,s)", "text", "date", "timestamp", "timestamptz"];
    match text {
        "boolean" => Ok(ColumnType::Boolean),
        "int32" => Ok(ColumnType::Int32),
        "int64" => Ok(ColumnType::Int64),
        "float64" => Ok(ColumnType::Float64),
        "text" => Ok(ColumnType::Text),
        "date" => Ok(ColumnType::Date),
        "timestamp" => Ok(ColumnType::Timestamp),
        "timestamptz" => Ok(ColumnType::TimestampTz),
        _ if text.starts_with("decimal") => decimal(text),
        _ => {
            let other = match text.to_ascii_lowercase().as_str() {
                "string" | "str" | "varchar" | "char" | "utf8" => Some("text"),
                "int" | "integer" | "int4" => Some("int32"),
                "bigint" | "long" | "int8" => Some("int64"),
                "float" | "double" | "real" | "float8" => Some("float64"),
                "bool" => Some("boolean"),
                "numeric" | "number" => Some("decimal(p,s)"),
                "datetime" => Some("timestamp"),
                _ => nearest(text, &WORDS),
            };
            let help = other.map_or_else(
                || format!("the types are {}", WORDS.join(", ")),
                |other| format!("did you mean `{other}`?"),
            );
            Err(Error::invalid(format!("{} is not a column type", quoted(text))).help(help))
        }
    }
}

/// `decimal(p,s)`.
fn decimal(text: &str) -> Result<ColumnType> {
    let inside = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
    let numbers = inside.and_then(|inside| inside.split_once(',')).and_then(|(precision, scale)| {
        Some((precision.trim().parse::<u8>().ok()?, scale.trim().parse::<u8>().ok()?))
    });
    match numbers {
        Some((precision @ 1..=38, scale)) if scale <= precision => {
            Ok(ColumnType::Decimal(precision, i8::try_from(scale).unwrap_or(i8::MAX)))
        }
        _ => Err(Error::invalid(format!("{} is not a decimal type", quoted(text))).help(
            "write decimal(p,s) with a precision of 1 to 38 and a scale of 0 to p, such as decimal(12,2)",
        )),
    }
}
