//! What is published already, and whether a run may follow it.

use chrono::{DateTime, Utc};

use super::{Engine, StreamPlan, application};
use crate::error::{At, Error, Result};
use crate::keys::Purpose;
use crate::publish::merge::Rules;
use crate::publish::{History, Mode, Order, Publication, Store, Table};
use crate::spec::{DatasetName, Pipeline};

/// Versions looked back over for what unfinished runs published.
const VERSIONS_BACK: u64 = 100;

/// What is published of one stream.
#[derive(Debug)]
pub struct Standing {
    /// To its dataset.
    pub dataset: History,
    /// To its quarantine; `None` where it has none, or there is no table yet.
    pub quarantine: Option<History>,
}

impl Standing {
    /// What a commit to the dataset comes after.
    pub(super) fn order(&self) -> Order {
        Order::After(self.dataset.txn)
    }

    /// What a commit to the quarantine comes after.
    pub(super) fn quarantine_order(&self) -> Order {
        Order::After(self.quarantine.as_ref().and_then(|history| history.txn))
    }

    /// Refuses rows of an instant at which another run of the `stream` had not published yet what stands now:
    /// it may have read a later one.
    ///
    /// # Errors
    /// `Temporary` then.
    pub(super) fn check_instant(&self, stream: &str, instant: DateTime<Utc>) -> Result<()> {
        let own = self.dataset.publications.iter().find(|publication| publication.stream == stream);
        match own {
            Some(publication) if publication.at_ms >= instant.timestamp_millis() => {
                Err(Error::temporary("another run of the stream published while this one began")
                    .help("run it again: it then follows that run"))
            }
            _ => Ok(()),
        }
    }
}

/// What Sealift published to each plan's datasets, in the order of `plans`.
/// How far back a dataset's history is read.
struct Reach {
    /// `pipeline/stream`
    stream: String,
    /// Whether versions of runs may be there that did not come to their end.
    is_long: bool,
    /// Whether the stream reads on from its last cursor.
    needs_cursor: bool,
}

impl Reach {
    fn is_enough(&self, history: &History) -> bool {
        let mut own = history.publications.iter().filter(|one| one.stream == self.stream);
        let has_own = match self.needs_cursor {
            true => own.any(|one| one.cursor.is_some()),
            false => own.next().is_some() || history.versions >= VERSIONS_BACK,
        };
        has_own && (!self.is_long || history.versions >= VERSIONS_BACK)
    }
}

/// What Sealift published to each plan's datasets, in the order of `plans`. `is_settled` says that the
/// pipeline's last run came to its end, so that nothing of one that did not has to be looked for.
///
/// # Errors
/// `Held` when another pipeline's stream publishes what an overwriting one would replace, or one that looks
/// for missing rows would take out, and when
/// the keys of a published dataset are missing: new keys under the old names would leave two kinds
/// of ciphertext in one table. Else those of the store.
pub async fn standing(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    plans: &[StreamPlan],
    is_settled: bool,
) -> Result<Vec<Standing>> {
    let mut standing = Vec::with_capacity(plans.len());
    for plan in plans {
        let reach = Reach {
            stream: application(pipeline, &plan.relation.stream),
            is_long: !is_settled || plan.quarantine.is_some(),
            needs_cursor: plan.increment.is_some(),
        };
        let dataset = history(engine, pipeline, store, plan, &plan.dataset, &reach).await?;
        let quarantine = match &plan.quarantine {
            Some(quarantine) => {
                let reach = Reach { needs_cursor: false, ..reach };
                history(engine, pipeline, store, plan, &quarantine.dataset, &reach).await?
            }
            None => None,
        };
        let nothing = || History { is_whole: true, ..History::default() };
        standing.push(Standing { dataset: dataset.unwrap_or_else(nothing), quarantine });
    }
    Ok(standing)
}

/// What stands in one dataset of a stream, which the stream may follow.
async fn history(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    plan: &StreamPlan,
    dataset: &DatasetName,
    reach: &Reach,
) -> Result<Option<History>> {
    let stream = application(pipeline, &plan.relation.stream);
    let history = Table::history(store, dataset, &stream, |history| reach.is_enough(history)).await?;
    if let Some(history) = &history {
        may_follow(engine, pipeline, plan, dataset, history)
            .await
            .at(|| format!("stream {}", plan.relation.stream))?;
    }
    Ok(history)
}

/// A key that was published as a token is not found by one that is published as it is.
fn check_form(rules: &Rules, plan: &StreamPlan, dataset: &DatasetName, newest: &Publication) -> Result<()> {
    let form = |word: &str| if word == "encrypt" { "allow".to_owned() } else { word.to_owned() };
    let now = plan.protection.decisions().iter().filter(|decision| rules.key.contains(&decision.path));
    for decision in now {
        let before = newest.columns.iter().find(|(path, _)| *path == decision.path);
        let Some((_, before)) = before.filter(|(_, word)| form(word) != form(decision.action.word())) else {
            continue;
        };
        return Err(Error::held(format!(
            "column `{}` of `primary_key` was published to {dataset} by `{before}` and is now by `{}`: its keys \
             would not be found again",
            decision.path, decision.action
        ))
        .help("publish once with write_mode: overwrite, or to another dataset"));
    }
    Ok(())
}

async fn may_follow(
    engine: &Engine,
    pipeline: &Pipeline,
    plan: &StreamPlan,
    dataset: &DatasetName,
    history: &History,
) -> Result<()> {
    let Some(newest) = history.publications.first() else { return Ok(()) };
    let takes_all = plan.mode == Mode::Overwrite || plan.rules.as_ref().is_some_and(|r| r.missing.is_some());
    if takes_all && newest.stream != application(pipeline, &plan.relation.stream) {
        return Err(Error::held(format!("dataset {dataset} is published by {}", newest.stream)).help(
            "give this stream a `dataset` of its own, or remove the table if it is meant to take over",
        ));
    }
    if let Some(rules) = &plan.rules {
        check_form(rules, plan, dataset, newest)?;
    }
    if engine.keyring.peek(&Purpose::Footer(dataset.clone())).await?.is_none() {
        return Err(Error::held(format!("dataset {dataset} is published, but its keys are not here"))
            .help("restore the keys folder that `keys` in the configuration names, or mount it"));
    }
    Ok(())
}
