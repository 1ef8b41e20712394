//! A range of cursor values as the server compares them.

use super::ident::quoted;
use super::types::Layout;
use super::wire::Definition;
use crate::source::bound::Operands;
use crate::source::{Bound, Literal};

/// What the text of a `timestamp` column's ends is: beyond them the server compares with nothing.
const TIMESTAMPS: std::ops::Range<i64> = 86_400_000_000..2_147_000_000_000_000;

/// The condition for what a statement's columns are.
pub(super) fn condition(bound: &Bound, columns: &[Definition]) -> Option<String> {
    bound.condition(quoted, |name, literal| {
        let layout = Layout::of(columns.iter().find(|column| column.name == name)?)?;
        let column = quoted(name);
        let value = match (literal, layout) {
            (Literal::Integer(value), layout) if layout.is_whole() => value.to_string(),
            (Literal::Integer(_) | Literal::Decimal(..), Layout::Decimal { .. } | Layout::UInt64) => {
                literal.plain()?
            }
            (Literal::Date(_), Layout::Date) | (Literal::Timestamp(_), Layout::DateTime) => {
                format!("'{}'", literal.plain()?)
            }
            // The session's zone is UTC.
            (Literal::Instant(micros), Layout::Timestamp) if TIMESTAMPS.contains(micros) => {
                format!("'{}'", literal.plain()?)
            }
            (Literal::Text(text), Layout::Text) => {
                let column = format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)");
                return Some(Operands { column, value: bytes(text) });
            }
            _ => return None,
        };
        Some(Operands { column, value })
    })
}

/// A text's bytes, as the server compares bytes.
fn bytes(text: &str) -> String {
    if text.is_empty() { "_binary ''".to_owned() } else { format!("0x{}", hex::encode(text)) }
}
