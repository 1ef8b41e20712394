//! How each column of a statement travels: what is asked of the server, and what it sends then.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::catalog::cell;
use super::ident::quoted;
use super::session::Session;
use super::types::{Facts, Format, Part, Wire};
use crate::error::{Error, Result};
use crate::source::{Carried, Column};

/// Makes what the server writes for a value depend on the value alone, and say all of it: roles and
/// databases may prefer other forms, some of which round. To be run before anything is read.
pub(super) const TEXT_FORMS: &str = "SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'";

/// Types that lie deeper in a column are text.
const MAX_DEPTH: u32 = 16;
/// A column of more parts than this is text.
const MAX_PARTS: u32 = 1024;

/// How one column travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) wire: Wire,
    /// What is put behind the column's name in the SELECT list.
    cast: &'static str,
}

impl Layout {
    /// How the plan shows it.
    pub(super) fn carried(&self) -> Carried {
        self.wire.carried()
    }

    /// The layout for a column that is asked for as `carried`: as it was described, or as text.
    /// `None` for anything else.
    pub(super) fn asked(self, carried: &Carried) -> Option<Self> {
        if self.carried() == *carried {
            return Some(self);
        }
        (*carried == Carried::AsText).then(|| self.text())
    }

    /// The server's own text of the values.
    fn text(self) -> Self {
        let cast = match &self.wire {
            Wire::Text | Wire::Output | Wire::Jsonb | Wire::Uuid | Wire::Formatted(_) => return self,
            Wire::Numeric { .. } => return Self { wire: Wire::Formatted(Format::Numeric), cast: "" },
            // Its own text is a matter of the server's locale.
            Wire::Money { .. } => "::numeric::text",
            Wire::List(element) if matches!(element.wire, Wire::Money { .. }) => "::numeric[]::text",
            _ => "::text",
        };
        Self { wire: Wire::Output, cast }
    }
}

/// The SELECT list of these columns, each as its layout wants it.
pub(super) fn select_list(columns: &[Column], layouts: &[Layout]) -> String {
    let item = |(column, layout): (&Column, &Layout)| {
        let name = quoted(&column.name);
        match layout.cast {
            "" => name,
            cast => format!("{name}{cast} AS {name}"),
        }
    };
    columns.iter().zip(layouts).map(item).collect::<Vec<_>>().join(", ")
}

/// What the catalog says of a type that is not known by its number.
enum Entry {
    Domain { base: u32, modifier: i32 },
    Array { element: u32 },
    Composite(Vec<Attribute>),
    Enum,
    Other,
}

/// A field of a composite type.
struct Attribute {
    name: String,
    oid: u32,
    modifier: i32,
}

/// The types that columns are made of.
#[derive(Default)]
struct Types {
    entries: HashMap<u32, Entry>,
    facts: Facts,
}

/// What is left of the bounds on one column.
struct Room {
    depth: u32,
    parts: u32,
}

impl Types {
    /// How a column of this type travels. The server has already replaced a domain by its base type.
    fn layout(&self, oid: u32, modifier: i32) -> Layout {
        let mut room = Room { depth: MAX_DEPTH, parts: MAX_PARTS };
        if let Some(wire) = self.wire(oid, modifier, &mut room) {
            return Layout { wire, cast: "" };
        }
        // The server turns each element into text as readily as the whole.
        if matches!(self.entries.get(&oid), Some(Entry::Array { .. })) {
            let element = Part { oid: Type::TEXT.oid(), wire: Wire::Output };
            return Layout { wire: Wire::List(Box::new(element)), cast: "::text[]" };
        }
        Layout { wire: Wire::Output, cast: "::text" }
    }

    /// The binary layout of a type; `None` when it, or a part of it, can only go as text.
    fn wire(&self, oid: u32, modifier: i32, room: &mut Room) -> Option<Wire> {
        room.parts = room.parts.checked_sub(1)?;
        if let Some(wire) = Wire::scalar(oid, modifier, self.facts) {
            return Some(wire);
        }
        room.depth = room.depth.checked_sub(1)?;
        let wire = match self.entries.get(&oid)? {
            Entry::Domain { base, modifier } => self.wire(*base, *modifier, room),
            Entry::Array { element } => {
                let part = self.part(*element, modifier, room)?;
                Some(Wire::List(Box::new(part)))
            }
            // There is no Parquet column for a value without fields.
            Entry::Composite(attributes) if attributes.is_empty() => None,
            Entry::Composite(attributes) => {
                let member = |a: &Attribute| Some((a.name.clone(), self.part(a.oid, a.modifier, room)?));
                attributes.iter().map(member).collect::<Option<Vec<_>>>().map(Wire::Struct)
            }
            Entry::Enum => Some(Wire::Output),
            Entry::Other => None,
        };
        room.depth += 1;
        wire
    }

