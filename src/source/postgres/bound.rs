//! A range of cursor values as PostgreSQL compares them.

use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::ident::quoted;
use crate::source::bound::Operands;
use crate::source::{Bound, Literal};

/// The condition for what a statement's `columns` are; `is_utf8` says whether the database holds its texts so,
/// for in others they have another order by their bytes.
pub(super) fn condition(bound: &Bound, columns: &[Column], is_utf8: bool) -> Option<String> {
    bound.condition(quoted, |name, literal| {
        let of_type = columns.iter().find(|column| column.name() == name)?.type_();
        let column = quoted(name);
        let typed = |name: &str| Some(format!("'{}'::{name}", literal.plain()?));
        let value = match (literal, of_type) {
            (Literal::Integer(_), &Type::INT2 | &Type::INT4 | &Type::INT8) => typed("int8")?,
            (Literal::Integer(_) | Literal::Decimal(..), &Type::NUMERIC) => typed("numeric")?,
            (Literal::Date(_), &Type::DATE) => typed("date")?,
            (Literal::Timestamp(_), &Type::TIMESTAMP) => typed("timestamp")?,
            (Literal::Instant(_), &Type::TIMESTAMPTZ) => format!("'{}+00'::timestamptz", literal.plain()?),
            // A `char(n)` compares without the blanks that it is read with.
            (Literal::Text(text), &Type::TEXT | &Type::VARCHAR) if is_utf8 => {
                let column = format!("{column} COLLATE \"C\"");
                return Some(Operands { column, value: escaped(text) });
            }
            _ => return None,
        };
        Some(Operands { column, value })
    })
}

/// A text that means itself whatever `standard_conforming_strings` says.
fn escaped(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_own_quotes() {
        assert_eq!(escaped(r"a\' OR 1=1 --"), r"E'a\\\' OR 1=1 --'");
    }
}
