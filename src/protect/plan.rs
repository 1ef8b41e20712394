//! One action per leaf column.

use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::spec::verdict::Verdict;
use crate::spec::{Action, DatasetName, Policy, Tag};

/// What happens to every leaf column of a stream's output.
#[derive(Clone, Debug)]
pub struct Plan {
    dataset: DatasetName,
    input: SchemaRef,
    output: SchemaRef,
    decisions: Vec<Decision>,
}

/// What happens to one leaf column, and why.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Leaf path: the column's name, or `column.field` (lists as Parquet writes them:
    /// `column.list.element`) for a leaf of a nested column.
    pub path: String,
    /// The tag that decided, if any.
    pub tag: Option<Tag>,
    /// The action.
    pub action: Action,
    /// Who asked: `policy rule 2 (pii.*)`, `spec line 14`, `unmatched: encrypt`.
    pub because: String,
    /// Id of the key the action uses (`sealift:crm.customers/ssn@1` once a key exists; without the
    /// version before that).
    pub key: Option<String>,
}

impl Plan {
    /// Decides.
    ///
    /// # Errors
    /// `Held`, naming every column concerned: a column nothing covers under `unmatched: refuse`; a
    /// spec action weaker than what the policy asks; an action the column's type cannot take
    /// (with the actions that can); a protected partition column; no column left to publish.
    pub fn decide(
        _dataset: &DatasetName,
        _policy: &Policy,
        _schema: SchemaRef,
        _verdicts: &[Verdict],
        _partition_by: &[String],
    ) -> Result<Self> {
        todo!()
    }

    /// The dataset the plan is for.
    #[must_use]
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// The schema that goes in.
    #[must_use]
    pub fn input(&self) -> &SchemaRef {
        &self.input
    }

    /// The schema that comes out: dropped columns gone, hashed, tokenized and masked ones text.
    #[must_use]
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// One decision per leaf column of the input, in schema order.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }
}
