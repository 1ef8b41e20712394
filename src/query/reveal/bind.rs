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
use crate::error::{Error, Kind, Result};
use crate::keys::Keyring;
use crate::publish::Store;
use crate::query::fault::carry;
use crate::spec::Tag;
use crate::spec::policy::Purpose;

/// A call as the text of the query has it.
struct Call {
    function: Function,
    /// What it is over; `None` for anything but a column of a dataset.
    column: Option<(Origin, Store)>,
}

/// The plan with its calls allowed, and what records their end; `None` where it has no calls.
///
/// # Errors
/// `Denied` without a [`Reveal`] or a purpose, or where no rule of the policy allows a call, which is recorded;
/// `Invalid` where a call is over anything but a column of a dataset, or one that it does not reverse; those of
/// receipts, keys and audit trail. They may be carried by an error of DataFusion.
pub(in crate::query) async fn bind(
    plan: LogicalPlan,
    reveal: Option<&Reveal>,
    sql: &str,
    keyring: &Keyring,
) -> DfResult<(LogicalPlan, Option<Tally>)> {
    let calls = calls(&plan)?;
    let Some(first) = calls.first() else { return Ok((plan, None)) };
    let asked = Asked::of(reveal, first).await.map_err(carry)?;
    let with_column = |call: Call| match call.column {
        Some((origin, store)) => Ok((call.function, origin, store)),
        None => Err(carry(no_column(call.function))),
    };
    let calls = calls.into_iter().map(with_column).collect::<DfResult<Vec<_>>>()?;
    let mut allowed: Vec<Arc<Allowed>> = Vec::new();
    for (function, origin, store) in calls {
        let is_known = |one: &Arc<Allowed>| one.function == function && one.origin == origin;
        if !allowed.iter().any(is_known) {
            allowed.push(Arc::new(asked.allow(function, origin, &store, keyring).await.map_err(carry)?));
        }
    }
    let tally = Tally::begin(asked.reveal, asked.purpose, &allowed, sql, keyring).await.map_err(carry)?;
    Ok((tied(plan, &allowed)?, Some(tally)))
}

/// Who asks, for what.
#[derive(Clone, Copy)]
struct Asked<'a> {
    reveal: &'a Reveal,
    purpose: &'a Purpose,
}

impl<'a> Asked<'a> {
    /// Refuses a query without a purpose, by its first call.
    async fn of(reveal: Option<&'a Reveal>, first: &Call) -> Result<Self> {
        let Call { function, column } = first;
        if let Some(reveal) = reveal {
            if let Some(purpose) = &reveal.purpose {
                return Ok(Self { reveal, purpose });
            }
            let column = column.as_ref().map_or_else(|| "none".to_owned(), |(origin, _)| origin.to_string());
            reveal.refused(&format!("{} without a purpose column={column}", function.name())).await?;
        }
        Err(no_purpose(*function))
    }

    /// Decides on a call, and records where it is refused.
    async fn allow(
        self,
        function: Function,
        origin: Origin,
        store: &Store,
        keyring: &Keyring,
    ) -> Result<Allowed> {
        let told = format!("{} purpose={} column={origin}", function.name(), self.purpose);
        match self.decide(function, origin, store, keyring, &told).await {
            Err(error) if error.kind() == Kind::Denied => {
                self.reveal.refused(&told).await?;
                Err(error)
            }
            decided => decided,
        }
    }

    /// Decides on a call; its keys are opened only where it is allowed.
    async fn decide(
        self,
        function: Function,
        origin: Origin,
        store: &Store,
        keyring: &Keyring,
        told: &str,
    ) -> Result<Allowed> {
        let decided = column::recorded(store, &origin, keyring).await?;
        function.check(&origin, &decided.action)?;
        let Origin { dataset, column, .. } = &origin;
        let tag = decided.tag.as_deref().and_then(|tag| Tag::parse(tag).ok()).ok_or_else(|| {
            Error::denied(format!("column `{column}` of {dataset} has no tag that a rule could allow"))
                .help("tag the column in its pipeline and publish the dataset again")
        })?;
        let (Reveal { actor, policy, .. }, purpose) = (self.reveal, self.purpose);
        let rule = policy.reveal_for(&tag, actor, purpose).ok_or_else(|| {
            Error::denied(format!(
                "no `reveal` rule of policy {} allows {actor} to see {tag} for the purpose `{purpose}`",
                policy.name
            ))
            .at(format!("column `{column}` of {dataset}"))
            .help("ask infosec for a rule, or give the purpose that there is one for")
        })?;
        let opener = function.opener(&origin, &decided, keyring).await?;
        let budget = Budget::new(Arc::clone(&self.reveal.store), actor.clone(), rule, told.to_owned());
        budget.forget().await?;
        Ok(Allowed::new(function, origin, opener, budget))
    }
}

/// Every call of a plan, those of its subqueries as well.
fn calls(plan: &LogicalPlan) -> DfResult<Vec<Call>> {
    let mut calls = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some((function, args)) = call_of(expr) {
                    calls.push(Call { function: function.function, column: column_of(args, node) });
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

fn no_purpose(function: Function) -> Error {
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
