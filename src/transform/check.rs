//! Conditions on single output rows, compiled once and evaluated batch by batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{fault, wide};
use crate::error::{Error, Result};
use crate::spec::quality::Demand;

/// A demand on single rows.
#[derive(Clone, Debug)]
pub struct Condition {
    holds: Arc<dyn PhysicalExpr>,
}

impl Condition {
    /// Compiles a demand on rows of this schema; `None` for one that single rows cannot tell.
    ///
    /// # Errors
    /// `Invalid` when SQL is no condition on these columns (where in it, and what is wrong), and for a
    /// literal that is no value of its column's type.
    pub fn of(demand: &Demand, rows: &SchemaRef) -> Result<Option<Self>> {
        // What an optimiser derives from NOT NULL must not decide what is looked at.
        let rows = wide::nullable(rows);
        let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(false));
        let schema = DFSchema::try_from(rows.as_ref().clone()).map_err(|e| fault::condition(&e))?;
        let expr = match demand {
            Demand::Sql(sql) => context.parse_sql_expr(sql, &schema).map_err(|e| fault::condition(&e))?,
            Demand::NotNull(columns) => {
                let all = columns.iter().map(|name| column(name).is_not_null());
                all.reduce(Expr::and).unwrap_or_else(|| lit(true))
            }
            Demand::Accepted { column: name, values } => {
                let literals = values.iter().map(|text| literal(text, name, &rows)).collect::<Result<_>>()?;
                column(name).in_list(literals, false)
            }
            Demand::Range { column: name, min, max } => {
                let bound =
                    |text: &Option<String>| text.as_ref().map(|text| literal(text, name, &rows)).transpose();
                let at_least = bound(min)?.map(|least| column(name).gt_eq(least));
                let at_most = bound(max)?.map(|most| column(name).lt_eq(most));
                at_least.into_iter().chain(at_most).reduce(Expr::and).unwrap_or_else(|| lit(true))
            }
            Demand::Unique(_)
            | Demand::ForeignKey { .. }
            | Demand::RowCount { .. }
            | Demand::Freshness { .. }
            | Demand::Drift { .. } => return Ok(None),
        };
        let holds = context.create_physical_expr(expr, &schema).map_err(|e| fault::condition(&e))?;
        let data_type = holds.data_type(&rows).map_err(|e| fault::condition(&e))?;
        if data_type != DataType::Boolean {
            return Err(Error::invalid(format!("this is no condition: its type is {data_type}"))
                .help("write what is true of every row, such as `balance >= 0`"));
        }
        Ok(Some(Self { holds }))
    }

    /// Which rows violate it: those of which it is false. Of those of which it is NULL it says nothing.
    ///
    /// # Errors
    /// `Data` when it cannot be computed of a row; which row, and of what, is not told.
    pub fn violated(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let cannot = |_| {
            Error::data("a condition cannot be computed of a row").help(
                "guard the expression, for example with try_cast or nullif; the value itself is never shown",
            )
        };
        let holds = self.holds.evaluate(rows).and_then(|value| value.into_array(rows.num_rows()));
        let holds: ArrayRef = holds.map_err(cannot)?;
        let holds = holds.as_boolean();
        Ok((0..holds.len()).map(|row| Some(holds.is_valid(row) && !holds.value(row))).collect())
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// The text as a value of the column's type, which it must be exactly.
fn literal(text: &str, column: &str, rows: &SchemaRef) -> Result<Expr> {
    let data_type = rows.field_with_name(column).map_or(DataType::Utf8, |field| field.data_type().clone());
    let cast = cast(&StringArray::from(vec![text]), &data_type).filter(|one| !is_rounded(text, one));
    let scalar = cast.and_then(|one| ScalarValue::try_from_array(&one, 0).ok());
    scalar.map(lit).ok_or_else(|| {
        Error::invalid(format!("`{text}` is no value of column `{column}`, whose type is {data_type}"))
            .help("write it as the type is written, such as 0, 1.50, 2024-01-02 or 'text'")
    })
}

fn cast(one: &dyn Array, to: &DataType) -> Option<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(one, to, &options).ok()
}

