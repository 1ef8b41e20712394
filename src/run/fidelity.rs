//! What carrying a column does to its values, and the spec's decisions on it.

use std::fmt;

use arrow::datatypes::DataType;

use crate::error::{Error, Result};
use crate::source::{Carried, Column, convert};
use crate::spec::pipeline::{ColumnType, Columns, Conversion, OnOverflow};

/// A column of the source with the decision on how it is carried.
#[derive(Clone, Debug)]
pub struct SourceColumn {
    /// As the source describes it.
    pub described: Column,
    /// What the spec decides (`as`, `on_overflow`).
    pub decided: Option<Conversion>,
}

impl SourceColumn {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.described.name
    }

    /// As it is asked of the source: as text under a decision.
    #[must_use]
    pub fn asked(&self) -> Column {
        match self.decided {
            Some(_) => convert::asked(&self.described),
            None => self.described.clone(),
        }
    }

    /// Whether it sends rows to the quarantine.
    #[must_use]
    pub fn quarantines(&self) -> bool {
        self.decided.is_some_and(|decided| decided.on_overflow == OnOverflow::Quarantine)
    }

    /// As the stages after the source see it.
    #[must_use]
    pub fn carried(&self) -> Column {
        match self.decided {
            Some(conversion) => convert::converted(&self.described, conversion),
            None => self.described.clone(),
        }
    }

    /// The Arrow type it is carried as; `None` when it is refused.
    #[must_use]
    pub fn arrow_type(&self) -> Option<DataType> {
        self.carried().field().map(|field| field.data_type().clone())
    }

    /// What becomes of its values where they stay as they are read.
    #[must_use]
    pub fn as_read(&self) -> Fidelity {
        match self.asked().carried {
            Carried::Exact(_) => Fidelity::Exact,
            Carried::AsText => Fidelity::AsText,
            Carried::Refused { .. } => Fidelity::Refused,
        }
    }

    /// What becomes of its values.
    #[must_use]
    pub fn fidelity(&self) -> Fidelity {
        match (&self.described.carried, self.decided) {
            (_, Some(Conversion { to: ColumnType::Text, .. })) => Fidelity::AsText,
            (_, Some(Conversion { to, on_overflow: OnOverflow::Null })) => Fidelity::Lossy(to),
            (_, Some(Conversion { on_overflow: OnOverflow::Fail, .. })) => Fidelity::ExactOrFail,
            (_, Some(Conversion { on_overflow: OnOverflow::Quarantine, .. })) => Fidelity::ExactOrQuarantined,
            (Carried::Exact(_), None) => Fidelity::Exact,
            (Carried::AsText, None) => Fidelity::AsText,
            (Carried::Refused { .. }, None) => Fidelity::Refused,
        }
    }
}

/// What becomes of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// Every value survives unchanged.
    Exact,
    /// Every value survives as text that reads back to the same value.
    AsText,
    /// By decision: every value survives unchanged, or the run fails.
    ExactOrFail,
    /// By decision: every value survives unchanged, or its row goes to the quarantine.
    ExactOrQuarantined,
    /// By decision: what this type cannot hold becomes NULL.
    Lossy(ColumnType),
    /// Values would be lost and nothing is decided: the run is held.
    Refused,
}

