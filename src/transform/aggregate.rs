//! Output columns that sum up many rows: `SELECT country, avg(salary) … GROUP BY country HAVING count(*) >= 20`.
//!
//! Only what is plainly so counts: one known function over one source column as it is, in a query whose
//! groups are as large as it asks. An expression inside (`avg(CASE WHEN id = 7 THEN salary END)`), a filter of
//! its own, or a condition that looks at the column would single rows out.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, LogicalPlan, Operator};

use super::lineage;
use crate::spec::verdict::{Aggregated, Origin};

/// For every output column, what it sums up, if it does; `deciding` are the source columns that decide which
/// rows exist.
pub(super) fn aggregates(plan: &LogicalPlan, deciding: &Origin) -> Vec<Option<Aggregated>> {
    let width = plan.schema().fields().len();
    match plan {
        LogicalPlan::Sort(sort) => aggregates(&sort.input, deciding),
        LogicalPlan::SubqueryAlias(alias) => aggregates(&alias.input, deciding),
        LogicalPlan::Projection(projection) => {
            let (inputs, schema) = (aggregates(&projection.input, deciding), projection.input.schema());
            let through = |expr: &Expr| match expr.clone().unalias() {
                Expr::Column(column) => inputs.get(schema.maybe_index_of_column(&column)?)?.clone(),
                _ => None,
            };
            projection.expr.iter().map(through).collect()
        }
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) => {
                let min_rows = min_rows(&filter.predicate, aggregate);
                summed(aggregate, deciding, min_rows.unwrap_or(0))
            }
            _ => vec![None; width],
        },
        LogicalPlan::Aggregate(aggregate) => summed(aggregate, deciding, 0),
        _ => vec![None; width],
    }
}

fn summed(aggregate: &Aggregate, deciding: &Origin, min_rows: u64) -> Vec<Option<Aggregated>> {
    let copies = lineage::copies(&aggregate.input);
    let grouping = grouping(aggregate);
    let of = |expr: &Expr| {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else {
            return None;
        };
        let [Expr::Column(column)] = params.args.as_slice() else { return None };
        if params.filter.is_some() || !params.order_by.is_empty() {
            return None;
        }
        let source = copies.get(aggregate.input.schema().maybe_index_of_column(column)?)?.clone()?;
        let decides = [deciding, &grouping].into_iter().any(|origin| match origin {
            Origin::Columns(names) => names.contains(&source),
            Origin::Unknown => true,
        });
        let function = func.name().to_lowercase();
        (!decides).then_some(Aggregated { function, column: source, min_rows })
    };
    let groups = aggregate.schema.fields().len().saturating_sub(aggregate.aggr_expr.len());
    std::iter::repeat_n(None, groups).chain(aggregate.aggr_expr.iter().map(of)).collect()
}

/// The source columns that rows are grouped by.
fn grouping(aggregate: &Aggregate) -> Origin {
    let (inputs, schema) = (lineage::origins(&aggregate.input), aggregate.input.schema());
    let columns = aggregate.group_expr.iter().flat_map(Expr::column_refs);
    columns.fold(Origin::Columns(BTreeSet::new()), |grouping, column| {
        let place = schema.maybe_index_of_column(column);
        let origin = place.and_then(|place| inputs.get(place)).cloned();
        lineage::merge(grouping, origin.unwrap_or(Origin::Unknown))
    })
}

/// What `HAVING count(*) >= n` asks for, alone or among conditions that all must hold.
fn min_rows(predicate: &Expr, aggregate: &Aggregate) -> Option<u64> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = predicate else { return None };
    let (rows, least) = match op {
        Operator::And => return min_rows(left, aggregate).max(min_rows(right, aggregate)),
        Operator::GtEq => (left, integer(right)?),
        Operator::Gt => (left, integer(right)?.checked_add(1)?),
        Operator::LtEq => (right, integer(left)?),
        Operator::Lt => (right, integer(left)?.checked_add(1)?),
        _ => return None,
    };
    is_row_count(rows, aggregate).then(|| u64::try_from(least).ok()).flatten()
}

fn integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(value), _) => *value,
        _ => None,
    }
}

/// Whether it is `count(*)` of the group.
fn is_row_count(expr: &Expr, aggregate: &Aggregate) -> bool {
    let Expr::Column(column) = expr else { return false };
    let groups = aggregate.schema.fields().len().saturating_sub(aggregate.aggr_expr.len());
    let place = aggregate.schema.maybe_index_of_column(column);
    let counted = place.and_then(|place| aggregate.aggr_expr.get(place.checked_sub(groups)?));
    match counted.map(|expr| expr.clone().unalias()) {
        Some(Expr::AggregateFunction(AggregateFunction { func, params })) => {
            let is_of_all =
                params.args.iter().all(|arg| matches!(arg, Expr::Literal(value, _) if !value.is_null()));
            func.name() == "count" && is_of_all && !params.distinct && params.filter.is_none()
        }
        _ => false,
    }
}
