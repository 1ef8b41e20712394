//! A condition over rows that are published: a yes or no for each of them.
//!
//! Its text may name somebody, so nothing of it enters an error, a name in double quotes included: that is
//! how a text is written by mistake.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable as _};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use super::fault;
use crate::error::{Error, Result};

/// A condition that fits the rows it is asked of.
#[derive(Clone)]
pub struct Condition {
    columns: SchemaRef,
    expression: Arc<dyn PhysicalExpr>,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").finish_non_exhaustive()
    }
}

impl Condition {
    /// Plans a condition in SQL over rows of this schema.
    ///
    /// # Errors
    /// `Invalid` for a text that is not one condition, that looks at no column or at one that is not there
    /// (with the nearest name), or that may answer otherwise when it is asked again.
    pub fn plan(sql: &str, schema: &SchemaRef) -> Result<Self> {
        let planning = |error: DataFusionError| planning(&error, schema);
        let state = SessionContext::new().state();
        let all = DFSchema::try_from(Arc::clone(schema)).map_err(planning)?;
        let written = state.create_logical_expr(sql, &all).map_err(planning)?;
        let columns = columns(&written, schema)?;
        // Constants are computed now, the current time among them: every file is asked the same.
        let context = SimplifyContext::builder().with_schema(Arc::new(all.clone())).with_current_time();
        let simplifier = ExprSimplifier::new(context.build());
        let coerced = simplifier.coerce(written, &all).map_err(planning)?;
        let expression = simplifier.simplify(coerced).map_err(planning)?;
        if !matches!(expression.get_type(&all).map_err(planning)?, DataType::Boolean | DataType::Null) {
            return Err(Error::invalid("the condition is not one: it has no yes or no for an answer")
                .help("compare a column with something, as in `customer_id = 17`"));
        }
        let read = DFSchema::try_from(Arc::clone(&columns)).map_err(planning)?;
        let expression = state.create_physical_expr(expression, &read).map_err(planning)?;
        Ok(Self { columns, expression })
    }

    /// The columns it looks at, in the order it expects them.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.columns.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Asks it of rows that have [`Condition::columns`]; NULL where it cannot be told.
    ///
    /// # Errors
    /// `Data` when a value does not fit an expression; `Failed` for other columns.
    pub fn matches(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let failed = |error: DataFusionError| {
            Error::data(format!("the condition failed on a row: {}", fault::what(&error))).help(
                "guard the expression, for example with try_cast or nullif; the value itself is never shown",
            )
        };
        let answer = self.expression.evaluate(rows).and_then(|value| value.into_array(rows.num_rows()));
        let answer = answer.map_err(failed)?;
        match answer.data_type() {
            DataType::Null => Ok(BooleanArray::new_null(rows.num_rows())),
            _ => answer
                .as_boolean_opt()
                .cloned()
                .ok_or_else(|| Error::failed("the condition has no yes or no for an answer")),
        }
    }
}

