//! Runs that were asked for under a key of the caller's own, so that asking again makes no second one.

use std::fmt;

use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use super::{Ledger, Run, RunId, fault, get};
use crate::error::{Error, Kind, Result};
use crate::govern::store::now_ms;

/// How long a key is remembered after the end of its run.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;
/// Most characters of a key.
const MAX_CHARS: usize = 255;

/// That the run of a row of `run_keys` is not over, or ended after the instant of the placeholder.
macro_rules! is_remembered {
    ($since:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM runs WHERE runs.run_id = run_keys.run_id
              AND (runs.finished_ms IS NULL OR runs.finished_ms > ",
            $since,
            "))"
        )
    };
}

/// A caller's own name for one request. Keys of different callers never meet.
#[derive(Clone, PartialEq, Eq)]
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

    /// Has the key name this run, where it names none or the run `instead_of`; false where it names another one by now.
    pub(super) async fn name(
        &self,
        store: &mut AnyConnection,
        run_id: &RunId,
        instead_of: Option<&RunId>,
    ) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO run_keys (digest, run_id, created_ms) VALUES ($1, $2, $3)
             ON CONFLICT (digest) DO UPDATE SET run_id = excluded.run_id, created_ms = excluded.created_ms
             WHERE run_keys.run_id = $4",
        )
        .bind(&self.0)
        .bind(run_id.to_string())
        .bind(now_ms())
        .bind(instead_of.map(RunId::to_string))
        .execute(store)
        .await
        .map_err(|e| fault(&e))?;
        Ok(done.rows_affected() == 1)
    }
}

/// Forgets keys whose runs ended more than a day ago.
pub(super) async fn forget_old(store: &mut AnyConnection) -> Result<()> {
    // What was asked for since did not end before: only older keys are looked at.
    sqlx::query(concat!("DELETE FROM run_keys WHERE created_ms <= $1 AND NOT ", is_remembered!("$1")))
        .bind(now_ms() - REMEMBERED_MS)
        .execute(store)
        .await
        .map_err(|e| fault(&e))?;
    Ok(())
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
        let row = sqlx::query(concat!(
            "SELECT run_id FROM run_keys WHERE digest = $1 AND (created_ms > $2 OR ",
            is_remembered!("$2"),
            ")"
        ))
        .bind(&key.0)
        .bind(now_ms() - REMEMBERED_MS)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        let Some(row) = row else { return Ok(None) };
        let run_id: String = get(&row, "run_id")?;
        self.run(&RunId::parse(&run_id)?).await
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
            let order = Order { pipeline, spec_digest, actor, under, instead_of: of };
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
            let later = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(REMEMBERED_MS);
            later.execute(&ledger.pool).await.unwrap();
        };
        a_day_later("run_keys", "created_ms").await;
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, second, "it is not over");
        assert_eq!(ask().await, None);
        ledger.conclude(&second, &Ok(())).await.unwrap();
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, second);
        assert_eq!(ask().await, None);
        a_day_later("runs", "finished_ms").await;
        assert_eq!(ledger.asked_under(&key).await.unwrap(), None);
        assert!(ask().await.is_some());
    }
}
