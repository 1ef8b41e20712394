//! The tests of a policy: what it makes of each case, by the rules that plan every run.

use arrow::datatypes::{DataType, TimeUnit};

use super::Ask;
use crate::error::{Kind, Result};
use crate::protect::plan::rehearsal::rehearse;
use crate::spec::Policy;
use crate::spec::cases::{Case, Expect, TypeWord};

/// A case that came out otherwise than expected.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// The case.
    pub case: &'a Case,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Who asks for that (`policy rule 2 (pii.*)`), or why the run is held.
    pub because: String,
}

/// Tries every case.
///
/// # Errors
/// `Failed` when a case cannot be tried.
pub fn failures<'a>(policy: &Policy, cases: &'a [Case]) -> Result<Vec<Failure<'a>>> {
    let tried = cases.iter().map(|case| tried(policy, case));
    tried.filter_map(Result::transpose).collect()
}

fn tried<'a>(policy: &Policy, case: &'a Case) -> Result<Option<Failure<'a>>> {
    let (got, because) = match rehearse(policy, &case.tags, data_type(case.of_type)) {
        Ok((action, because)) => (Expect::Action(action), because),
        Err(error) if error.kind() == Kind::Held => (Expect::Held, error.message().to_owned()),
        Err(error) => return Err(error),
    };
    if got == case.expect {
        return Ok(None);
    }
    let (expected, got) = (shown(&case.expect), shown(&got));
    Ok(Some(Failure { case, expected, got, because }))
}

fn shown(expect: &Expect) -> String {
    match expect {
        Expect::Held => "held".to_owned(),
        Expect::Action(action) => Ask::Action(action.clone()).shown(),
    }
}

const fn data_type(word: TypeWord) -> DataType {
    match word {
        TypeWord::Text => DataType::Utf8,
        TypeWord::Integer => DataType::Int64,
        TypeWord::Decimal => DataType::Decimal128(18, 2),
        TypeWord::Float => DataType::Float64,
        TypeWord::Boolean => DataType::Boolean,
        TypeWord::Date => DataType::Date32,
        TypeWord::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        TypeWord::Binary => DataType::Binary,
    }
}