/// The columns that a condition looks at, in the order of the schema.
fn columns(written: &Expr, schema: &SchemaRef) -> Result<SchemaRef> {
    if matches!(written, Expr::Alias(_)) {
        return Err(Error::invalid("the condition cannot be understood: something stands behind its end"));
    }
    if written.is_volatile() {
        return Err(Error::invalid("the condition may answer otherwise each time that it is asked")
            .help("leave out functions such as random() and uuid()"));
    }
    let named = written.column_refs();
    let is_named = |field: &&Arc<Field>| named.iter().any(|column| column.name == *field.name());
    let fields: Vec<_> = schema.fields().iter().filter(is_named).cloned().collect();
    if fields.is_empty() {
        return Err(Error::invalid("the condition looks at no column")
            .help("compare a column with something, as in `customer_id = 17`"));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn planning(error: &DataFusionError, schema: &SchemaRef) -> Error {
    let quotes = "texts stand in single quotes, names with capitals in double quotes";
    match error.find_root() {
        DataFusionError::SchemaError(inner, _) => {
            let SchemaError::FieldNotFound { field, .. } = inner.as_ref() else {
                return Error::invalid("the condition cannot be planned").help(quotes);
            };
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let missing = Error::invalid("the condition names a column that is not there");
            match fault::nearest(&field.name, &names) {
                Some(near) => missing.help(format!("did you mean `{near}`? {quotes}")),
                None => missing.help(format!("the columns are {}; {quotes}", names.join(", "))),
            }
        }
        DataFusionError::SQL(..) => {
            Error::invalid("the condition cannot be understood").help(format!(
                "write what stands after WHERE, such as `customer_id = 17`; {quotes}"
            ))
        }
        _ => Error::invalid("the condition cannot be planned: its types or functions do not fit").help(
            "it is asked of the published columns, of which tokens, hashes and masked values are text: compare \
             with the same types, or cast",
        ),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::error::Kind;

    fn rows() -> RecordBatch {
        let name: ArrayRef = Arc::new(StringArray::from(vec![Some("Ann"), Some("bob"), None]));
        let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let other: ArrayRef = Arc::new(StringArray::from(vec!["x"; 3]));
        RecordBatch::try_from_iter_with_nullable([
            ("other", other, true),
            ("Name", name, true),
            ("id", id, true),
        ])
        .unwrap()
    }

    fn ask(sql: &str) -> Result<Vec<Option<bool>>> {
        let condition = Condition::plan(sql, &rows().schema())?;
        let names = condition.columns();
        let indices: Vec<usize> = names.iter().map(|name| rows().schema().index_of(name).unwrap()).collect();
        Ok(condition.matches(&rows().project(&indices).unwrap())?.iter().collect())
    }

    #[test]
    fn every_row_is_answered_and_null_is_neither() {
        assert_eq!(ask("\"Name\" = 'Ann'").unwrap(), [Some(true), Some(false), None]);
        assert_eq!(ask("id > 1 AND \"Name\" IS NULL").unwrap(), [Some(false), Some(false), Some(true)]);
        assert_eq!(ask("id = 2 OR lower(\"Name\") = 'ann'").unwrap(), [Some(true), Some(true), None]);
        assert_eq!(ask("id < cast(to_unixtime(now()) AS bigint)").unwrap(), [Some(true); 3]);
        assert_eq!(ask("id = NULL").unwrap(), [None; 3]);
    }

    /// Whatever is wrong, nothing that was written is repeated.
    #[test]
    fn trap_a_condition_is_never_repeated() {
        let cases = [
            "\"Qx7RtLw93KmZ\" = 1",
            "nam = 'Qx7RtLw93KmZ'",
            "\"Name\" = \"Qx7RtLw93KmZ\"",
            "\"Name\" = 'Qx7RtLw93KmZ' x",
            "\"Name\" = 'Qx7RtLw93KmZ",
            "Qx7RtLw93KmZ(id)",
            "id = 'Qx7RtLw93KmZ'::date",
            "id = cast('Qx7RtLw93KmZ' AS int)",
            "'Qx7RtLw93KmZ' = 'Qx7RtLw93KmZ'",
            "random() > 0.5 AND id = 1",
            "id",
            "id IN (SELECT 1)",
            "count(id) > 1",
            "id = 1; DROP TABLE x",
            "id = 1 = 2 = 'Qx7RtLw93KmZ'",
            "",
        ];
        for sql in cases {
            let error = ask(sql).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
            assert!(!error.to_string().contains("Qx7RtLw93KmZ"), "{sql}: {error}");
        }
        let error = ask("nam = 'a'").unwrap_err();
        assert!(error.remedy().unwrap().contains("`Name`"), "{error}");
        let error = ask("cast(\"Name\" AS int) = 1").unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(!error.to_string().contains("Ann"), "{error}");
    }
}
