//! Ties the calls of a plan to columns that are allowed.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};

use super::budget::Budget;
use super::call::{Allowed, Tied, Untied};
use super::function::Function;
use super::tally::Tally;
use super::{Origin, Reveal, column, origin};
use crate::error::{Error, Result};
use crate::keys::Keyring;
use crate::publish::Store;
use crate::query::fault::carry;
use crate::spec::Tag;

/// A call as the text of the query has it.
struct Call {
    function: Function,
    origin: Origin,
    store: Store,
}

/// The plan with its calls allowed, and what records their end; `None` where it has no calls.
///
/// # Errors
/// `Denied` without a [`Reveal`], or where no rule of the policy allows a call; `Invalid` where a call is over
/// anything but a column of a dataset, or one that it does not reverse; those of receipts, keys and audit trail.
/// They may be carried by an error of DataFusion.
pub(in crate::query) async fn bind(
    plan: LogicalPlan,
    reveal: Option<&Reveal>,
    sql: &str,
    keyring: &Keyring,
) -> DfResult<(LogicalPlan, Option<Tally>)> {
    let calls = calls(&plan, reveal)?;
    let Some(reveal) = reveal.filter(|_| !calls.is_empty()) else { return Ok((plan, None)) };
    let mut allowed: Vec<Arc<Allowed>> = Vec::new();
    for call in calls {
        let is_known = |one: &Arc<Allowed>| one.function == call.function && one.origin == call.origin;
        if !allowed.iter().any(is_known) {
            allowed.push(Arc::new(allow(call, reveal, keyring).await.map_err(carry)?));
        }
    }
    let tally = Tally::begin(reveal, &allowed, sql, keyring).await.map_err(carry)?;
    Ok((tied(plan, &allowed)?, Some(tally)))
}

/// Decides on a call; its keys are opened only where it is allowed.
async fn allow(call: Call, reveal: &Reveal, keyring: &Keyring) -> Result<Allowed> {
    let Call { function, origin, store } = call;
    let decided = column::recorded(&store, &origin, keyring).await?;
    function.check(&origin, &decided.action)?;
    let Origin { dataset, column, .. } = &origin;
    let tag = decided.tag.as_deref().and_then(|tag| Tag::parse(tag).ok()).ok_or_else(|| {
        Error::denied(format!("column `{column}` of {dataset} has no tag that a rule could allow"))
            .help("tag the column in its pipeline and publish the dataset again")
    })?;
    let Reveal { actor, purpose, policy, .. } = reveal;
    let rule = policy.reveal_for(&tag, actor, purpose).ok_or_else(|| {
        Error::denied(format!(
            "no `reveal` rule of policy {} allows {actor} to see {tag} for the purpose `{purpose}`",
            policy.name
        ))
        .at(format!("column `{column}` of {dataset}"))
        .help("ask infosec for a rule, or give the purpose that there is one for")
    })?;
    let opener = function.opener(&origin, &decided, keyring).await?;
    let budget = Budget::new(Arc::clone(&reveal.store), actor.clone(), rule);
    budget.forget().await?;
    Ok(Allowed::new(function, origin, opener, budget))
}

/// Every call of a plan, those of its subqueries as well.
fn calls(plan: &LogicalPlan, reveal: Option<&Reveal>) -> DfResult<Vec<Call>> {
    let mut calls = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some((function, args)) = call_of(expr) {
                    let function = function.function;
                    if reveal.is_none() {
                        return Err(carry(without_purpose(function)));
                    }
                    let (origin, store) = column_of(args, node).ok_or_else(|| carry(no_column(function)))?;
                    calls.push(Call { function, origin, store });
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(calls)
}

/// The same plan with what is allowed in the place of every call.
fn tied(plan: LogicalPlan, allowed: &[Arc<Allowed>]) -> DfResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        // Names and types stay, so that what refers to a result still finds it.
        let before = node.clone();
        node.map_expressions(|expr| expr.transform_up(|expr| tie(expr, &before, allowed)))
    })?;
    Ok(plan.data)
}

fn tie(expr: Expr, node: &LogicalPlan, allowed: &[Arc<Allowed>]) -> DfResult<Transformed<Expr>> {
    let Some((function, args)) = call_of(&expr) else { return Ok(Transformed::no(expr)) };
    let function = function.function;
    let found = column_of(args, node)
        .and_then(|(origin, _)| allowed.iter().find(|one| one.function == function && one.origin == origin));
    let allowed = found.ok_or_else(|| carry(no_column(function)))?;
    let func = Arc::new(ScalarUDF::from(Tied::new(Arc::clone(allowed))));
    let args = args.to_vec();
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
}

/// The call that an expression is, if it is one that is not tied yet.
fn call_of(expr: &Expr) -> Option<(&Untied, &[Expr])> {
    let Expr::ScalarFunction(call) = expr else { return None };
    Some((call.func.inner().as_ref().downcast_ref::<Untied>()?, &call.args))
}

fn column_of(args: &[Expr], node: &LogicalPlan) -> Option<(Origin, Store)> {
    match args {
        [Expr::Column(column)] => origin::of(column, node),
        _ => None,
    }
}

fn without_purpose(function: Function) -> Error {
    Error::denied(format!(
        "`{}` shows values that the policy protects, and no purpose was given",
        function.name()
    ))
    .help("add --reveal PURPOSE, with a purpose that a `reveal` rule of the policy names")
}

fn no_column(function: Function) -> Error {
    let name = function.name();
    Error::invalid(format!("`{name}` takes a column of a dataset as it is, and nothing made of one"))
        .help(format!("pass the column itself, and compute with the result: upper({name}(email))"))
}
