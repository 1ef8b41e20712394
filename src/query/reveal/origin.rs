//! Which column of which dataset a column of a plan is, unchanged.
//!
//! Only nodes that hand values through as they are have an answer. Whatever else makes a column (an expression, an
//! aggregate, a recursive query, two datasets in one UNION) has none, and so has every node that is not known here.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use crate::publish::Store;
use crate::query::dataset::Dataset;
use crate::spec::DatasetName;

/// A column of one version of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::query) struct Origin {
    pub(in crate::query) dataset: DatasetName,
    pub(in crate::query) column: String,
    pub(in crate::query) version: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.dataset, self.version, self.column)
    }
}

/// The origin of a column that an expression of `node` names, and where its dataset lies.
pub(super) fn of(column: &Column, node: &LogicalPlan) -> Option<(Origin, Store)> {
    let mut found = node.inputs().into_iter().filter_map(|input| Some((input, place(column, input)?)));
    let (input, index) = found.next()?;
    if found.next().is_some() { None } else { walk(input, index) }
}

/// The one place in a plan's output that the column can mean; no field is taken for another of its name.
fn place(column: &Column, plan: &LogicalPlan) -> Option<usize> {
    let is_meant = |relation: Option<&_>| match &column.relation {
        Some(wanted) => relation.is_some_and(|relation| wanted.resolved_eq(relation)),
        None => true,
    };
    let fields = plan.schema().iter().enumerate();
    let mut meant = fields
        .filter(|(_, (relation, field))| *field.name() == column.name && is_meant(*relation))
        .map(|(index, _)| index);
    let index = meant.next()?;
    if meant.next().is_some() { None } else { Some(index) }
}

fn walk(plan: &LogicalPlan, index: usize) -> Option<(Origin, Store)> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let dataset = provider.as_ref().downcast_ref::<Dataset>()?;
            dataset.column(scan.projected_schema.fields().get(index)?.name())
        }
        LogicalPlan::Projection(projection) => same(projection.expr.get(index)?, &projection.input),
        LogicalPlan::Filter(filter) => walk(&filter.input, index),
        LogicalPlan::Sort(sort) => walk(&sort.input, index),
        LogicalPlan::Limit(limit) => walk(&limit.input, index),
        LogicalPlan::Repartition(repartition) => walk(&repartition.input, index),
        LogicalPlan::SubqueryAlias(alias) => walk(&alias.input, index),
        LogicalPlan::Distinct(Distinct::All(input)) => walk(input, index),
        LogicalPlan::Distinct(Distinct::On(on)) => same(on.select_expr.get(index)?, &on.input),
        // Behind the columns that are grouped by are results.
        LogicalPlan::Aggregate(aggregate) => same(aggregate.group_expr.get(index)?, &aggregate.input),
        LogicalPlan::Window(window) => walk_within(&window.input, index),
        LogicalPlan::Union(union) => every(&union.inputs, index),
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    match index.checked_sub(width) {
                        None => walk(&join.left, index),
                        Some(index) => walk(&join.right, index),
                    }
                }
                JoinType::LeftSemi | JoinType::LeftAnti => walk(&join.left, index),
                JoinType::RightSemi | JoinType::RightAnti => walk(&join.right, index),
                JoinType::LeftMark | JoinType::RightMark => None,
            }
        }
        _ => None,
    }
}

/// Behind its input's columns a window function's results follow.
fn walk_within(input: &LogicalPlan, index: usize) -> Option<(Origin, Store)> {
    if index < input.schema().fields().len() { walk(input, index) } else { None }
}

/// The one origin that all inputs have in common.
fn every(inputs: &[Arc<LogicalPlan>], index: usize) -> Option<(Origin, Store)> {
    let mut found = inputs.iter().map(|input| walk(input, index));
    let first = found.next()??;
    let is_same = |other: Option<(Origin, Store)>| other.is_some_and(|(origin, _)| origin == first.0);
    if found.all(is_same) { Some(first) } else { None }
}

/// The origin of an expression that is nothing but a column, under another name or not.
fn same(expr: &Expr, input: &LogicalPlan) -> Option<(Origin, Store)> {
    match expr {
        Expr::Alias(alias) => same(&alias.expr, input),
        Expr::Column(column) => walk(input, place(column, input)?),
        _ => None,
    }
}