    fn part(&self, oid: u32, modifier: i32, room: &mut Room) -> Option<Part> {
        Some(Part { oid, wire: self.wire(oid, modifier, room)? })
    }
}

/// The types and all that they are made of: base types of domains, elements of arrays, fields of
/// composite types. An array type is what its element type names as its array; others that have
/// elements (`point`, `int2vector`) only look alike.
const TYPES: &str = "
WITH RECURSIVE reached(id) AS (
  SELECT unnest($1::oid[])
  UNION
  SELECT part.id FROM reached JOIN pg_type t ON t.oid = reached.id CROSS JOIN LATERAL (
    SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL SELECT e.oid FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid
    UNION ALL SELECT a.atttypid FROM pg_attribute a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS part(id))
SELECT t.oid, t.typtype::text, t.typbasetype, t.typtypmod,
  (SELECT e.oid FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid),
  f.names, f.types, f.modifiers
FROM reached JOIN pg_type t ON t.oid = reached.id CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text ORDER BY a.attnum), array_agg(a.atttypid ORDER BY a.attnum),
    array_agg(a.atttypmod ORDER BY a.attnum)
  FROM pg_attribute a
  WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
) AS f(names, types, modifiers)";

const FACTS: &str = "
SELECT scale(0::money::numeric), current_setting('server_version_num')::int4 >= 170000";

impl Session {
    /// How the columns of a statement travel. Asks the catalog only about types that are not known
    /// by their number.
    pub(super) async fn layouts(&self, columns: &[tokio_postgres::Column]) -> Result<Vec<Layout>> {
        let unknown: Vec<u32> = columns
            .iter()
            .map(|c| c.type_().oid())
            .filter(|oid| Wire::scalar(*oid, -1, Facts::default()).is_none() || Facts::decide(*oid))
            .collect();
        let mut types = Types::default();
        if !unknown.is_empty() {
            let rows = self.rows(TYPES, &[&unknown]).await?;
            types.entries = rows.iter().map(entry).collect::<Result<_>>()?;
            if types.entries.keys().any(|oid| Facts::decide(*oid)) {
                types.facts = self.facts().await?;
            }
        }
        Ok(columns.iter().map(|c| types.layout(c.type_().oid(), c.type_modifier())).collect())
    }

    async fn facts(&self) -> Result<Facts> {
        let rows = self.rows(FACTS, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::failed("the PostgreSQL catalog is not as expected"))?;
        Ok(Facts {
            money_scale: i8::try_from(cell::<i32>(row, 0)?).ok().filter(|scale| (0..=10).contains(scale)),
            infinite_intervals: cell(row, 1)?,
        })
    }
}

fn entry(row: &Row) -> Result<(u32, Entry)> {
    let kind: String = cell(row, 1)?;
    let element: Option<u32> = cell(row, 4)?;
    let entry = match (kind.as_str(), element) {
        ("d", _) => Entry::Domain { base: cell(row, 2)?, modifier: cell(row, 3)? },
        ("c", _) => Entry::Composite(attributes(row)?),
        ("e", _) => Entry::Enum,
        (_, Some(element)) => Entry::Array { element },
        _ => Entry::Other,
    };
    Ok((cell(row, 0)?, entry))
}

fn attributes(row: &Row) -> Result<Vec<Attribute>> {
    let names: Vec<String> = cell::<Option<_>>(row, 5)?.unwrap_or_default();
    let oids: Vec<u32> = cell::<Option<_>>(row, 6)?.unwrap_or_default();
    let modifiers: Vec<i32> = cell::<Option<_>>(row, 7)?.unwrap_or_default();
    let attribute = |((name, oid), modifier)| Attribute { name, oid, modifier };
    Ok(names.into_iter().zip(oids).zip(modifiers).map(attribute).collect())
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
