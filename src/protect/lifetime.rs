//! Columns of the program's own, behind all others, that say how long a row held. They are open.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use futures::StreamExt as _;

use super::Plan;
use crate::Batches;
use crate::error::{Error, Result};

/// Since when the source no longer has the row; NULL while it has.
pub const DELETED_AT: &str = "_deleted_at";
/// When the row was first read as it is.
pub const VALID_FROM: &str = "_valid_from";
/// When it was first read otherwise, or no longer; NULL until then.
pub const VALID_TO: &str = "_valid_to";
/// Whether it still is as it was read.
pub const IS_CURRENT: &str = "_is_current";

/// Which of them a dataset has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// [`DELETED_AT`]
    Deleted,
    /// [`VALID_FROM`], [`VALID_TO`] and [`IS_CURRENT`].
    Valid,
}

impl Lifetime {
    /// The columns, in order.
    #[must_use]
    pub fn fields(self) -> Vec<Field> {
        let instant = |name: &str, nullable| Field::new(name, instant(), nullable);
        match self {
            Self::Deleted => vec![instant(DELETED_AT, true)],
            Self::Valid => vec![
                instant(VALID_FROM, false),
                instant(VALID_TO, true),
                Field::new(IS_CURRENT, DataType::Boolean, false),
            ],
        }
    }

    /// The column that tells whether a row still holds: [`IS_CURRENT`], or [`DELETED_AT`], which is then NULL.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Deleted => DELETED_AT,
            Self::Valid => IS_CURRENT,
        }
    }

    /// The rows with these columns behind the others, as they are from `at_us` on (microseconds since 1970
    /// UTC). `schema` is [`Plan::input`] of a plan with them.
    #[must_use]
    pub fn begin(self, rows: Batches, schema: SchemaRef, at_us: i64) -> Batches {
        let extended = move |batch: Result<RecordBatch>| {
            let batch = batch?;
            let own = self.columns(batch.num_rows(), at_us);
            let columns = batch.columns().iter().cloned().chain(own).collect();
            RecordBatch::try_new(schema.clone(), columns).map_err(|_| {
                Error::failed("rows arrived with another schema than the one that was planned")
                    .help("run it again: the source may have changed since the plan was made")
            })
        };
        rows.map(extended).boxed()
    }

    fn columns(self, rows: usize, at_us: i64) -> Vec<ArrayRef> {
        let never = || new_null_array(&instant(), rows);
        match self {
            Self::Deleted => vec![never()],
            Self::Valid => {
                let from = TimestampMicrosecondArray::from_value(at_us, rows).with_timezone("UTC");
                vec![Arc::new(from), never(), Arc::new(BooleanArray::from(vec![true; rows]))]
            }
        }
    }
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl Plan {
    /// The same plan for rows that end with these columns.
    ///
    /// # Errors
    /// `Invalid` when a column has one of their names, which are told apart without regard to case.
    pub fn with_lifetime(self, lifetime: Lifetime) -> Result<Self> {
        let own = lifetime.fields();
        let is_own = |name: &str| own.iter().any(|own| own.name().eq_ignore_ascii_case(name));
        if let Some(field) =
            self.input().fields().iter().chain(self.output().fields()).find(|field| is_own(field.name()))
        {
            return Err(Error::invalid(format!(
                "the name of column `{}` is kept for a column that sealift adds",
                field.name()
            ))
            .help("give it another name in `transform`, with AS"));
        }
        Ok(self.before(&own))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{decide, named, policy, schema};
    use super::*;
    use crate::spec::Action;
    use crate::spec::policy::Unmatched;

    #[test]
    fn own_columns_come_last_and_are_open_and_their_names_are_kept() {
        let policy = policy(Unmatched::Refuse, &[("pii", Action::Encrypt), ("gone", Action::Drop)]);
        let columns = [("a", DataType::Int64), ("b", DataType::Utf8)];
        let verdicts = [named("a", "gone", None), named("b", "pii", None)];
        let plan = decide(&policy, &schema(&columns), &verdicts).unwrap();
        let plan = plan.with_lifetime(Lifetime::Valid).unwrap();
        let names: Vec<_> = plan.output().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["b", VALID_FROM, VALID_TO, IS_CURRENT]);
        let made: Vec<_> = plan.columns().iter().map(|column| column.index).collect();
        assert_eq!(made, [1, 2, 3, 4]);
        let open = plan.decisions().iter().filter(|decision| decision.action == Action::Allow).count();
        assert_eq!((plan.decisions().len(), open), (5, 3));

        let taken = [("a", DataType::Int64), ("_IS_current", DataType::Boolean)];
        let verdicts = [named("a", "pii", None), named("_IS_current", "pii", None)];
        let plan = decide(&policy, &schema(&taken), &verdicts).unwrap();
        assert!(plan.with_lifetime(Lifetime::Valid).is_err());
    }
}
