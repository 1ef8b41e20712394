//! DataFusion's errors in our own words.
//!
//! Planning sees names, types and the text of the query; its messages are passed on unless they
//! repeat a literal of that text, which may be someone's value. Running sees rows and quotes them
//! (`Cannot cast string '…'`), so its messages never are.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use parquet::errors::ParquetError;

use crate::error::{Error, Result};
use crate::spec::DatasetName;

/// Most names one message lists.
const NAMES_LISTED: usize = 20;

/// An error of planning `sql`.
pub(super) fn planning(error: &DataFusionError, sql: &str, datasets: &[DatasetName]) -> Error {
    if let Some(own) = own(error) {
        return own;
    }
    match error.find_root() {
        DataFusionError::SchemaError(inner, _) => schema(inner),
        DataFusionError::SQL(inner, _) => syntax(&inner.to_string()),
        DataFusionError::Plan(message) => match unknown_table(message) {
            Some(name) => no_dataset(name, datasets),
            None => unfit(message, sql),
        },
        DataFusionError::NotImplemented(message) => unfit(message, sql),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            Error::invalid("an expression of constants in the query cannot be computed")
        }
        _ => Error::invalid("the query cannot be planned"),
    }
}

/// An error of running a query over rows.
pub(super) fn execution(error: &DataFusionError) -> Error {
    if let Some(own) = own(error) {
        return own;
    }
    if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return Error::failed("the query needs more memory than `memory_limit_mb` allows")
            .help("filter or aggregate more, select fewer columns, or raise `memory_limit_mb`");
    }
    // A filter that runs inside the Parquet reader fails as a fault of Parquet with one of Arrow
    // below it; a page that cannot be opened as one of Arrow that speaks of Parquet.
    let what = match (cause::<ArrowError>(error), cause::<ParquetError>(error)) {
        (Some(ArrowError::ParquetError(_)), _) | (None, Some(_)) => {
            return Error::failed("a data file of the dataset is damaged, or was altered")
                .help("restore the file from a backup, or publish the dataset anew");
        }
        (Some(ArrowError::CastError(_) | ArrowError::ParseError(_)), _) => {
            "a value does not fit the type it is cast to"
        }
        (Some(ArrowError::DivideByZero), _) => "a division by zero",
        (Some(ArrowError::ArithmeticOverflow(_)), _) => "a number grew beyond its type",
        (Some(ArrowError::OffsetOverflowError(_)), _) => "a text column grew beyond 2 GiB in one batch",
        _ => "an expression could not be computed",
    };
    Error::data(format!("the query failed on a row: {what}"))
        .help("guard the expression, for example with try_cast or nullif; the value itself is never shown")
}

/// Wraps an error of ours for its way through DataFusion.
pub(super) fn carry(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The error of ours that a foreign one carries, if it does.
fn own(error: &DataFusionError) -> Option<Error> {
    cause::<Error>(error).cloned()
}

/// The first error of a type, from the outside in.
fn cause<E: StdError + 'static>(error: &DataFusionError) -> Option<&E> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(found) = this.downcast_ref::<E>() {
            return Some(found);
        }
        cause = this.source();
    }
    None
}

fn schema(error: &SchemaError) -> Error {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return Error::invalid(format!("the query is ambiguous: {error}"))
            .help("write `table.column`, or give the column another name with AS");
    };
    let names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
    let error = Error::invalid(format!("there is no column `{}`", field.name));
    match nearest(&field.name, &names) {
        Some(name) if name.chars().any(char::is_uppercase) => {
            error.help(format!("did you mean \"{name}\"? names with capitals need double quotes"))
        }
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => error.help(format!("the columns are {}", list(&names))),
    }
}

/// Only the place: the parser repeats what it found there.
fn syntax(message: &str) -> Error {
    let place = message.rfind("Line: ").and_then(|start| message.get(start..));
    let place = place.map(|place| place.replace("Line: ", "line ").replace("Column: ", "column "));
    let error = match place {
        Some(place) => Error::invalid(format!("the SQL cannot be understood at {}", place.trim())),
        None => Error::invalid("the SQL cannot be understood"),
    };
    error.help("write one SELECT over datasets, as in `SELECT * FROM crm.customers`")
}

fn unknown_table(message: &str) -> Option<&str> {
    message.strip_prefix("table '")?.strip_suffix("' not found")
}

fn no_dataset(resolved: &str, datasets: &[DatasetName]) -> Error {
    let name = resolved.strip_prefix("sealift.").unwrap_or(resolved);
    let shown = name.strip_prefix("public.").unwrap_or(name);
    let names: Vec<String> = datasets.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bare = |full: &&str| full.split_once('.').is_some_and(|(_, bare)| bare == shown);
    let near = names.iter().copied().find(bare).or_else(|| nearest(shown, &names));
    let error = Error::invalid(format!("there is no dataset `{shown}`"));
    match near {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.help("nothing is published yet: run `sealift sync PIPELINE`"),
        None => error.help(format!("the datasets are {}", list(&names))),
    }
}

/// A plan that does not fit: said in DataFusion's words where they repeat no literal of the query.
fn unfit(message: &str, sql: &str) -> Error {
    let line = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    match literals(sql) {
        Ok(literals) if !literals.iter().any(|literal| line.contains(literal.as_str())) => {
            Error::invalid(format!("the query cannot be planned: {line}"))
        }
        _ => Error::invalid("the query cannot be planned: types, functions or columns do not fit"),
    }
}

/// The texts and numbers written in a query, less the shortest, which names and types are full of.
fn literals(sql: &str) -> Result<Vec<String>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize()
        .map_err(|_| Error::invalid("the SQL cannot be understood"))?;
    let literal = |token| match token {
        Token::Word(_) | Token::Whitespace(_) => None,
        Token::Number(text, _) => Some(text),
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::HexStringLiteral(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::SingleQuotedRawStringLiteral(text) => Some(text),
        Token::DollarQuotedString(text) => Some(text.value),
        _ => None,
    };
    Ok(tokens.into_iter().filter_map(literal).filter(|text| text.chars().count() >= 3).collect())
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_LISTED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_LISTED { format!("{shown}, …") } else { shown }
}

fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let near = names.iter().map(|other| (distance(other), *other)).min();
    near.filter(|(distance, _)| *distance <= 2).map(|(_, other)| other)
}
