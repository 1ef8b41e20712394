//! What happens to the rows of a stream between its source and its seal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::classification::Watch;
use super::increment::Asked;
use super::increment::known::Known;
use super::{Engine, StreamPlan, quality};
use crate::error::Result;
use crate::protect::sealed::Keep;
use crate::publish::merge::Rules;
use crate::publish::{Facts, Store};
use crate::{Batches, Rejects};

/// The steps that rows pass, and what they are decided with.
pub(super) struct Passage<'a> {
    pub(super) engine: &'a Engine,
    pub(super) store: &'a Store,
    pub(super) plan: &'a StreamPlan,
    /// Which rows are asked for.
    pub(super) asked: &'a Asked,
    /// What is found of the rows on their way.
    pub(super) found: &'a Found,
    /// When the source was read.
    pub(super) taken_at: DateTime<Utc>,
}

impl Passage<'_> {
    /// Decides on types, transforms, makes fit and judges: `rows` as the source gives them become those that
    /// the stream's protection was decided for. `rejects` takes what is rejected.
    ///
    /// # Errors
    /// Those of the stages.
    pub(super) async fn take(&self, rows: Batches, rejects: Option<Rejects>) -> Result<Batches> {
        let Self { engine, store, plan, asked, found, .. } = *self;
        // Rows are rejected as they are read, or as they are to be published: never both.
        let (unread, unpublished) =
            if plan.quality.quarantines() { (None, rejects) } else { (rejects, None) };
        let rows = asked.narrow(plan, rows, unread);
        let rows = plan.transform.apply(rows).await?;
        let rows = match &plan.fit {
            Some(fit) => fit.apply(rows, Arc::clone(&found.unfit)),
            None => rows,
        };
        let against = quality::Against {
            keyring: &engine.keyring,
            store,
            memory_limit_bytes: engine.config.memory_limit_bytes,
            now_micros: self.taken_at.timestamp_micros(),
        };
        let rows = plan.quality.judge(rows, &against, &found.tally, unpublished).await?;
        let rows = found.watch.over(&plan.protection, plan.quality.rows(), 0, rows);
        Ok(match plan.rules.as_ref().and_then(Rules::lifetime) {
            Some(own) => own.begin(rows, plan.protection.input().clone(), self.taken_at.timestamp_micros()),
            None => rows,
        })
    }
}

/// What is found of the rows while they are written.
#[derive(Default)]
pub(super) struct Found {
    tally: quality::Shared,
    unfit: Arc<AtomicU64>,
    /// What the columns hold that are to be open.
    pub(super) watch: Watch,
    /// Whether rows are published that passed in an earlier run.
    pub(super) is_partial: AtomicBool,
}

impl Found {
    /// Which rows are not `known`, and so are brought by the run.
    pub(super) fn brought(&self, plan: &StreamPlan, known: Known) -> Keep {
        plan.quality.brought(known.keep(), &self.tally)
    }

    /// What was found, when all rows have passed.
    ///
    /// # Errors
    /// Those of [`quality::Quality::conclude`].
    pub(super) fn told(&self, plan: &StreamPlan, asked: &Asked) -> Result<(Option<Facts>, Vec<String>)> {
        let tally = self.tally.lock().map(|tally| tally.clone()).unwrap_or_default();
        let mut warnings = plan.quality.conclude(&tally, plan.last.as_ref())?;
        for text in plan.warnings.iter().map(String::as_str).chain(asked.warning()) {
            tracing::warn!(dataset = %plan.dataset, "{text}");
            warnings.push(text.to_owned());
        }
        let unfit = self.unfit.load(Ordering::Relaxed);
        if let Some(fit) = plan.fit.as_ref().filter(|_| unfit > 0) {
            let columns = fit.columns().join("`, `");
            let rows = if unfit == 1 { "1 row was".to_owned() } else { format!("{unfit} rows were") };
            let text = format!("{rows} left out: a value does not fit the published type of `{columns}`");
            tracing::warn!(dataset = %plan.dataset, "{text}");
            warnings.push(text);
        }
        Ok(((!self.is_partial.load(Ordering::Relaxed)).then(|| tally.facts()), warnings))
    }
}
