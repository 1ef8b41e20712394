//! A relation in pieces that several connections read at once.
//!
//! A piece is a condition on the rows. Together the conditions hold for every row, each row in one
//! piece only: the ranges touch, and the first and the last are open, so that it does not matter
//! how fresh the bounds are.

use super::catalog::{Kind, Table, cell};
use super::ident::quoted;
use super::session::Session;
use super::target::Target;
use crate::error::{Error, Result};
use tokio_postgres::types::Type;

/// Bytes of a table that a piece holds: at the least what is large beside the cost of a statement, at
/// the most what is small beside a table that takes long.
const LEAST_PIECE_BYTES: u64 = 1 << 20;
const MOST_PIECE_BYTES: u64 = 32 << 20;
/// Pieces of one relation at the most.
const MOST_PIECES: u64 = 4096;
/// Pieces for each connection, so that the last ones to end do so at about the same time, also where
/// some are fatter than others.
const PIECES_EACH: usize = 8;

/// One piece: a condition, or the whole relation.
pub(super) type Piece = Option<String>;

/// The table in ranges of blocks, as it lies on disk; each is a scan of its own since PostgreSQL 14.
/// Before that, and where there are no blocks (views, foreign tables), the whole is one piece.
///
/// # Errors
/// As the catalog answers.
pub(super) async fn by_blocks(
    session: &Session,
    table: &Table,
    kind: Kind,
    connections: usize,
) -> Result<Vec<Piece>> {
    if kind != Kind::Stored || session.version < 140_000 {
        return Ok(vec![None]);
    }
    let (blocks, bytes) = session.blocks(table).await?;
    let piece_bytes = (bytes / (connections * PIECES_EACH) as u64).clamp(LEAST_PIECE_BYTES, MOST_PIECE_BYTES);
    let pieces = (bytes / piece_bytes).min(blocks).clamp(1, MOST_PIECES);
    let bounds: Vec<String> = (1..pieces)
        .map(|i| format!("'({},0)'::tid", u128::from(blocks) * u128::from(i) / u128::from(pieces)))
        .collect();
    Ok(ranges("ctid", &bounds, false))
}

/// What the spec says to split: ranges of a column between its least and greatest value where the condition
/// holds, of equal width.
///
/// # Errors
/// `Invalid` when there is no such column, or its type has no ranges of equal width.
pub(super) async fn by_column(
    session: &Session,
    target: &Target,
    column: &tokio_postgres::Column,
    condition: Option<&str>,
    connections: usize,
) -> Result<Vec<Piece>> {
    let name = quoted(column.name());
    let (finite, bound) = match *column.type_() {
        Type::INT2 | Type::INT4 | Type::INT8 => {
            ("true".to_owned(), "trunc(lo::numeric + (hi::numeric - lo) * i / n)::int8")
        }
        Type::DATE => (format!("isfinite({name})"), "lo + ((hi - lo)::int8 * i / n)::int4"),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            (format!("isfinite({name})"), "lo + (hi - lo) * (i::float8 / n)")
        }
        _ => {
            return Err(Error::invalid(format!(
                "`split_by` names column `{}` of type {}",
                column.name(),
                column.type_().name()
            ))
            .help("name an integer, a date or a timestamp, best the indexed key"));
        }
    };
    let pieces = connections * PIECES_EACH;
    let sql = format!(
        "SELECT DISTINCT {bound} AS bound, ({bound})::text FROM \
           (SELECT min({name}) AS lo, max({name}) AS hi FROM ({select}) AS source WHERE {finite}) AS r, \
           (SELECT {pieces}::int8 AS n) AS p, generate_series(1::int8, {pieces} - 1) AS i \
         WHERE lo < hi ORDER BY bound",
        select = target.select_list("*", condition),
    );
    let rows = session.client.query(&sql, &[]).await;
    let rows = rows.map_err(|e| session.endpoint.failed(&e, &target.subject_without_position()))?;
    let type_name = column.type_().name();
    let bounds = rows
        .iter()
        .map(|row| Ok(format!("'{}'::{type_name}", cell::<String>(row, 1)?.replace('\'', "''"))))
        .collect::<Result<Vec<_>>>()?;
    Ok(ranges(&name, &bounds, true))
}

/// The conditions of the ranges that the bounds make: one more than there are bounds.
fn ranges(column: &str, bounds: &[String], nullable: bool) -> Vec<Piece> {
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else { return vec![None] };
    let nulls = if nullable { format!(" OR {column} IS NULL") } else { String::new() };
    let mut pieces = vec![Some(format!("({column} < {first}{nulls})"))];
    for (low, high) in bounds.iter().zip(&bounds[1..]) {
        pieces.push(Some(format!("{column} >= {low} AND {column} < {high}")));
    }
    pieces.push(Some(format!("{column} >= {last}")));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_touch_and_are_open_at_both_ends() {
        let bounds = ["1".to_owned(), "5".to_owned()];
        let pieces: Vec<_> = ranges("k", &bounds, true).into_iter().flatten().collect();
        assert_eq!(pieces, ["(k < 1 OR k IS NULL)", "k >= 1 AND k < 5", "k >= 5"]);
        assert_eq!(ranges("k", &[], true), [None]);
        assert_eq!(ranges("ctid", &bounds[..1], false).len(), 2);
    }
}
