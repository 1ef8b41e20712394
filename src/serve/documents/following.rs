//! Pipelines that follow others, as the documents come and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::settle::Newcomer;
use crate::spec::schedule::Timing;
use crate::spec::{Pipeline, Problem, check_followed};

/// Those newcomers that can follow whom they name, and the others with what is wrong. `held` are the pipelines that
/// stay as they are, `others` the names of documents that cannot be read.
pub(super) fn part(
    newcomers: Vec<Newcomer>,
    held: &[Arc<Pipeline>],
    others: &BTreeSet<String>,
) -> (Vec<Newcomer>, Vec<(Newcomer, Vec<Problem>)>) {
    if !newcomers.iter().any(|newcomer| follows(&newcomer.pipeline)) {
        return (newcomers, Vec::new());
    }
    let with_newcomers: Vec<&Pipeline> =
        held.iter().map(|one| &**one).chain(newcomers.iter().map(|one| &*one.pipeline)).collect();
    let mut problems = check_followed(&with_newcomers, others);
    if problems.is_empty() {
        return (newcomers, Vec::new());
    }
    // What was wrong before is no fault of theirs.
    let mut known = others.clone();
    known.extend(newcomers.iter().map(|newcomer| newcomer.pipeline.name.to_string()));
    let before = told(held, &known);
    problems.retain(|problem| !before.iter().any(|old| is_same(old, problem)));
    let is_of = |problem: &Problem, newcomer: &Newcomer| problem.file == newcomer.path;
    // A circle is told of one of those in it, which need not be the one that closed it.
    let elsewhere: Vec<Problem> =
        problems.iter().filter(|problem| !newcomers.iter().any(|one| is_of(problem, one))).cloned().collect();
    let (mut kept, mut refused) = (Vec::with_capacity(newcomers.len()), Vec::new());
    for newcomer in newcomers {
        let mut wrong: Vec<Problem> = problems.iter().filter(|one| is_of(one, &newcomer)).cloned().collect();
        if wrong.is_empty() && follows(&newcomer.pipeline) {
            wrong.clone_from(&elsewhere);
        }
        if wrong.is_empty() { kept.push(newcomer) } else { refused.push((newcomer, wrong)) }
    }
    (kept, refused)
}

/// What is wrong with whom the pipelines in force follow: one may follow another that is gone.
pub(super) fn told(in_force: &[Arc<Pipeline>], others: &BTreeSet<String>) -> Vec<Problem> {
    if !in_force.iter().any(|pipeline| follows(pipeline)) {
        return Vec::new();
    }
    check_followed(&in_force.iter().map(|one| &**one).collect::<Vec<_>>(), others)
}

fn follows(pipeline: &Pipeline) -> bool {
    pipeline.schedule.as_ref().is_some_and(|schedule| matches!(schedule.timing, Timing::After(_)))
}

fn is_same(one: &Problem, other: &Problem) -> bool {
    one.file == other.file && one.message == other.message
}
