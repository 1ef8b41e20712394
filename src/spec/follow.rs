//! Pipelines that follow others (`schedule: {after: …}`), looked at all together.

use std::collections::{BTreeMap, BTreeSet};

use super::claims;
use super::faults::{nearest, quoted};
use super::pipeline::Position;
use super::problem::Problem;
use super::schedule::{After, Timing};
use super::{DatasetName, Pipeline, PipelineName};

/// What is wrong with whom pipelines follow: names of pipelines that are not there, and pipelines that follow each
/// other in a circle. `others` are pipelines that are there and cannot be read.
#[must_use]
pub fn check_followed(pipelines: &[&Pipeline], others: &BTreeSet<String>) -> Vec<Problem> {
    let set = Set::of(pipelines);
    let mut problems = Vec::new();
    let names: BTreeSet<&str> =
        set.0.keys().map(|name| name.as_str()).chain(others.iter().map(String::as_str)).collect();
    for follower in set.0.values() {
        for name in follower.named.iter().filter(|name| !names.contains(name.as_str())) {
            let near: Vec<&str> = names.iter().copied().collect();
            let help = match nearest(name.as_str(), &near) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`after` names pipelines of the same folder".to_owned(),
            };
            problems.push(follower.problem(format!("there is no pipeline {}", quoted(name.as_str())), help));
        }
    }
    for circle in set.circles() {
        let Some(first) = circle.first().and_then(|name| set.0.get(name)) else { continue };
        let told: Vec<String> = circle.iter().chain(circle.first()).map(|name| format!("`{name}`")).collect();
        let message = format!("pipelines follow each other in a circle: {}", told.join(" after "));
        problems.push(first.problem(message, "let one of them go by `cron` or `every`".to_owned()));
    }
    problems
}

/// One pipeline, and whom it follows.
struct Follower<'a> {
    pipeline: &'a Pipeline,
    position: Option<Position>,
    /// By name.
    named: Vec<&'a PipelineName>,
    /// By name, or by a dataset that they are known to publish.
    followed: Vec<&'a PipelineName>,
}

struct Set<'a>(BTreeMap<&'a PipelineName, Follower<'a>>);

impl<'a> Set<'a> {
    fn of(pipelines: &[&'a Pipeline]) -> Self {
        let follow =
            |pipeline: &'a Pipeline| match pipeline.schedule.as_ref().map(|schedule| &schedule.timing) {
                Some(Timing::After(after)) => Some(after),
                _ => None,
            };
        let by_dataset = pipelines.iter().any(|one| matches!(follow(one), Some(After::Dataset { .. })));
        let publishers = if by_dataset { publishers(pipelines) } else { BTreeMap::new() };
        let follower = |pipeline: &'a Pipeline| {
            let (position, named, followed) = match follow(pipeline) {
                None => (None, Vec::new(), Vec::new()),
                Some(After::Pipelines { names, position, .. }) => {
                    let names: Vec<_> = names.iter().collect();
                    (Some(*position), names.clone(), names)
                }
                Some(After::Dataset { name, position }) => {
                    (Some(*position), Vec::new(), publishers.get(name).cloned().unwrap_or_default())
                }
            };
            (&pipeline.name, Follower { pipeline, position, named, followed })
        };
        Self(pipelines.iter().copied().map(follower).collect())
    }

    /// Each circle once, in the order in which one follows the next.
    fn circles(&self) -> Vec<Vec<&'a PipelineName>> {
        let mut settled = BTreeSet::new();
        let mut circles = Vec::new();
        for start in self.0.keys() {
            // A walk along those that are followed, with how far each step has looked.
            let mut walk: Vec<(&'a PipelineName, usize)> = vec![(*start, 0)];
            while let Some((name, looked)) = walk.last_mut() {
                let next = self
                    .0
                    .get(*name)
                    .filter(|_| !settled.contains(*name))
                    .and_then(|one| one.followed.get(*looked));
                *looked += 1;
                match next {
                    None => {
                        settled.insert(*name);
                        walk.pop();
                    }
                    Some(next) => match walk.iter().position(|(earlier, _)| earlier == next) {
                        Some(at) => circles.push(walk.iter().skip(at).map(|(name, _)| *name).collect()),
                        None => walk.push((*next, 0)),
                    },
                }
            }
        }
        circles
    }
}

impl Follower<'_> {
    fn problem(&self, message: String, help: String) -> Problem {
        let at = self.position.unwrap_or(Position { line: 1, column: 1 });
        let place = |number: u64| usize::try_from(number).unwrap_or(1);
        let whole = Problem::of_file(&self.pipeline.path, message, Some(help));
        Problem { line: place(at.line), column: place(at.column), ..whole }
    }
}

/// Which pipelines publish a dataset, as far as their streams stand for one each.
fn publishers<'a>(pipelines: &[&'a Pipeline]) -> BTreeMap<DatasetName, Vec<&'a PipelineName>> {
    let mut publishers: BTreeMap<DatasetName, Vec<&PipelineName>> = BTreeMap::new();
    for pipeline in pipelines {
        for stream in &pipeline.streams {
            if let Some(Ok(dataset)) = claims::dataset(&stream.selector, &stream.dataset) {
                publishers.entry(dataset).or_default().push(&pipeline.name);
            }
        }
    }
    publishers
}
