//! One action per leaf column.

mod columns;
pub mod rehearsal;
pub mod resealing;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use self::columns::{columns, partitions, published};
use super::carried::{self, Leaf};
use super::companion::{self, Companion};
use super::digest::Digests;
use super::{choice, fit};
use crate::error::{Error, Result, harmless};
use crate::keys::{Domain, Keyring, Purpose};
use crate::spec::action::{DateShift, EncryptValue, Fpe, Scrub};
use crate::spec::verdict::{Origin, Verdict};
use crate::spec::{Action, DatasetName, Policy, Tag};

/// What happens to every leaf column of a stream's output.
#[derive(Clone, Debug)]
pub struct Plan {
    dataset: DatasetName,
    input: SchemaRef,
    output: SchemaRef,
    decisions: Vec<Decision>,
    columns: Vec<Column>,
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
    /// The column that this one is made of beside it; `None` for a column of the input.
    pub companion_of: Option<String>,
}

/// How one published top-level column is made.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Index in the input.
    pub(super) index: usize,
    /// The type that goes into the action.
    pub(super) carried: DataType,
    /// Who each row is about, where the action asks: the index in the input, and the type that its values have in
    /// canonical form.
    pub(super) by: Option<(usize, DataType)>,
    /// The action on the values (`Allow` for a nested column whose leaves are open or encrypted).
    pub(super) action: Action,
}

impl Plan {
    /// Decides.
    ///
    /// A column's evidence that comes without a tag, or with a tag no rule matches, leaves the
    /// column to `unmatched`, and so does a source column without any, whatever the output column
    /// itself is tagged; under `refuse` a spec action at least as strong as `encrypt` may stand in
    /// for the rule.
    ///
    /// # Errors
    /// `Held`, naming every column concerned: a column nothing covers under `unmatched: refuse`; a
    /// spec action weaker than what the policy asks; an action the column's type cannot take
    /// (with the actions that can); a mask asked for what a computed column comes from; a type that
    /// cannot be published; a protected partition column; a further column (`as`) of less than the policy
    /// asks, or of another's name; no column left to publish.
    pub fn decide(
        dataset: &DatasetName,
        policy: &Policy,
        schema: SchemaRef,
        verdicts: &[Verdict],
        partition_by: &[String],
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let held = |problems: Vec<String>| {
            let problems: Vec<String> = problems.iter().map(|problem| harmless(problem)).collect();
            Error::held(problems.join("\n"))
                .help("tag the columns under `columns` in the pipeline, or ask for a policy rule that covers them")
                .at(format!("dataset {dataset}"))
        };
        let fields = carried_fields(&schema, &mut problems);
        if !problems.is_empty() {
            return Err(held(problems));
        }
        let leaves = carried::leaves(&Schema::new(fields.clone()))?;
        ambiguous(&leaves, &mut problems);
        let (mut decisions, companions) =
            decisions(dataset, policy, &schema, &leaves, verdicts, &mut problems);
        companion::ambiguous(&companions, &leaves, &mut problems);
        companion::strays(&schema, verdicts, &mut problems);
        if !problems.is_empty() {
            return Err(held(problems));
        }
        let (mut columns, mut output) = columns(&fields, &leaves, &decisions, &mut problems);
        for companion in &companions {
            let decision = Decision::of_companion(dataset, companion);
            if let Some((column, field)) =
                published(companion.index, &decision, &decision.action, &fields, &leaves, &mut problems)
            {
                columns.push(column);
                output.push(field.with_name(&decision.path));
            }
            decisions.push(decision);
        }
        partitions(partition_by, &leaves, &decisions, &mut problems);
        if output.iter().all(|field| partition_by.contains(field.name())) {
            problems.push("no column is left to publish".to_owned());
        }
        if !problems.is_empty() {
            return Err(held(problems));
        }
        let output = Arc::new(Schema::new(output));
        Ok(Self { dataset: dataset.clone(), input: schema, output, decisions, columns })
    }

