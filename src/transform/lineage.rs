//! Which source columns each output column of a logical plan comes from.
//!
//! Only what is understood gets a narrow answer. Any node or expression that this module does not
//! know yields [`Origin::Unknown`], which protection treats as coming from every column.

use std::collections::BTreeSet;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use crate::spec::verdict::Origin;

/// Every column comes from itself.
pub(super) fn identity(schema: &Schema) -> Vec<Origin> {
    schema.fields().iter().map(|field| from([field.name().clone()])).collect()
}

/// The origin of every output column of `plan`, in schema order.
pub(super) fn origins(plan: &LogicalPlan) -> Vec<Origin> {
    let width = plan.schema().fields().len();
    match known(plan) {
        Some(origins) if origins.len() == width => origins,
        _ => vec![Origin::Unknown; width],
    }
}

/// For every output column the source column whose values it holds unchanged, if it is one.
pub(super) fn copies(plan: &LogicalPlan) -> Vec<Option<String>> {
    let width = plan.schema().fields().len();
    match plan {
        LogicalPlan::TableScan(scan) => {
            scan.projected_schema.fields().iter().map(|field| Some(field.name().clone())).collect()
        }
        LogicalPlan::Filter(filter) => copies(&filter.input),
        LogicalPlan::Sort(sort) => copies(&sort.input),
        LogicalPlan::Limit(limit) => copies(&limit.input),
        LogicalPlan::SubqueryAlias(alias) => copies(&alias.input),
        LogicalPlan::Projection(projection) => {
            let (inputs, schema) = (copies(&projection.input), projection.input.schema());
            let copied = |expr: &Expr| match expr {
                Expr::Column(column) => inputs.get(schema.maybe_index_of_column(column)?)?.clone(),
                _ => None,
            };
            projection.expr.iter().map(|expr| copied(&expr.clone().unalias())).collect()
        }
        _ => vec![None; width],
    }
}

/// As [`origins`], or nothing where the node is not understood.
fn known(plan: &LogicalPlan) -> Option<Vec<Origin>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            Some(scan.projected_schema.fields().iter().map(|field| from([field.name().clone()])).collect())
        }
        LogicalPlan::Projection(projection) => Some(of_all(&projection.expr, &projection.input)),
        LogicalPlan::Filter(filter) => Some(origins(&filter.input)),
        LogicalPlan::Sort(sort) => Some(origins(&sort.input)),
        LogicalPlan::Limit(limit) => Some(origins(&limit.input)),
        LogicalPlan::Repartition(repartition) => Some(origins(&repartition.input)),
        LogicalPlan::SubqueryAlias(alias) => Some(origins(&alias.input)),
        LogicalPlan::Distinct(Distinct::All(input)) => Some(origins(input)),
        LogicalPlan::Distinct(Distinct::On(on)) => Some(of_all(&on.select_expr, &on.input)),
        LogicalPlan::Aggregate(aggregate) => {
            let mut out = of_all(&aggregate.group_expr, &aggregate.input);
            out.extend(of_all(&aggregate.aggr_expr, &aggregate.input));
            Some(out)
        }
        LogicalPlan::Window(window) => {
            let mut out = origins(&window.input);
            out.extend(of_all(&window.window_expr, &window.input));
            Some(out)
        }
        LogicalPlan::Union(union) => union.inputs.iter().map(|input| origins(input)).reduce(|left, right| {
            left.into_iter().zip(right).map(|(left, right)| merge(left, right)).collect()
        }),
        LogicalPlan::Join(join) => {
            let (left, right) = (origins(&join.left), origins(&join.right));
            match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    Some(left.into_iter().chain(right).collect())
                }
                JoinType::LeftSemi | JoinType::LeftAnti => Some(left),
                JoinType::RightSemi | JoinType::RightAnti => Some(right),
                JoinType::LeftMark | JoinType::RightMark => None,
            }
        }
        LogicalPlan::Unnest(unnest) => {
            let input = origins(&unnest.input);
            unnest.dependency_indices.iter().map(|&index| input.get(index).cloned()).collect()
        }
        LogicalPlan::EmptyRelation(_) => Some(vec![from([]); plan.schema().fields().len()]),
        LogicalPlan::Values(values) => {
            let width = plan.schema().fields().len();
            Some(values.values.iter().fold(vec![from([]); width], |out, row| {
                out.into_iter()
                    .zip(row.iter().map(|expr| of(expr, plan.schema(), &[])))
                    .map(|(left, right)| merge(left, right))
                    .collect()
            }))
        }
        _ => None,
    }
}

fn of_all(exprs: &[Expr], input: &LogicalPlan) -> Vec<Origin> {
    let inputs = origins(input);
    exprs.iter().map(|expr| of(expr, input.schema(), &inputs)).collect()
}

/// The origin of one expression over an input of this schema and these origins.
fn of(expr: &Expr, schema: &DFSchemaRef, inputs: &[Origin]) -> Origin {
    let mut origin = from([]);
    let walked = expr.apply(|part| {
        let found = match part {
            Expr::Column(column) => schema
                .maybe_index_of_column(column)
                .and_then(|index| inputs.get(index).cloned())
                .unwrap_or(Origin::Unknown),
            // Each brings in rows or variables from outside this input.
            Expr::ScalarVariable(..)
            | Expr::OuterReferenceColumn(..)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::ScalarSubquery(_)
            | Expr::Placeholder(_) => Origin::Unknown,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        origin = merge(std::mem::replace(&mut origin, Origin::Unknown), found);
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_ok() { origin } else { Origin::Unknown }
}

fn from<const N: usize>(names: [String; N]) -> Origin {
    Origin::Columns(BTreeSet::from(names))
}

fn merge(left: Origin, right: Origin) -> Origin {
    match (left, right) {
        (Origin::Columns(mut left), Origin::Columns(right)) => {
            left.extend(right);
            Origin::Columns(left)
        }
        _ => Origin::Unknown,
    }
}