/// Whether the value is another than the text says, for want of digits.
fn is_rounded(text: &str, value: &ArrayRef) -> bool {
    let zone = match value.data_type() {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let fraction = text.trim().split_once('.').map_or("", |(_, fraction)| fraction);
            return fraction.trim_end_matches('0').len() > usize::try_from(*scale).unwrap_or_default();
        }
        DataType::Timestamp(_, zone) => zone.clone(),
        DataType::Date32 => None,
        _ => return false,
    };
    // Instants beyond the years that nanoseconds reach are told by their microseconds alone.
    let fine = DataType::Timestamp(TimeUnit::Nanosecond, zone);
    let said = cast(&StringArray::from(vec![text]), &fine);
    said.is_some_and(|said| cast(value, &fine).is_some_and(|kept| said != kept))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int32Array};
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::error::Kind;

    fn rows() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("Word", DataType::Utf8, true),
            Field::new("day", DataType::Date32, false),
        ]);
        let columns: [ArrayRef; 3] = [
            Arc::new(Int32Array::from(vec![Some(1), None, Some(-5)])),
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), None])),
            Arc::new(Date32Array::from(vec![0, 10, 20])),
        ];
        RecordBatch::try_new(Arc::new(schema), columns.to_vec()).unwrap()
    }

    fn violated(demand: Demand) -> Result<Vec<bool>> {
        let condition = Condition::of(&demand, &rows().schema())?.unwrap();
        Ok(condition.violated(&rows())?.iter().flatten().collect())
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn null_is_no_violation_but_of_not_null() {
        let range = |column: &str, min: Option<&str>, max: Option<&str>| Demand::Range {
            column: text(column),
            min: min.map(text),
            max: max.map(text),
        };
        for (demand, expected) in [
            (Demand::Sql(text("n >= 0")), [false, false, true]),
            (Demand::Sql(text("\"Word\" = 'a' OR n > 0")), [false, false, false]),
            (Demand::NotNull(vec![text("n")]), [false, true, false]),
            (Demand::NotNull(vec![text("Word"), text("n")]), [false, true, true]),
            (Demand::Accepted { column: text("Word"), values: vec![text("a")] }, [false, true, false]),
            (
                Demand::Accepted { column: text("n"), values: vec![text("1"), text("2")] },
                [false, false, true],
            ),
            (range("n", Some("0"), None), [false, false, true]),
            (range("day", Some("1970-01-05"), Some("1970-01-12")), [true, false, true]),
        ] {
            assert_eq!(violated(demand.clone()).unwrap(), expected, "{demand:?}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_when_it_is_planned() {
        for (sql, word) in [
            ("n >=", "cannot be planned"),
            ("m > 0", "`m`"),
            ("n + 1", "its type is Int"),
            ("count(n) > 1", ""),
            ("n IN (SELECT 1)", ""),
            ("EXISTS (SELECT n FROM other)", ""),
        ] {
            let error = violated(Demand::Sql(text(sql))).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
            assert!(error.message().contains(word) && error.remedy().is_some(), "{sql}: {error}");
        }
        let accepted = Demand::Accepted { column: text("n"), values: vec![text("many")] };
        assert_eq!(violated(accepted).unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn a_literal_is_not_rounded_to_the_columns_digits() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let schema = Arc::new(Schema::new(vec![
            Field::new("rate", DataType::Decimal128(10, 2), true),
            Field::new("day", DataType::Date32, true),
            Field::new("at", micros, true),
        ]));
        let planned = |column: &str, min: &str| {
            let range = Demand::Range { column: text(column), min: Some(text(min)), max: None };
            Condition::of(&range, &schema).map_err(|error| error.kind())
        };
        for (column, min) in [
            ("rate", "0.01"),
            ("rate", "-1.500"),
            ("rate", "100"),
            ("rate", "0.000"),
            ("day", "2024-01-02"),
            ("at", "2024-01-02T00:00:00.123456"),
            ("at", "9999-12-31T23:59:59"),
        ] {
            assert!(planned(column, min).is_ok(), "{column} {min}");
        }
        for (column, min) in [
            ("rate", "0.001"),
            ("rate", "99.995"),
            ("at", "2024-01-02T00:00:00.1234567"),
            ("day", "2024-01-02T12:00:00"),
        ] {
            assert_eq!(planned(column, min).unwrap_err(), Kind::Invalid, "{column} {min}");
        }
        let accepted = Demand::Accepted { column: text("rate"), values: vec![text("1.00"), text("1.005")] };
        assert_eq!(Condition::of(&accepted, &schema).unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn a_row_of_which_it_cannot_be_computed_is_told_without_its_value() {
        let error = violated(Demand::Sql(text("CAST(\"Word\" AS INT) > 0"))).unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(!error.to_string().contains("'a'"), "{error}");
    }
}