impl Fidelity {
    /// Whether values may be lost, by decision or for want of one.
    #[must_use]
    pub const fn is_lossy(self) -> bool {
        matches!(self, Self::Lossy(_) | Self::Refused)
    }
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::AsText => f.write_str("exact-as-text"),
            Self::ExactOrFail => f.write_str("exact or fail"),
            Self::ExactOrQuarantined => f.write_str("exact or quarantined"),
            Self::Lossy(to) => write!(f, "lossy: NULL beyond {to}"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

/// The columns of a source with the decisions on them.
#[must_use]
pub fn decide(described: Vec<Column>, declared: &Columns) -> Vec<SourceColumn> {
    let decided = |name: &str| declared.named.get(name).and_then(|column| column.conversion);
    let decide = |described: Column| SourceColumn { decided: decided(&described.name), described };
    described.into_iter().map(decide).collect()
}

/// Checks that every decision on a type is about a column of the source: an output column that the
/// transform computes has the type that its SQL gives it.
///
/// # Errors
/// `Invalid`, with line and nearest name of every decision on something else.
pub fn check_names(declared: &Columns, source: &[SourceColumn]) -> Result<()> {
    let is_stray = |name: &str| source.iter().all(|column| column.name() != name);
    let decisions = declared.named.iter().filter(|(_, column)| column.conversion.is_some());
    let faults: Vec<String> = decisions
        .filter(|(name, _)| is_stray(name))
        .map(|(name, column)| {
            let line = column.position.line;
            let nearest = nearest(name, source).map(|near| format!("; did you mean `{near}`?"));
            format!(
                "line {line}: `as` decides the type of a column of the source, and `{name}` is none{}",
                nearest.unwrap_or_default()
            )
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(faults.join("\n"))
        .help("name the column as the source does; for one that `transform` computes, write a CAST there"))
}

/// Checks that no decision reads the digits of bits or bytes as those of a number.
///
/// # Errors
/// `Invalid`, naming the column.
pub fn check_types(source: &[SourceColumn]) -> Result<()> {
    let are_digits = |column: &Column| {
        let source_type = column.source_type.to_lowercase();
        matches!(column.carried, Carried::Exact(DataType::Binary | DataType::LargeBinary))
            || ["bit", "varbit", "binary", "varbinary", "bytea", "blob", "raw"]
                .iter()
                .any(|word| source_type.starts_with(word))
    };
    let stray = source.iter().find(|column| {
        column.decided.is_some_and(|decided| decided.to != ColumnType::Text) && are_digits(&column.described)
    });
    let Some(SourceColumn { described, decided: Some(decided) }) = stray else { return Ok(()) };
    Err(Error::invalid(format!(
        "column `{}` of type {} holds bits or bytes, which are no {}",
        described.name, described.source_type, decided.to
    ))
    .help("write {as: text} for its digits, or compute the number in a query"))
}

fn nearest<'a>(name: &str, source: &'a [SourceColumn]) -> Option<&'a str> {
    let distance = |near: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &near.to_lowercase());
    source
        .iter()
        .map(|column| (distance(column.name()), column.name()))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 3))
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::spec::pipeline;

    fn columns(decisions: &[(&str, ColumnType, OnOverflow)]) -> Columns {
        let named = decisions.iter().zip(7..).map(|((name, to, on_overflow), line)| {
            let conversion = Some(Conversion { to: *to, on_overflow: *on_overflow });
            let position = pipeline::Position { line, column: 1 };
            let column = pipeline::Column { tag: None, action: None, conversion, companion: None, position };
            ((*name).to_owned(), Box::new(column))
        });
        Columns { named: named.collect(), default: None }
    }

    fn source(columns: &[(&str, Carried)]) -> Vec<Column> {
        let column = |(name, carried): &(&str, Carried)| Column {
            name: (*name).to_owned(),
            source_type: "numeric".to_owned(),
            nullable: false,
            carried: carried.clone(),
        };
        columns.iter().map(column).collect()
    }

    #[test]
    fn a_decision_makes_a_refused_column_one_that_is_carried() {
        let refused = Carried::Refused { remedy: String::new() };
        let described = source(&[
            ("plain", Carried::Exact(DataType::Int64)),
            ("uuid", Carried::AsText),
            ("open", refused.clone()),
            ("amount", refused.clone()),
            ("rate", refused.clone()),
            ("note", refused.clone()),
            ("fee", refused),
        ]);
        let declared = columns(&[
            ("amount", ColumnType::Decimal(38, 9), OnOverflow::Fail),
            ("rate", ColumnType::Decimal(38, 9), OnOverflow::Null),
            ("note", ColumnType::Text, OnOverflow::Fail),
            ("fee", ColumnType::Int64, OnOverflow::Quarantine),
        ]);
        let decided = decide(described, &declared);
        check_names(&declared, &decided).unwrap();
        let shown: Vec<String> =
            decided.iter().map(|c| format!("{}: {:?}, {}", c.name(), c.arrow_type(), c.fidelity())).collect();
        assert_eq!(
            shown,
            [
                "plain: Some(Int64), exact",
                "uuid: Some(Utf8), exact-as-text",
                "open: None, refused",
                "amount: Some(Decimal128(38, 9)), exact or fail",
                "rate: Some(Decimal128(38, 9)), lossy: NULL beyond decimal(38,9)",
                "note: Some(Utf8), exact-as-text",
                "fee: Some(Int64), exact or quarantined",
            ]
        );
        // Under a decision the source is asked for text, whatever the type is to be.
        let asked: Vec<_> = decided.iter().map(|column| column.asked().carried == Carried::AsText).collect();
        assert_eq!(asked, [false, true, false, true, true, true, true]);
        let nullable: Vec<_> = decided.iter().map(|column| column.carried().nullable).collect();
        assert_eq!(nullable, [false, false, false, false, true, false, false]);
    }

    #[test]
    fn a_decision_on_no_column_of_the_source_is_told_with_the_nearest() {
        let declared = columns(&[
            ("amuont", ColumnType::Text, OnOverflow::Fail),
            ("total", ColumnType::Text, OnOverflow::Fail),
        ]);
        let described = decide(source(&[("amount", Carried::AsText)]), &declared);
        let error = check_names(&declared, &described).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            error.message(),
            "line 7: `as` decides the type of a column of the source, and `amuont` is none; did you mean \
             `amount`?\nline 8: `as` decides the type of a column of the source, and `total` is none"
        );
    }
}
