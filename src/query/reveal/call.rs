//! The functions as DataFusion calls them. All are volatile: they are never computed from constants, computed once
//! for several places, or handed down to a scan.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::budget::Budget;
use super::function::{Function, Opens};
use super::{Origin, wait};
use crate::error::{Error, Result};
use crate::query::fault::carry;

/// A call that nobody allowed yet, or that was overlooked: it fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Untied {
    pub(super) function: Function,
    signature: Signature,
}

/// A call that is allowed, over one column.
pub(super) struct Tied {
    function: Function,
    signature: Signature,
    pub(super) allowed: Arc<Allowed>,
}

/// What a call may do, and has done.
pub(super) struct Allowed {
    pub(super) function: Function,
    pub(super) origin: Origin,
    opener: Box<dyn Opens>,
    budget: Budget,
    revealed: AtomicU64,
}

impl Untied {
    pub(super) fn new(function: Function) -> Self {
        Self { function, signature: signature() }
    }
}

impl Tied {
    pub(super) fn new(allowed: Arc<Allowed>) -> Self {
        Self { function: allowed.function, signature: signature(), allowed }
    }
}

impl Allowed {
    pub(super) fn new(function: Function, origin: Origin, opener: Box<dyn Opens>, budget: Budget) -> Self {
        Self { function, origin, opener, budget, revealed: AtomicU64::new(0) }
    }

    /// Values that were revealed so far, or for which the budget was taken.
    pub(super) fn revealed(&self) -> u64 {
        self.revealed.load(Ordering::Relaxed)
    }

    /// The values are paid for first.
    fn reveal(&self, cells: &ArrayRef) -> Result<ArrayRef> {
        let values = (cells.len() - cells.null_count()) as u64;
        if values > 0 {
            wait(self.budget.take(values))?;
            self.revealed.fetch_add(values, Ordering::Relaxed);
        }
        self.opener.open(cells)
    }
}

fn signature() -> Signature {
    Signature::any(1, Volatility::Volatile)
}

impl ScalarUDFImpl for Untied {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Err(carry(Error::denied(format!("`{}` is not allowed here", self.name()))))
    }
}

impl ScalarUDFImpl for Tied {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let [cells] = args.args.as_slice() else {
            return Err(carry(Error::failed("a function got more than one column")));
        };
        let cells = cells.to_array(rows)?;
        self.allowed.reveal(&cells).map(ColumnarValue::Array).map_err(carry)
    }
}

/// Calls of one column are the same call, whatever plan they are in.
impl PartialEq for Tied {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.allowed, &other.allowed)
    }
}

impl Eq for Tied {}

impl Hash for Tied {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.function, &self.allowed.origin).hash(state);
    }
}

impl fmt::Debug for Tied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.function.name()).field("column", &self.allowed.origin).finish_non_exhaustive()
    }
}
