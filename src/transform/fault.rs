//! DataFusion's errors in our words.
//!
//! Planning sees names, types and the SQL itself, so its messages may be passed on. Execution sees
//! rows and quotes them (`Cannot cast string '123-45-6789'`), so its messages never are.

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::error::{Error, Result};

/// An error of planning the spec's SQL.
pub(super) fn planning(error: &DataFusionError) -> Error {
    let help = "the SQL reads one table, `source`, with the columns `sealift plan` lists; \
                names with upper case need double quotes";
    of_planning(error, "the transform", help)
}

/// An error of planning a condition on output rows.
pub(super) fn condition(error: &DataFusionError) -> Error {
    let help = "write one condition over the output columns that `sealift plan` lists, without other tables \
                and aggregates; names with upper case need double quotes";
    of_planning(error, "the condition", help)
}

fn of_planning(error: &DataFusionError, what: &str, help: &str) -> Error {
    let root = error.find_root();
    match root {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
                let error =
                    Error::invalid(format!("{what} names a column `{}` that is not there", field.name));
                match nearest(&field.name, &names) {
                    Some(name) => error.help(format!("did you mean `{name}`?")),
                    None => error.help(help),
                }
            }
            other => Error::invalid(format!("{what} cannot be planned: {other}")).help(help),
        },
        other => Error::invalid(format!("{what} cannot be planned: {}", first_line(other))).help(help),
    }
}

/// An error of running it over rows.
pub(super) fn execution(error: &DataFusionError) -> Error {
    if let Some(own) = own(error) {
        return own;
    }
    if let DataFusionError::ResourcesExhausted(_) = error.find_root() {
        return Error::failed("the transform needs more memory than `memory_limit_mb` allows")
            .help("raise `memory_limit_mb`, or sort and aggregate in a query stream at the source");
    }
    Error::data(format!("the transform failed on a row: {}", what(error)))
        .help("guard the expression, for example with try_cast or nullif; the value itself is never shown")
}

/// What an expression failed of, without the value.
pub(super) fn what(error: &DataFusionError) -> &'static str {
    match error.find_root() {
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::CastError(_) | ArrowError::ParseError(_) => {
                "a value does not fit the type it is cast to"
            }
            ArrowError::DivideByZero => "a division by zero",
            ArrowError::ArithmeticOverflow(_) => "a number grew beyond its type",
            ArrowError::OffsetOverflowError(_) => "a text column grew beyond 2 GiB in one batch",
            _ => "an expression could not be computed",
        },
        _ => "an expression could not be computed",
    }
}

/// Wraps an error of ours for its way through DataFusion.
pub(super) fn carry(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The error of ours that DataFusion carries, if it is one.
fn own(error: &DataFusionError) -> Option<Error> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref::<Error>().cloned(),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref::<Error>().cloned(),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    names
        .iter()
        .copied()
        .map(|other| (distance(other), other))
        .min()
        .filter(|(d, _)| *d <= 2)
        .map(|(_, other)| other)
}

fn first_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}

/// An Arrow error of a cast at the stage's boundary.
pub(super) fn cast<T>(result: Result<T, ArrowError>, column: &str) -> Result<T> {
    result.map_err(|_| {
        Error::data(format!("a value of column `{column}` does not fit the type it is published as"))
            .help("cast the column in the transform")
    })
}
