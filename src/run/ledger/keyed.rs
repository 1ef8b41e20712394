//! Runs that were asked for under a key of the caller's own, so that asking again makes no second one.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{Ledger, Run, RunId, fault, get};
use crate::error::{Error, Kind, Result};
use crate::govern::batch::{Batch, Statement};
use crate::govern::store::{ROWS_AT_ONCE, begin_writing, now_ms, places};

/// How long a key is remembered after the end of its run.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;
/// Most keys that are forgotten by one statement: others wait for it.
const FORGOTTEN_AT_ONCE: u32 = 1000;
/// Most characters of a key.
const MAX_CHARS: usize = 255;

/// That the row of `run_keys` was written after the instant of this placeholder, or its run is not over, or ended after it.
/// What was asked for since did not end before: only the runs of older keys are looked at.
fn is_remembered(since: usize) -> String {
    format!(
        "(run_keys.created_ms > ${since} OR EXISTS (SELECT 1 FROM runs WHERE runs.run_id = run_keys.run_id
         AND (runs.finished_ms IS NULL OR runs.finished_ms > ${since})))"
    )
}

/// A caller's own name for one request. Keys of different callers never meet.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestKey(String);

impl RequestKey {
    /// Of what `actor` sent.
    ///
    /// # Errors
    /// `Usage` unless it is of 1 to 255 visible ASCII characters.
    pub fn of(actor: &str, sent: &[u8]) -> Result<Self> {
        if !(1..=MAX_CHARS).contains(&sent.len()) || !sent.iter().all(u8::is_ascii_graphic) {
            return Err(Error::new(Kind::Usage, "this is not an idempotency key").help(
                "send 1 to 255 visible ASCII characters, such as a UUID, anew for each run that is wanted",
            ));
        }
        let mut digest = Sha256::new();
        // No actor holds a line break.
        for part in [actor.as_bytes(), b"\n", sent] {
            digest.update(part);
        }
        Ok(Self(hex::encode(digest.finalize())))
    }
}

/// The runs that have these keys, by key: nothing of one that no run has.
pub(super) async fn holders(
    store: &mut AnyConnection,
    keys: &[&RequestKey],
) -> Result<HashMap<RequestKey, RunId>> {
    let mut holders = HashMap::with_capacity(keys.len());
    for some in keys.chunks(ROWS_AT_ONCE) {
        let since = some.len() + 1;
        let sql = format!(
            "SELECT digest, run_id FROM run_keys WHERE digest IN {} AND {}",
            places(1, some.len()),
            is_remembered(since)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(some.len() == 1);
        for key in some {
            query = query.bind(&key.0);
        }
        let query = query.bind(now_ms() - REMEMBERED_MS);
        for row in query.fetch_all(&mut *store).await.map_err(|e| fault(&e))? {
            let run_id: String = get(&row, "run_id")?;
            holders.insert(RequestKey(get(&row, "digest")?), RunId::parse(&run_id)?);
        }
    }
    Ok(holders)
}

/// Has each of these keys name this run from here on; none is there twice.
pub(super) fn name(batch: &mut Batch, named: &[(&RequestKey, RunId)]) {
    for some in named.chunks(ROWS_AT_ONCE) {
        let row = |(key, run_id): &(&RequestKey, RunId)| {
            [key.0.as_str().into(), run_id.to_string().into(), now_ms().into()]
        };
        let rows = Statement::new("INSERT INTO run_keys (digest, run_id, created_ms) VALUES ")
            .rows(some.iter().map(row));
        batch.add(rows.sql(
            " ON CONFLICT (digest) DO UPDATE SET run_id = excluded.run_id, created_ms = excluded.created_ms",
        ));
    }
}

/// Without the key, which may say more than callers know.
impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestKey(…)")
    }
}

