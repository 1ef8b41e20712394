//! How many values an actor may have by a rule within an hour.
//!
//! Counted by minutes in the metadata store, where all processes meet: the current minute and the 60 before it, so
//! that no 60 minutes have more than the rule says. Values are taken before they are revealed and never given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SecondsFormat};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use crate::error::{Error, Result};
use crate::govern::Store;
use crate::govern::audit::{self, Action};
use crate::govern::store::{begin_alone, fault, now_ms};
use crate::spec::policy;

/// Minutes before the current one that count.
const MINUTES: i64 = 60;
const MINUTE_MS: i64 = 60_000;

/// What one actor may have by one rule, for a call.
pub(super) struct Budget {
    store: Arc<dyn Store>,
    actor: String,
    rule: String,
    most: u64,
    /// The call, as the audit trail is told where it is refused.
    call: String,
    is_told: AtomicBool,
}

impl Budget {
    pub(super) fn new(store: Arc<dyn Store>, actor: String, rule: &policy::Reveal, call: String) -> Self {
        let digest = hex::encode(Sha256::digest(rule.scope()));
        let (most, is_told) = (rule.max_values_per_hour, AtomicBool::new(false));
        Self { store, actor, rule: digest, most, call, is_told }
    }

    /// Takes `values`, all or none, whoever else takes some at the same time. Where they are not to be had, that is
    /// recorded, once.
    ///
    /// # Errors
    /// `Temporary` with the time to try again where fewer are left, `Denied` where the rule never allows so many;
    /// `Temporary` or `Failed` as the store answers.
    pub(super) async fn take(&self, values: u64) -> Result<()> {
        self.take_in(now_ms() / MINUTE_MS, values).await
    }

    /// As [`Budget::take`], in this minute since 1970.
    async fn take_in(&self, now: i64, values: u64) -> Result<()> {
        if values > self.most {
            self.refused(values).await?;
            return Err(Error::denied(format!(
                "{values} values are asked for at once, and the policy allows {} within an hour",
                self.most
            ))
            .help("filter the rows, or add a LIMIT in a subquery below the call"));
        }
        let mut alone =
            begin_alone(self.store.pool(), &format!("reveals {} {}", self.rule, self.actor)).await?;
        let taken = sqlx::query(
            "INSERT INTO reveals (actor, rule, minute, taken)
             SELECT $1, $2, $3, $4
             WHERE $4 + (SELECT coalesce(sum(taken), 0) FROM reveals
                         WHERE actor = $1 AND rule = $2 AND minute >= $5) <= $6
             ON CONFLICT (actor, rule, minute) DO UPDATE SET taken = reveals.taken + excluded.taken",
        )
        .bind(&self.actor)
        .bind(&self.rule)
        .bind(now)
        .bind(signed(values))
        .bind(now - MINUTES)
        .bind(signed(self.most))
        .execute(&mut *alone)
        .await
        .map_err(|e| fault(&e))?;
        alone.commit().await.map_err(|e| fault(&e))?;
        if taken.rows_affected() == 1 {
            return Ok(());
        }
        self.refused(values).await?;
        let again = self.again(values, now).await?;
        Err(Error::temporary(format!(
            "the {} values that the policy allows within an hour are used up, or too few are left",
            self.most
        ))
        .help(format!("try again at {again}, or ask for fewer")))
    }

    async fn refused(&self, values: u64) -> Result<()> {
        if self.is_told.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let subject = format!("{} values={values} beyond {} an hour", self.call, self.most);
        audit::denied(&*self.store, &self.actor, Action::ValueReveal, &subject).await
    }

