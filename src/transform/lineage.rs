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
///
/// A row of another relation tells something of the source row it was matched with, and a count
/// tells how many matched: `SELECT a.d FROM source JOIN (VALUES ('0'), …) a(d) ON
/// substr(ssn, 1, 1) = a.d` spells a number out without naming its column in the result. So the
/// columns that decide which rows exist reach every column that is not the source's own.
pub(super) fn origins(plan: &LogicalPlan) -> Vec<Origin> {
    Walk { deciding: deciding(plan) }.origins(plan)
}

/// The source columns that decide which rows exist and how often.
pub(super) fn deciding(plan: &LogicalPlan) -> Origin {
    Walk { deciding: from([]) }.deciding(plan)
}

/// One pass over a plan.
struct Walk {
    /// Source columns that decide which rows exist and how often.
    deciding: Origin,
}

impl Walk {
    /// What the conditions of filters and joins and the inputs of unnesting come from.
    fn deciding(&self, plan: &LogicalPlan) -> Origin {
        let mut deciding = from([]);
        let walked = plan.apply_with_subqueries(|node| {
            let conditions: Vec<Expr> = match node {
                LogicalPlan::Filter(filter) => vec![filter.predicate.clone()],
                LogicalPlan::Join(join) => join
                    .on
                    .iter()
                    .flat_map(|(left, right)| [left.clone(), right.clone()])
                    .chain(join.filter.clone())
                    .collect(),
                LogicalPlan::Unnest(unnest) => {
                    unnest.exec_columns.iter().cloned().map(Expr::Column).collect()
                }
                _ => Vec::new(),
            };
            for condition in &conditions {
                deciding = merge(take(&mut deciding), self.across(condition, node));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if walked.is_ok() { deciding } else { Origin::Unknown }
    }

    /// The origin of a condition, whose columns may lie in several inputs.
    fn across(&self, condition: &Expr, node: &LogicalPlan) -> Origin {
        // What a subquery takes from the query around it is in no input here.
        if is_correlated(condition) {
            return Origin::Unknown;
        }
        condition.column_refs().into_iter().fold(from([]), |origin, column| {
            let found = node.inputs().into_iter().find_map(|input| {
                let index = input.schema().maybe_index_of_column(column)?;
                self.origins(input).get(index).cloned()
            });
            merge(origin, found.unwrap_or(Origin::Unknown))
        })
    }

    /// The origin of every output column, in schema order.
    fn origins(&self, plan: &LogicalPlan) -> Vec<Origin> {
        let width = plan.schema().fields().len();
        match self.known(plan) {
            Some(origins) if origins.len() == width => origins,
            _ => vec![Origin::Unknown; width],
        }
    }

    /// As [`Walk::origins`], or nothing where the node is not understood.
    fn known(&self, plan: &LogicalPlan) -> Option<Vec<Origin>> {
        match plan {
            LogicalPlan::TableScan(scan) => Some(
                scan.projected_schema.fields().iter().map(|field| from([field.name().clone()])).collect(),
            ),
            LogicalPlan::Projection(projection) => {
                let out = self.of_all(&projection.expr, &projection.input);
                Some(if reads_source(&projection.input) { out } else { self.matched(out) })
            }
            LogicalPlan::Filter(filter) => Some(self.origins(&filter.input)),
            LogicalPlan::Sort(sort) => Some(self.origins(&sort.input)),
            LogicalPlan::Limit(limit) => Some(self.origins(&limit.input)),
            LogicalPlan::Repartition(repartition) => Some(self.origins(&repartition.input)),
            LogicalPlan::SubqueryAlias(alias) => Some(self.origins(&alias.input)),
            LogicalPlan::Distinct(Distinct::All(input)) => Some(self.origins(input)),
            LogicalPlan::Distinct(Distinct::On(on)) => Some(self.of_all(&on.select_expr, &on.input)),
            LogicalPlan::Aggregate(aggregate) => {
                let mut out = self.of_all(&aggregate.group_expr, &aggregate.input);
                out.extend(self.matched(self.of_all(&aggregate.aggr_expr, &aggregate.input)));
                Some(out)
            }
            LogicalPlan::Window(window) => {
                let mut out = self.origins(&window.input);
                out.extend(self.matched(self.of_all(&window.window_expr, &window.input)));
                Some(out)
            }
            LogicalPlan::Union(union) => {
                union.inputs.iter().map(|input| self.origins(input)).reduce(|left, right| {
                    left.into_iter().zip(right).map(|(left, right)| merge(left, right)).collect()
                })
            }
            LogicalPlan::Join(join) => {
                let (left, right) = (self.origins(&join.left), self.origins(&join.right));
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
                let input = self.origins(&unnest.input);
                unnest.dependency_indices.iter().map(|&index| input.get(index).cloned()).collect()
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
                Some(vec![self.deciding.clone(); plan.schema().fields().len()])
            }
            _ => None,
        }
    }

    /// The same origins, reached also by what decides which rows exist.
    fn matched(&self, origins: Vec<Origin>) -> Vec<Origin> {
        origins.into_iter().map(|origin| merge(origin, self.deciding.clone())).collect()
    }

    fn of_all(&self, exprs: &[Expr], input: &LogicalPlan) -> Vec<Origin> {
        let inputs = self.origins(input);
        exprs.iter().map(|expr| self.of(expr, input.schema(), &inputs)).collect()
    }

    /// The origin of one expression over an input of this schema and these origins.
    fn of(&self, expr: &Expr, schema: &DFSchemaRef, inputs: &[Origin]) -> Origin {
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
            origin = merge(take(&mut origin), found);
            Ok(TreeNodeRecursion::Continue)
        });
        if walked.is_ok() { origin } else { Origin::Unknown }
    }
}

/// Whether the expression, or a subquery in it, names columns of a query around it.
fn is_correlated(expr: &Expr) -> bool {
    let names_outer = |part: &Expr| match part {
        Expr::OuterReferenceColumn(..) => true,
        Expr::Exists(exists) => !exists.subquery.outer_ref_columns.is_empty(),
        Expr::InSubquery(within) => !within.subquery.outer_ref_columns.is_empty(),
        Expr::SetComparison(compared) => !compared.subquery.outer_ref_columns.is_empty(),
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        _ => false,
    };
    expr.exists(|part| Ok(names_outer(part))).unwrap_or(true)
}

/// Whether every output row is made of one row of the source: nothing is sorted, counted or matched.
pub(super) fn is_row_by_row(plan: &LogicalPlan) -> bool {
    let mut is = true;
    let walked = plan.apply_with_subqueries(|node| {
        is &= match node {
            LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
                let subquery = |expr: &Expr| {
                    expr.exists(|part| {
                        let is_other =
                            matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_));
                        Ok(is_other || matches!(part, Expr::SetComparison(_)))
                    })
                    .unwrap_or(true)
                };
                !node.expressions().iter().any(subquery)
            }
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    is && walked.is_ok()
}

/// What makes output rows of many source rows, or of so many of them; nothing where each is made of one.
pub(super) fn gathers(plan: &LogicalPlan) -> Option<&'static str> {
    let mut gathers = None;
    let walked = plan.apply_with_subqueries(|node| {
        let word = match node {
            LogicalPlan::Aggregate(_) => "groups or counts",
            LogicalPlan::Distinct(Distinct::On(_)) => "keeps one of several with DISTINCT ON",
            LogicalPlan::Limit(_) => "limits",
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => "limits",
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if reads_source(node) {
            gathers = Some(word);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_ok() { gathers } else { Some("reads in an unknown way") }
}

/// Whether rows are left out by what the source says of them, and not by their place among others.
pub(super) fn filters(plan: &LogicalPlan) -> bool {
    let mut filters = false;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            filters |= is_of_rows(&filter.predicate, &filter.input);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    filters || walked.is_err()
}

/// For every column of a plan whether it is made of a row's own values, and not of its place in a window.
fn of_rows(plan: &LogicalPlan) -> Vec<bool> {
    let width = plan.schema().fields().len();
    match plan {
        LogicalPlan::Filter(filter) => of_rows(&filter.input),
        LogicalPlan::Sort(sort) => of_rows(&sort.input),
        LogicalPlan::SubqueryAlias(alias) => of_rows(&alias.input),
        LogicalPlan::Window(window) => {
            let mut of_rows = of_rows(&window.input);
            of_rows.resize(width, false);
            of_rows
        }
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().map(|expr| is_of_rows(expr, &projection.input)).collect()
        }
        _ => vec![true; width],
    }
}

fn is_of_rows(expr: &Expr, input: &LogicalPlan) -> bool {
    let (of_rows, schema) = (of_rows(input), input.schema());
    let is_own = |column| schema.maybe_index_of_column(column).and_then(|place| of_rows.get(place).copied());
    expr.column_refs().into_iter().any(|column| is_own(column).unwrap_or(true))
}

/// Whether rows of the source come through this node.
fn reads_source(plan: &LogicalPlan) -> bool {
    let mut reads = false;
    let walked = plan.apply_with_subqueries(|node| {
        reads |= matches!(node, LogicalPlan::TableScan(_));
        Ok(TreeNodeRecursion::Continue)
    });
    reads && walked.is_ok()
}

fn take(origin: &mut Origin) -> Origin {
    std::mem::replace(origin, Origin::Unknown)
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

fn from<const N: usize>(names: [String; N]) -> Origin {
    Origin::Columns(BTreeSet::from(names))
}

pub(super) fn merge(left: Origin, right: Origin) -> Origin {
    match (left, right) {
        (Origin::Columns(mut left), Origin::Columns(right)) => {
            left.extend(right);
            Origin::Columns(left)
        }
        _ => Origin::Unknown,
    }
}
