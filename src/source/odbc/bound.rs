//! A range of cursor values as the database behind the driver compares them.

use arrow::datatypes::{DataType, TimeUnit};

use super::catalog::Found;
use super::dbms::Dbms;
use super::link::Link;
use crate::error::Result;
use crate::source::bound::Operands;
use crate::source::{Bound, Carried, Literal};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// The condition for the columns that were found. Texts and instants compare in each database in its own
/// way, so they are left out.
pub(super) fn condition(bound: &Bound, found: &[Found], link: &Link) -> Result<Option<String>> {
    let quoted = |name: &str| link.quoted(name);
    for name in &bound.columns {
        quoted(name)?;
    }
    let widened = widened(bound);
    let quoted = |name: &str| quoted(name).unwrap_or_default();
    Ok(widened.condition(quoted, |name, literal| {
        let found = found.iter().find(|found| found.column.name == name)?;
        let Carried::Exact(carried) = &found.column.carried else { return None };
        Some(Operands { column: quoted(name), value: value(literal, carried, link.dbms)? })
    }))
}

fn value(literal: &Literal, carried: &DataType, dbms: Dbms) -> Option<String> {
    let plain = literal.plain()?;
    let of_type = |standard: &str, own: &str| match dbms {
        Dbms::SqlServer => format!("CAST('{plain}' AS {own})"),
        _ => format!("{standard} '{}'", plain.trim_end_matches(".000000")),
    };
    match (literal, carried) {
        (Literal::Integer(_), DataType::Int16 | DataType::Int32 | DataType::Int64)
        | (Literal::Integer(_) | Literal::Decimal(..), DataType::Decimal128(..)) => Some(plain),
        (Literal::Date(_), DataType::Date32) => Some(of_type("DATE", "date")),
        (Literal::Timestamp(_), DataType::Timestamp(TimeUnit::Microsecond, None)) => {
            Some(of_type("TIMESTAMP", "datetime2"))
        }
        _ => None,
    }
}

/// Whole seconds around the range: not every database reads more digits.
fn widened(bound: &Bound) -> Bound {
    let each = |values: &Option<Vec<Literal>>, round: fn(i64) -> Option<i64>| {
        let round = |literal: &Literal| match literal {
            Literal::Timestamp(micros) => round(*micros).map_or_else(|| literal.clone(), Literal::Timestamp),
            other => other.clone(),
        };
        // Behind one that is widened the next columns tell nothing.
        let mut rounded = Vec::new();
        for literal in values.as_ref()? {
            rounded.push(round(literal));
            if rounded.last() != Some(literal) {
                break;
            }
        }
        Some(rounded)
    };
    let down = |micros: i64| micros.div_euclid(SECOND).checked_mul(SECOND);
    let up = |micros: i64| micros.checked_add(SECOND - 1)?.div_euclid(SECOND).checked_mul(SECOND);
    Bound { from: each(&bound.from, down), before: each(&bound.before, up), ..bound.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_second_make_the_range_wider() {
        let at = |micros: i64| Literal::Timestamp(micros);
        let bound = Bound {
            columns: vec!["a".to_owned(), "b".to_owned()],
            from: Some(vec![at(1_500_000), Literal::Integer(7)]),
            before: Some(vec![at(2_000_001), Literal::Integer(7)]),
            or_null: false,
        };
        let wider = widened(&bound);
        assert!(wider.from == Some(vec![at(1_000_000)]) && wider.before == Some(vec![at(3_000_000)]));
        let whole = Bound { from: Some(vec![at(-1_000_000), Literal::Integer(7)]), ..bound };
        assert!(widened(&whole).from == whole.from);
    }

    #[test]
    fn values_are_written_as_the_database_reads_them() {
        let at = Literal::Timestamp(1_000_000);
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let written = |dbms| value(&at, &timestamp, dbms).unwrap();
        assert_eq!(written(Dbms::Postgres), "TIMESTAMP '1970-01-01 00:00:01'");
        assert_eq!(written(Dbms::SqlServer), "CAST('1970-01-01 00:00:01.000000' AS datetime2)");
        assert_eq!(value(&Literal::Text("x".to_owned()), &DataType::Utf8, Dbms::Postgres), None);
        assert_eq!(value(&Literal::Instant(0), &timestamp, Dbms::Postgres), None);
    }
}
