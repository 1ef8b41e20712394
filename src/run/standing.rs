//! What is published already, and whether a run may follow it.

use chrono::{DateTime, Utc};

use super::{Engine, Extent, StreamPlan, application};
use crate::error::{At, Error, Result};
use crate::keys::Purpose;
use crate::protect::Decision;
use crate::publish::merge::Rules;
use crate::publish::{Decided, History, Mode, Order, Publication, Store, Table};
use crate::spec::action::Options;
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
    /// Whether the pipeline's last run ended before it had published the stream.
    pub is_cut_off: bool,
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

/// How far back a dataset's history is read.
struct Reach {
    /// `pipeline/stream`
    stream: String,
    /// Whether versions of runs may be there that did not come to their end.
    is_long: bool,
    /// Whether the stream reads on from its last cursor.
    needs_cursor: bool,
    /// Whether rows of others would go.
    replaces: bool,
}

impl Reach {
    fn is_enough(&self, history: &History) -> bool {
        let mut own = history.publications.iter().filter(|one| one.stream == self.stream);
        // Nothing counts that was published before all rows were replaced.
        let is_all = || history.publications.iter().any(|one| one.overwrites);
        let has_own = match self.needs_cursor {
            true => own.any(|one| one.cursor.is_some()) || is_all(),
            false => own.next().is_some() || history.versions >= VERSIONS_BACK,
        };
        has_own && (!self.is_long || history.versions >= VERSIONS_BACK) && (!self.replaces || is_all())
    }
}

/// What Sealift published to each plan's datasets, in the order of `plans`. `is_settled` says that the
/// pipeline's last run came to its end, so that nothing of one that did not has to be looked for.
///
/// # Errors
/// Those of [`super::contract::Comparison::check`]; `Held` when rows of another pipeline's stream are there
/// that this one would replace, or take out as missing, when pseudonyms that stay were made with another key,
/// and when the keys of a published dataset are missing: new keys under the old names would leave two kinds
/// of ciphertext in one table. Else those of the store.
pub async fn standing(
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    plans: &[StreamPlan],
    extent: &Extent,
    is_settled: bool,
) -> Result<Vec<Standing>> {
    let mut standing = Vec::with_capacity(plans.len());
    for plan in plans {
        let reach = Reach {
            stream: application(pipeline, &plan.relation.stream),
            is_long: !is_settled || plan.quarantine.is_some(),
            needs_cursor: plan.increment.is_some(),
            replaces: plan.mode == Mode::Append && *extent == Extent::Full,
        };
        let dataset = history(engine, store, plan, &plan.dataset, &reach).await?;
        let quarantine = match &plan.quarantine {
            Some(quarantine) => {
                let reach = Reach { needs_cursor: false, ..reach };
                history(engine, store, plan, &quarantine.dataset, &reach).await?
            }
            None => None,
        };
        plan.comparison.check().at(|| format!("stream {}", plan.relation.stream))?;
        if let Some(quarantine) = &plan.quarantine {
            let checked = quarantine.comparison.check();
            let checked = checked.at(|| format!("its quarantine {}", quarantine.dataset));
            checked.at(|| format!("stream {}", plan.relation.stream))?;
        }
        let nothing = || History { is_whole: true, ..History::default() };
        let dataset = dataset.unwrap_or_else(nothing);
        standing.push(Standing { dataset, quarantine, is_cut_off: false });
    }
    Ok(standing)
}

/// What stands in one dataset of a stream, which the stream may follow.
async fn history(
    engine: &Engine,
    store: &Store,
    plan: &StreamPlan,
    dataset: &DatasetName,
    reach: &Reach,
) -> Result<Option<History>> {
    let history = Table::history(store, dataset, &reach.stream, |history| reach.is_enough(history)).await?;
    if let Some(history) = &history {
        may_follow(engine, plan, dataset, history, reach)
            .await
            .at(|| format!("stream {}", plan.relation.stream))?;
    }
    Ok(history)
}

/// What other streams published since all rows were last replaced, newest first.
fn others<'a>(history: &'a History, stream: &'a str) -> impl Iterator<Item = &'a Publication> {
    let mut is_before = false;
    let since = history.publications.iter().take_while(move |one| {
        let is_since = !is_before;
        is_before |= one.overwrites;
        is_since
    });
    since.filter(move |one| one.stream != stream)
}