    /// The same plan for rows that begin with columns of the program's own, which are published as they are.
    pub(super) fn behind(self, own: &[Field]) -> Self {
        let with_own = |schema: &SchemaRef| {
            let fields = own.iter().cloned().map(Arc::new).chain(schema.fields().iter().cloned());
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        let behind = self.columns.into_iter().map(|c| Column {
            index: c.index + own.len(),
            by: c.by.map(|(index, carried)| (index + own.len(), carried)),
            ..c
        });
        Self {
            input: with_own(&self.input),
            output: with_own(&self.output),
            decisions: own.iter().map(Decision::own).chain(self.decisions).collect(),
            columns: own.iter().zip(0..).map(Column::own).chain(behind).collect(),
            dataset: self.dataset,
        }
    }

    /// The same plan for rows that end with columns of the program's own, which are published as they are.
    pub(super) fn before(self, own: &[Field]) -> Self {
        let with_own = |schema: &SchemaRef| {
            let fields = schema.fields().iter().cloned().chain(own.iter().cloned().map(Arc::new));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        let first = self.input.fields().len();
        Self {
            input: with_own(&self.input),
            output: with_own(&self.output),
            decisions: self.decisions.into_iter().chain(own.iter().map(Decision::own)).collect(),
            columns: self.columns.into_iter().chain(own.iter().zip(first..).map(Column::own)).collect(),
            dataset: self.dataset,
        }
    }

    /// Completes the key ids of the decisions with the versions that exist.
    ///
    /// # Errors
    /// `Failed` when the key records cannot be read.
    pub async fn name_keys(&mut self, keyring: &Keyring) -> Result<()> {
        for decision in &mut self.decisions {
            if let Some(purpose) = purpose(&self.dataset, &decision.path, &decision.action) {
                let named = keyring.peek(&purpose).await?.map(|id| match &purpose {
                    // A tree of subjects is one, however often subjects were shredded.
                    Purpose::Subject { .. } => format!("{}@1", purpose.base_id()),
                    _ => id,
                });
                decision.key = named.or_else(|| Some(purpose.base_id()));
            }
        }
        Ok(())
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

    /// One decision per leaf column of the input, in schema order, and then one per further column made of one.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// Digests of no rows yet, one for each column that is published, of its values before any action.
    ///
    /// # Errors
    /// Those of [`Digests::prepare`].
    pub async fn digests(&self, keyring: &Keyring) -> Result<Digests> {
        let columns = self.output.fields().iter().zip(&self.columns);
        let columns = columns.map(|(field, column)| (field.name().as_str(), &column.carried));
        Digests::prepare(keyring, &self.dataset, columns).await
    }

    /// How the published columns are made, in output order.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl Decision {
    /// The leaf's name as people write it.
    #[must_use]
    pub fn dotted(&self) -> String {
        dotted(&self.path)
    }

    /// Of a column of the program's own.
    fn own(field: &Field) -> Self {
        Self {
            path: field.name().clone(),
            tag: None,
            action: Action::Allow,
            because: "made by sealift".to_owned(),
            key: None,
            companion_of: None,
        }
    }

    /// Of a further column.
    fn of_companion(dataset: &DatasetName, companion: &Companion) -> Self {
        let Companion { of, name, choice, .. } = companion;
        Self {
            path: name.clone(),
            tag: choice.tag.clone(),
            key: purpose(dataset, name, &choice.action).map(|purpose| purpose.base_id()),
            action: choice.action.clone(),
            because: format!("beside `{of}`, {}", choice.because),
            companion_of: Some(of.clone()),
        }
    }

    /// The input column that it is made of.
    #[must_use]
    pub fn made_of(&self) -> &str {
        self.companion_of.as_deref().unwrap_or(&self.path)
    }
}

/// A leaf's path as people write it: without the levels that Parquet adds for lists and maps.
#[must_use]
pub fn dotted(path: &str) -> String {
    path.replace(".list.element", "").replace(".key_value", "")
}

impl Column {
    fn own((field, index): (&Field, usize)) -> Self {
        Self { index, carried: field.data_type().clone(), by: None, action: Action::Allow }
    }
}

/// What the action's key is for; `None` when it needs none.
#[must_use]
pub fn purpose(dataset: &DatasetName, path: &str, action: &Action) -> Option<Purpose> {
    let domain = |join_domain: &Option<String>| match join_domain {
        Some(name) => Domain::Join(name.clone()),
        None => Domain::Column { dataset: dataset.clone(), column: path.to_owned() },
    };
    match action {
        Action::Encrypt => Some(Purpose::Column { dataset: dataset.clone(), column: path.to_owned() }),
        Action::EncryptValue(EncryptValue { by }) => Some(match by {
            None => Purpose::Value { dataset: dataset.clone(), column: path.to_owned() },
            Some(_) => Purpose::Subject { dataset: dataset.clone(), column: path.to_owned() },
        }),
        Action::Tokenize { join_domain, .. } => Some(Purpose::Tokenize(domain(join_domain))),
        Action::TokenizeFpe(Fpe { join_domain, .. }) => Some(Purpose::Fpe(domain(join_domain))),
        Action::Hash { join_domain, .. } => Some(Purpose::Hash(domain(join_domain))),
        Action::DateShift(DateShift { join_domain, .. }) => {
            Some(Purpose::Shift { dataset: dataset.clone(), join_domain: join_domain.clone() })
        }
        Action::Scrub(Scrub::Token { join_domain }) => Some(Purpose::Tokenize(domain(join_domain))),
        Action::Allow
        | Action::Generalize(_)
        | Action::Mask(_)
        | Action::Scrub(Scrub::Label)
        | Action::Redact
        | Action::Nullify
        | Action::Drop => None,
    }
}

/// The input's fields as they can be published, without any metadata.
fn carried_fields(schema: &Schema, problems: &mut Vec<String>) -> Vec<Field> {
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        match carried::carried(field.data_type()) {
            Ok(data_type) => fields.push(Field::new(field.name(), data_type, field.is_nullable())),
            Err(remedy) => problems.push(format!(
                "column `{}`: type {} cannot be published; {remedy}",
                field.name(),
                field.data_type()
            )),
        }
    }
    fields
}

/// Delta tells names apart without regard to case, and Parquet keys go by path.
fn ambiguous(leaves: &[Leaf], problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for leaf in leaves.iter().filter(|leaf| !seen.insert(leaf.path.to_lowercase())) {
        problems.push(format!("column `{}`: there are two columns of this name; rename one", leaf.path));
    }
}

fn decisions(
    dataset: &DatasetName,
    policy: &Policy,
    schema: &Schema,
    leaves: &[Leaf],
    verdicts: &[Verdict],
    problems: &mut Vec<String>,
) -> (Vec<Decision>, Vec<Companion>) {
    let (mut decisions, mut companions) = (Vec::with_capacity(leaves.len()), Vec::new());
    for (column, field) in schema.fields().iter().enumerate() {
        let nothing_known = || Verdict {
            column: field.name().clone(),
            evidence: Vec::new(),
            origin: Origin::Unknown,
            copy_of: None,
            undeclared: Vec::new(),
        };
        let verdict =
            verdicts.get(column).filter(|v| v.column == *field.name()).cloned().unwrap_or_else(nothing_known);
        let own: Vec<&Leaf> = leaves.iter().filter(|leaf| leaf.column == column).collect();
        for (name, line) in verdict
            .evidence
            .iter()
            .filter_map(|e| Some((e.leaf.as_ref()?, e.declared.position.line)))
            .filter(|(name, _)| !own.iter().any(|leaf| choice::covers(name, leaf)))
        {
            problems.push(format!("column `{}`: it has no part `{name}` (spec line {line})", field.name()));
        }
        for leaf in own {
            let Some(choice) = choice::choose(policy, leaf, &verdict, problems) else { continue };
            if !fit::can_take(leaf, &choice.action) {
                problems.push(format!(
                    "column `{}`: `{}` ({}) {}",
                    leaf.path,
                    choice.action,
                    choice.because,
                    fit::refusal(leaf)
                ));
            }
            if let Some(reason) = choice::tells(policy, leaf, &verdict, &choice.action) {
                problems.push(format!(
                    "column `{}`: `{}` ({}) {reason}",
                    leaf.path, choice.action, choice.because
                ));
            }
            companions.extend(companion::of(policy, leaf, &verdict, &choice, problems));
            decisions.push(Decision {
                path: leaf.path.clone(),
                tag: choice.tag,
                key: purpose(dataset, &leaf.path, &choice.action).map(|purpose| purpose.base_id()),
                action: choice.action,
                because: choice.because,
                companion_of: None,
            });
        }
    }
    (decisions, companions)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "action_tests.rs"]
mod action_tests;

#[cfg(test)]
#[path = "laundering_tests.rs"]
mod laundering;