impl Ledger {
    /// The run that was asked for under this key, if it is not over, or not for more than a day.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn asked_under(&self, key: &RequestKey) -> Result<Option<Run>> {
        let mut store = self.here().acquire().await.map_err(|e| fault(&e))?;
        let found = holders(&mut store, &[key]).await?.remove(key);
        drop(store);
        match found {
            Some(run_id) => self.run(&run_id).await,
            None => Ok(None),
        }
    }

    /// Forgets keys whose runs ended more than a day ago, some at once. Whether there may be more.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn forget_old_keys(&self) -> Result<bool> {
        let sql = format!(
            // Asked twice: one that was found may be given to another run before it goes.
            "DELETE FROM run_keys WHERE created_ms <= $1 AND digest IN (SELECT digest FROM run_keys
             WHERE created_ms <= $1 AND NOT {} ORDER BY created_ms LIMIT $2)",
            is_remembered(1)
        );
        let mut alone = begin_writing(self.here()).await?;
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(now_ms() - REMEMBERED_MS)
            .bind(i64::from(FORGOTTEN_AT_ONCE))
            .execute(&mut *alone)
            .await
            .map_err(|e| fault(&e))?;
        alone.commit().await.map_err(|e| fault(&e))?;
        Ok(done.rows_affected() >= u64::from(FORGOTTEN_AT_ONCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ledger::{Order, Trigger, Under};
    use crate::spec::PipelineName;
    use crate::spec::config::Metadata;

    fn key(actor: &str, sent: &str) -> RequestKey {
        RequestKey::of(actor, sent.as_bytes()).unwrap()
    }

    #[test]
    fn keys_of_callers_never_meet_and_show_nothing() {
        assert!(key("token:a", "k") != key("token:b", "k"));
        assert!(key("token:a", "k") == key("token:a", "k"));
        assert!(!format!("{:?}", key("token:a", "secret-word")).contains("secret"));
        let long = "x".repeat(256);
        for bad in ["", "two words", "ä", "a\u{7f}", &long] {
            assert_eq!(RequestKey::of("token:a", bad.as_bytes()).unwrap_err().kind(), Kind::Usage, "{bad}");
        }
        RequestKey::of("token:a", &long.as_bytes()[..255]).unwrap();
    }

    #[tokio::test]
    async fn a_key_has_one_run_until_a_day_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let pipeline = PipelineName::parse("crm").unwrap();
        let key = key("token:a", "k");
        assert_eq!(ledger.asked_under(&key).await.unwrap(), None);
        let instead = |of: Option<RunId>| {
            let under = Under::Key(Trigger::Api, key.clone());
            let (pipeline, spec_digest, actor) = (pipeline.clone(), "d".to_owned(), "token:a".to_owned());
            let order = Order { pipeline, spec_digest, actor, under, instead_of: of, if_idle: false };
            let ledger = &ledger;
            async move { ledger.take_orders(&[order]).await.unwrap().pop().unwrap() }
        };
        let ask = || instead(None);
        let run_id = ask().await.unwrap();
        assert_eq!(ask().await, None, "a second run");
        let found = ledger.asked_under(&key).await.unwrap().unwrap();
        assert_eq!((found.run_id, found.pipeline.as_str()), (run_id, "crm"));
        assert_eq!(ledger.runs(None, 10).await.unwrap().len(), 1, "what was not taken left no run");
        let second = instead(Some(run_id)).await.unwrap();
        assert_eq!(instead(Some(run_id)).await, None, "the key is another run's by now");
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, second);

        let a_day_later = async |table, column| {
            let sql = format!("UPDATE {table} SET {column} = {column} - $1");
            let later = sqlx::query(AssertSqlSafe(sql)).bind(REMEMBERED_MS);
            later.execute(ledger.here()).await.unwrap();
        };
        a_day_later("run_keys", "created_ms").await;
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, second, "it is not over");
        assert_eq!(ask().await, None);
        ledger.conclude(&second, &Ok(())).await.unwrap();
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, second);
        assert_eq!(ask().await, None);
        a_day_later("runs", "finished_ms").await;
        assert_eq!(ledger.asked_under(&key).await.unwrap(), None);
        let third = ask().await.unwrap();
        let kept =
            async || sqlx::query("SELECT 1 FROM run_keys").fetch_all(ledger.here()).await.unwrap().len();
        a_day_later("run_keys", "created_ms").await;
        ledger.forget_old_keys().await.unwrap();
        assert_eq!(kept().await, 1, "its run is not over");
        ledger.conclude(&third, &Ok(())).await.unwrap();
        a_day_later("runs", "finished_ms").await;
        ledger.forget_old_keys().await.unwrap();
        assert_eq!(kept().await, 0);
    }
}
