//! Rejected rows: columns that the program itself makes, and behind them the source's.
//!
//! The program's own columns are open, and no other column can be: they bear names that no column of a
//! source may have here, and there is no way to say which they are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Plan;
use crate::error::{Error, Result};
use crate::spec::verdict::Verdict;
use crate::spec::{DatasetName, Policy};

/// The column that says why a row was rejected: names and types, never a value.
pub const REASON: &str = "_sealift_reason";
/// The column that says which run rejected it.
pub const RUN_ID: &str = "_sealift_run_id";
/// How many columns of the program's own stand before the others.
pub const OWN_COLUMNS: usize = 2;
/// What the names of the program's own columns begin with.
const OWN: &str = "_sealift_";

fn own() -> [Field; OWN_COLUMNS] {
    [REASON, RUN_ID].map(|name| Field::new(name, DataType::Utf8, false))
}

/// The schema of rejected rows: [`REASON`], [`RUN_ID`], then the columns of `rows`.
///
/// # Errors
/// `Invalid` when a column of the rows has a name of the program's own.
pub fn schema(rows: &Schema) -> Result<SchemaRef> {
    if let Some(field) = rows.fields().iter().find(|field| is_own(field.name())) {
        return Err(Error::invalid(format!(
            "the name of column `{}` is kept for sealift's own",
            field.name()
        ))
        .help("read the stream by a `query` that gives the column another name"));
    }
    let fields = own().into_iter().map(Arc::new).chain(rows.fields().iter().cloned());
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Names are told apart without regard to case.
fn is_own(name: &str) -> bool {
    name.to_lowercase().starts_with(OWN)
}

impl Plan {
    /// Decides for rejected rows of a [`schema`], with a verdict for each of its columns: the program's
    /// own are open, all others as [`Plan::decide`] says.
    ///
    /// # Errors
    /// Those of [`Plan::decide`]; `Failed` when the schema does not begin with the program's own
    /// columns, or holds another of such a name.
    pub fn decide_rejected(
        dataset: &DatasetName,
        policy: &Policy,
        rejected: &Schema,
        verdicts: &[Verdict],
    ) -> Result<Self> {
        let own = own();
        let begins = rejected.fields().iter().map(AsRef::as_ref).take(own.len()).eq(&own);
        let rows = Schema::new(rejected.fields().iter().skip(own.len()).cloned().collect::<Vec<_>>());
        if !begins || rows.fields().iter().any(|field| is_own(field.name())) {
            return Err(Error::failed("rejected rows do not have the columns that they were planned with"));
        }
        let verdicts = verdicts.get(own.len()..).unwrap_or_default();
        let plan = Self::decide(dataset, policy, Arc::new(rows), verdicts, &[])?;
        if plan.output().fields().iter().any(|field| is_own(field.name())) {
            return Err(Error::invalid("the names of sealift's own columns are kept for them")
                .help("give the further column (`as`) another name"));
        }
        Ok(plan.behind(&own))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dataset, named, policy};
    use super::*;
    use crate::error::Kind;
    use crate::spec::Action;
    use crate::spec::policy::Unmatched;

    fn rows(columns: &[&str]) -> Schema {
        Schema::new(columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>())
    }

    fn rules() -> Policy {
        policy(
            Unmatched::Refuse,
            &[("pii", Action::Encrypt), ("gone", Action::Drop), ("open", Action::Allow)],
        )
    }

    /// Decides with one tag for each column of the source.
    fn decide(columns: &[(&str, &str)]) -> Result<Plan> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let rejected = schema(&rows(&names))?;
        let own = [REASON, RUN_ID].map(|name| named(name, "", None));
        let verdicts: Vec<_> =
            own.into_iter().chain(columns.iter().map(|(name, tag)| named(name, tag, None))).collect();
        Plan::decide_rejected(&dataset(), &rules(), &rejected, &verdicts)
    }

    #[test]
    fn own_columns_are_open_and_all_others_are_as_the_policy_says() {
        let plan = decide(&[("a", "gone"), ("b", "pii"), ("c", "open")]).unwrap();
        let decided: Vec<_> = plan.decisions().iter().map(|d| (d.path.as_str(), d.action.word())).collect();
        let expected =
            [(REASON, "allow"), (RUN_ID, "allow"), ("a", "drop"), ("b", "encrypt"), ("c", "allow")];
        assert_eq!(decided, expected);
        let names = |schema: &SchemaRef| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        assert_eq!(names(plan.input()), [REASON, RUN_ID, "a", "b", "c"]);
        assert_eq!(names(plan.output()), [REASON, RUN_ID, "b", "c"]);
        let made: Vec<_> = plan.columns().iter().map(|column| column.index).collect();
        assert_eq!(made, [0, 1, 3, 4]);
    }

    #[test]
    fn a_column_that_nothing_covers_is_held() {
        let error = decide(&[("a", "open"), ("b", "")]).unwrap_err();
        assert_eq!(error.kind(), Kind::Held);
        assert!(error.message().contains("column `b`") && !error.message().contains("`a`"), "{error}");
    }

    #[test]
    fn trap_no_column_of_a_source_passes_as_one_of_ours() {
        for name in [REASON, RUN_ID, "_SEALIFT_reason", "_sealift_anything"] {
            assert_eq!(decide(&[(name, "pii")]).unwrap_err().kind(), Kind::Invalid, "{name}");
        }
        // Nor does a schema that was not made by `schema`.
        for columns in [&["a", "b"][..], &[REASON, "a"], &[REASON, RUN_ID, "_sealift_x"], &[RUN_ID, REASON]] {
            let verdicts: Vec<_> = columns.iter().map(|name| named(name, "open", None)).collect();
            let typed: Vec<_> = rows(columns).fields().iter().map(|f| f.as_ref().clone()).collect();
            let typed = Schema::new(typed.into_iter().map(|f| f.with_nullable(false)).collect::<Vec<_>>());
            let refused = Plan::decide_rejected(&dataset(), &rules(), &typed, &verdicts);
            assert_eq!(refused.unwrap_err().kind(), Kind::Failed, "{columns:?}");
        }
    }
}
