//! Through which expressions each output column of a logical plan is made, for people to read. What decides is
//! [`super::lineage`].

use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// Most expressions that are told of one column.
const MOST_STEPS: usize = 16;
/// Most characters of one.
const MOST_CHARS: usize = 160;

/// For every output column the expressions between it and the source, the last one first; nothing for an unchanged
/// copy, and where the plan is not understood.
pub(super) fn paths(plan: &LogicalPlan) -> Vec<Vec<String>> {
    let width = plan.schema().fields().len();
    let mut paths = known(plan);
    paths.resize(width, Vec::new());
    paths
}

fn known(plan: &LogicalPlan) -> Vec<Vec<String>> {
    match plan {
        LogicalPlan::Filter(filter) => paths(&filter.input),
        LogicalPlan::Sort(sort) => paths(&sort.input),
        LogicalPlan::Limit(limit) => paths(&limit.input),
        LogicalPlan::Repartition(repartition) => paths(&repartition.input),
        LogicalPlan::SubqueryAlias(alias) => paths(&alias.input),
        LogicalPlan::Distinct(Distinct::All(input)) => paths(input),
        LogicalPlan::Distinct(Distinct::On(on)) => of_all(&on.select_expr, &on.input),
        LogicalPlan::Projection(projection) => of_all(&projection.expr, &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let mut all = of_all(&aggregate.group_expr, &aggregate.input);
            all.extend(of_all(&aggregate.aggr_expr, &aggregate.input));
            all
        }
        LogicalPlan::Window(window) => {
            let mut all = paths(&window.input);
            all.extend(of_all(&window.window_expr, &window.input));
            all
        }
        LogicalPlan::Join(join) => {
            let mut all = paths(&join.left);
            all.extend(paths(&join.right));
            all
        }
        LogicalPlan::Union(union) => {
            let branches = union.inputs.iter().map(|input| paths(input));
            let joined = branches.reduce(|mut all, branch| {
                all.iter_mut().zip(branch).for_each(|(steps, more)| append(steps, more));
                all
            });
            joined.unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn of_all(exprs: &[Expr], input: &LogicalPlan) -> Vec<Vec<String>> {
    let (below, schema) = (paths(input), input.schema());
    let of = |expr: &Expr| {
        let expr = expr.clone().unalias();
        let mut steps = match &expr {
            Expr::Column(_) => Vec::new(),
            computed => vec![told(computed)],
        };
        let mut columns: Vec<_> = expr.column_refs().into_iter().collect();
        columns.sort();
        for column in columns {
            let index = schema.maybe_index_of_column(column);
            append(&mut steps, index.and_then(|index| below.get(index).cloned()).unwrap_or_default());
        }
        steps
    };
    exprs.iter().map(of).collect()
}

fn append(steps: &mut Vec<String>, more: Vec<String>) {
    for step in more {
        if steps.len() < MOST_STEPS && !steps.contains(&step) {
            steps.push(step);
        }
    }
}

/// The text of an expression; literals in it are those of the spec.
fn told(expr: &Expr) -> String {
    let text = expr.human_display().to_string();
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