    /// When as many values can be had, if nobody takes others.
    async fn again(&self, values: u64, now: i64) -> Result<String> {
        let rows = sqlx::query(
            "SELECT minute, taken FROM reveals WHERE actor = $1 AND rule = $2 AND minute >= $3 ORDER BY minute",
        )
        .bind(&self.actor)
        .bind(&self.rule)
        .bind(now - MINUTES)
        .fetch_all(self.store.pool())
        .await
        .map_err(|e| fault(&e))?;
        let row = |row: &sqlx::any::AnyRow| Ok((row.try_get(0)?, row.try_get(1)?));
        let rows: Vec<(i64, i64)> =
            rows.iter().map(row).collect::<Result<_, sqlx::Error>>().map_err(|e| fault(&e))?;
        let mut counted: i64 = rows.iter().map(|(_, taken)| taken).sum();
        let most = signed(self.most.saturating_sub(values));
        let mut at = now;
        for (minute, taken) in rows {
            if counted <= most {
                break;
            }
            counted -= taken;
            at = minute + MINUTES + 1;
        }
        let at = DateTime::from_timestamp_millis(at * MINUTE_MS).unwrap_or_default();
        Ok(at.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    /// Forgets what does not count any more.
    ///
    /// # Errors
    /// As the store answers.
    pub(super) async fn forget(&self) -> Result<()> {
        sqlx::query("DELETE FROM reveals WHERE minute < $1")
            .bind(now_ms() / MINUTE_MS - MINUTES)
            .execute(self.store.pool())
            .await
            .map_err(|e| fault(&e))?;
        Ok(())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::run::Ledger;
    use crate::spec::config::Metadata;

    fn rule(most: u64) -> policy::Reveal {
        policy::Reveal {
            tags: Vec::new(),
            actors: vec!["*".parse().unwrap()],
            purposes: vec!["fraud".parse().unwrap()],
            max_values_per_hour: most,
        }
    }

    async fn store() -> (tempfile::TempDir, Arc<dyn Store>) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        (folder, Arc::new(ledger))
    }

    #[tokio::test]
    async fn all_or_none_is_taken_and_an_hour_later_again() {
        let (_folder, store) = store().await;
        let budget = Budget::new(Arc::clone(&store), "os:1".to_owned(), &rule(10), "detokenize".to_owned());
        budget.take_in(100, 6).await.unwrap();
        assert_eq!(budget.take_in(100, 5).await.unwrap_err().kind(), Kind::Temporary);
        budget.take_in(120, 4).await.unwrap();
        // The 60th minute still counts: it may be less than an hour ago.
        for (values, again) in [(6, "1970-01-01T02:41:00Z"), (7, "1970-01-01T03:01:00Z")] {
            let error = budget.take_in(160, values).await.unwrap_err();
            assert!(error.remedy().unwrap().contains(again), "{error}");
        }
        budget.take_in(161, 6).await.unwrap();
        assert!(budget.take_in(180, 1).await.is_err());
        budget.take_in(181, 4).await.unwrap();
        assert_eq!(budget.take_in(300, 11).await.unwrap_err().kind(), Kind::Denied);
        // The first time that it was refused is on the record.
        let entries = audit::entries(&*store, 10).await.unwrap();
        let told: Vec<_> = entries.iter().map(|one| (one.outcome.as_str(), one.subject.as_str())).collect();
        assert_eq!(told, [("denied", "detokenize values=5 beyond 10 an hour")]);
        budget.forget().await.unwrap();
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM reveals").fetch_one(store.pool()).await.unwrap();
        assert_eq!(rows, 0);
    }

    #[tokio::test]
    async fn actors_and_rules_have_their_own_and_the_number_alone_makes_no_other_rule() {
        let (_folder, store) = store().await;
        let of = |actor: &str, rule: &policy::Reveal| {
            Budget::new(Arc::clone(&store), actor.to_owned(), rule, String::new())
        };
        of("os:1", &rule(2)).take(2).await.unwrap();
        assert!(of("os:1", &rule(2)).take(1).await.is_err());
        of("os:2", &rule(2)).take(2).await.unwrap();
        assert!(of("os:1", &rule(3)).take(2).await.is_err());
        of("os:1", &rule(3)).take(1).await.unwrap();
        let other = policy::Reveal { actors: vec!["os:*".parse().unwrap()], ..rule(2) };
        of("os:1", &other).take(2).await.unwrap();
    }
}