/// A key that was published as a token is not found by one that is published as it is.
fn check_form(rules: &Rules, plan: &StreamPlan, dataset: &DatasetName, newest: &Publication) -> Result<()> {
    let form = |word: &str| if word == "encrypt" { "allow" } else { word }.to_owned();
    let now = plan.protection.decisions().iter().filter(|decision| rules.key.contains(&decision.path));
    for decision in now {
        let before = newest.columns.iter().find(|one| one.column == decision.path).map(|one| &one.action);
        let Some(before) = before.filter(|word| form(word) != form(decision.action.word())) else {
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

/// A value that was published by an action looks otherwise by the same one with another key or other options, so that
/// neither it nor its row is found again, and readers cannot tell which rows are which.
fn check_values(decisions: &[Decision], dataset: &DatasetName, history: &History) -> Result<()> {
    for decision in decisions {
        let of_action = |c: &&Decided| c.column == decision.path && c.action == decision.action.word();
        let publications = history.publications.iter();
        let recorded: Vec<&Decided> =
            publications.filter_map(|one| one.columns.iter().find(of_action)).collect();
        check_options(decision, dataset, &recorded)?;
        if decision.action.is_pseudonym() {
            check_key(decision, dataset, &recorded)?;
        }
    }
    Ok(())
}

/// `recorded`: of the column under its action, newest first.
fn check_options(decision: &Decision, dataset: &DatasetName, recorded: &[&Decided]) -> Result<()> {
    let Some(before) = recorded.iter().map(|one| &one.options).find(|options| !options.is_empty()) else {
        return Ok(());
    };
    let now = decision.action.options();
    let names = before.keys().chain(now.keys());
    let Some(name) = names.into_iter().find(|name| before.get(*name) != now.get(*name)) else {
        return Ok(());
    };
    let shown = |options: &Options| {
        options
            .get(name)
            .map_or_else(|| format!("without `{name}`"), |value| format!("with `{name}: {value}`"))
    };
    Err(Error::held(format!(
        "column `{}` was published to {dataset} by `{}` {} and is now {}: the same value would look otherwise in the \
         rows that are there",
        decision.path,
        decision.action,
        shown(before),
        shown(&now)
    ))
    .help(format!(
        "give the policy its old `{name}` back, publish once with write_mode: overwrite, or to another dataset"
    )))
}

/// As [`check_options`].
fn check_key(decision: &Decision, dataset: &DatasetName, recorded: &[&Decided]) -> Result<()> {
    // A key that is not there yet has no version.
    let is_same = |before: &str, now: &str| match before.rsplit_once('@') {
        Some((id, _)) if !now.contains('@') => id == now,
        _ => before == now,
    };
    let before = recorded.iter().find_map(|one| one.key.as_deref());
    match (before, decision.key.as_deref()) {
        (Some(before), Some(now)) if !is_same(before, now) => Err(Error::held(format!(
            "column `{}` was published to {dataset} with the key {before} and is now with {now}: the same value \
             would look otherwise in the rows that are there",
            decision.path
        ))
        .help("give the policy its old `join_domain` back, publish once with write_mode: overwrite, or to another dataset")),
        _ => Ok(()),
    }
}

async fn may_follow(
    engine: &Engine,
    plan: &StreamPlan,
    dataset: &DatasetName,
    history: &History,
    reach: &Reach,
) -> Result<()> {
    let Some(newest) = history.publications.first() else { return Ok(()) };
    let replaces = reach.replaces || plan.mode == Mode::Overwrite;
    let takes_all = replaces || plan.rules.as_ref().is_some_and(|rules| rules.missing.is_some());
    let stranger = others(history, &reach.stream).next().filter(|_| takes_all);
    if let Some(stranger) = stranger {
        return Err(Error::held(format!("dataset {dataset} is published by {}", stranger.stream)).help(
            "give this stream a `dataset` of its own, or remove the table if it is meant to take over",
        ));
    }
    if !replaces {
        let decisions = match &plan.quarantine {
            Some(quarantine) if quarantine.dataset == *dataset => quarantine.protection.decisions(),
            _ => plan.protection.decisions(),
        };
        check_values(decisions, dataset, history)?;
    }
    if let Some(rules) = &plan.rules {
        check_form(rules, plan, dataset, newest)?;
    }
    if !engine.keyring.knows(&Purpose::Footer(dataset.clone())).await? {
        return Err(Error::held(format!("dataset {dataset} is published, but its keys are not here"))
            .help("restore the keys folder that `keys` in the configuration names, or mount it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Outcome;
    use crate::spec::Action;
    use crate::spec::action::{Canonical, Generalize, Mask};

    fn publication(stream: &str, overwrites: bool, key: Option<&str>) -> Publication {
        let column = Decided {
            column: "email".to_owned(),
            tag: None,
            action: "tokenize".to_owned(),
            key: key.map(str::to_owned),
            options: Options::new(),
        };
        Publication {
            run_id: "run".to_owned(),
            stream: stream.to_owned(),
            outcome: Outcome { version: 0, rows: 1, bytes: 1, receipt: None },
            cursor: None,
            window: None,
            columns: vec![column],
            at_ms: 0,
            withdrawn: Vec::new(),
            overwrites,
        }
    }

    fn history(publications: Vec<Publication>) -> History {
        History { publications, ..History::default() }
    }

    #[test]
    fn rows_of_others_are_there_until_all_are_replaced() {
        let found = |publications| others(&history(publications), "p/own").count();
        let (own, other) = (publication("p/own", false, None), publication("q/other", false, None));
        let all = publication("p/own", true, None);
        assert_eq!(found(vec![own.clone(), other.clone(), own.clone()]), 1, "not only the newest counts");
        assert_eq!(found(vec![own.clone(), all, other]), 0);
        assert_eq!(found(vec![own, publication("q/other", true, None)]), 1);
    }

    #[test]
    fn pseudonyms_that_stay_are_made_with_one_key() {
        let decision = |key: &str| Decision {
            path: "email".to_owned(),
            tag: None,
            action: Action::Tokenize { join_domain: None, canonical: Canonical::Text },
            because: String::new(),
            key: Some(key.to_owned()),
            companion_of: None,
        };
        let check = |now: &str, before: Vec<Publication>| {
            let dataset = DatasetName::parse("crm.people").unwrap();
            check_values(&[decision(now)], &dataset, &history(before))
        };
        let with = |key| publication("p/own", false, key);
        let old = Some("sealift:join/customer#tokenize@1");
        check("sealift:join/customer#tokenize", vec![with(old)]).unwrap();
        check("sealift:join/crm#tokenize", vec![with(None)]).unwrap();
        let error = check("sealift:join/crm#tokenize", vec![with(None), with(old)]).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Held);
    }

    #[test]
    fn values_that_stay_are_made_with_the_same_options() {
        let email = || Some("email".to_owned());
        let width = |width| Action::Generalize(Generalize::Width(std::num::NonZeroU32::new(width).unwrap()));
        let hash = |canonical| Action::Hash { join_domain: email(), canonical };
        let code = |code| hash(Canonical::Phone { calling_code: code });
        let check = |before: &Action, now: Action| {
            let mut then = publication("p/own", false, None);
            then.columns[0].action = before.word().to_owned();
            then.columns[0].options = before.options();
            let decision = Decision {
                path: "email".to_owned(),
                tag: None,
                action: now,
                because: String::new(),
                key: None,
                companion_of: None,
            };
            let dataset = DatasetName::parse("crm.people").unwrap();
            check_values(&[decision], &dataset, &history(vec![then]))
        };
        check(&width(10), width(10)).unwrap();
        check(&code(Some(49)), code(Some(49))).unwrap();
        check(&Action::Mask(Mask { keep_last: 4 }), width(10)).unwrap();
        for (before, now, name) in [
            (width(10), width(5), "`width: 10`"),
            (width(10), Action::Generalize(Generalize::Prefix(std::num::NonZeroU32::MIN)), "`width: 10`"),
            (hash(Canonical::Text), hash(Canonical::Email), "`canonical: text`"),
            (code(Some(49)), code(None), "`calling_code: 49`"),
            (Action::Mask(Mask { keep_last: 4 }), Action::Mask(Mask { keep_last: 2 }), "`keep_last: 4`"),
        ] {
            let error = check(&before, now).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Held);
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }
}
