//! Messages on their way to others. One that is put here is delivered at least once, or given up after days, and counted
//! then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::AnyConnection;
use uuid::Uuid;

use super::{Ledger, get};
use crate::error::Result;
use crate::govern::store::{begin_writing, fault, now_ms};

/// Most messages that wait for one place. Beyond that a new one that is put is lost; an alert that turns takes the place of
/// the oldest.
pub const MAX_WAITING: i64 = 10_000;
/// Of so many lost messages the first is told.
const TOLD_OF: u64 = 1_000;
const NO_ROOM: &str = "too many wait for their place";
/// How long a delivered message is remembered, so that it is not told again.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a message may wait for its delivery.
const MAX_AGE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A message to be put out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where it goes.
    pub place: &'a str,
    /// What it tells; told again it is the same message.
    pub told: &'a str,
    /// The message.
    pub body: &'a str,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, which stays the same however often it is sent; ids sort by the time they were drawn.
    pub message_id: String,
    /// The message.
    pub body: String,
    /// When it is to be sent next, in Unix milliseconds.
    pub due_ms: i64,
    /// How often it was sent in vain.
    pub attempts: u32,
}

/// What became of a message that was put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits for its delivery.
    Waits,
    /// It was told before.
    Known,
    /// It is lost: [`MAX_WAITING`] others wait for that place.
    Full,
}

/// Messages that this process lost. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost(Arc<AtomicU64>);

impl Lost {
    fn add(&self, messages: u64, why: &str) {
        let before = self.0.fetch_add(messages, Ordering::Relaxed);
        if before.div_ceil(TOLD_OF) < (before + messages).div_ceil(TOLD_OF) {
            tracing::warn!(lost = before + messages, why, "messages to others are lost");
        }
    }
}

/// What an alert says of a pipeline from now on.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The alert.
    pub alert: &'a str,
    /// The pipeline.
    pub pipeline: &'a str,
    /// `run` or `late`.
    pub aspect: &'a str,
    /// `fine`, or what is wrong.
    pub state: &'a str,
    /// The run or the time that it is about; marks sort by time.
    pub mark: &'a str,
}

impl Ledger {
    /// Puts a message out.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn put(&self, message: Outgoing<'_>) -> Result<Put> {
        if waiting(&self.pool, message.place).await? < MAX_WAITING {
            return Ok(if insert(&self.pool, message).await? { Put::Waits } else { Put::Known });
        }
        if is_known(&self.pool, message.told).await? {
            return Ok(Put::Known);
        }
        self.lost.add(1, NO_ROOM);
        Ok(Put::Full)
    }

    /// How many messages this process lost: they found no room, or had waited for a week.
    #[must_use]
    pub fn lost_messages(&self) -> u64 {
        self.lost.0.load(Ordering::Relaxed)
    }

    /// How many messages wait for a place.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn undelivered(&self, place: &str) -> Result<i64> {
        waiting(&self.pool, place).await
    }

    /// The oldest message that waits for a place, due or not.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn oldest(&self, place: &str) -> Result<Option<Message>> {
        let row = sqlx::query(
            "SELECT message_id, body, due_ms, attempts FROM outbox
             WHERE place = $1 AND delivered_ms IS NULL ORDER BY message_id LIMIT 1",
        )
        .bind(place)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Message {
            message_id: get(&row, "message_id")?,
            body: get(&row, "body")?,
            due_ms: get(&row, "due_ms")?,
            attempts: u32::try_from(get::<i64>(&row, "attempts")?).unwrap_or(u32::MAX),
        }))
    }

    /// Takes a message that is due, for one attempt: nobody else sends it before `until_ms`. False when another
    /// process was faster.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn claim(&self, message: &Message, until_ms: i64) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE outbox SET due_ms = $1, attempts = attempts + 1
             WHERE message_id = $2 AND due_ms = $3 AND delivered_ms IS NULL",
        )
        .bind(until_ms)
        .bind(&message.message_id)
        .bind(message.due_ms)
        .execute(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        Ok(done.rows_affected() == 1)
    }

    /// A claimed message is to be sent again at `due_ms`.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn postpone(&self, message: &Message, due_ms: i64) -> Result<()> {
        sqlx::query("UPDATE outbox SET due_ms = $1 WHERE message_id = $2")
            .bind(due_ms)
            .bind(&message.message_id)
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        Ok(())
    }

    /// A claimed message needs no more attempts: it arrived, or never will.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn settle_message(&self, message: &Message) -> Result<()> {
        sqlx::query("UPDATE outbox SET delivered_ms = $1 WHERE message_id = $2")
            .bind(now_ms())
            .bind(&message.message_id)
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Forgets what was delivered a day ago, and gives up what waited for a week; answers how many were given up.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn sweep_outbox(&self) -> Result<u64> {
        sqlx::query("DELETE FROM outbox WHERE delivered_ms < $1")
            .bind(now_ms() - REMEMBERED_MS)
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        let lost = sqlx::query("DELETE FROM outbox WHERE delivered_ms IS NULL AND created_ms < $1")
            .bind(now_ms() - MAX_AGE_MS)
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        if lost.rows_affected() > 0 {
            self.lost.add(lost.rows_affected(), "they waited for a week");
        }
        Ok(lost.rows_affected())
    }

    /// What an alert last said of a pipeline: state and mark.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn alert_state(
        &self,
        alert: &str,
        pipeline: &str,
        aspect: &str,
    ) -> Result<Option<(String, String)>> {
        let row = sqlx::query(
            "SELECT state, mark FROM alert_states WHERE alert = $1 AND pipeline = $2 AND aspect = $3",
        )
        .bind(alert)
        .bind(pipeline)
        .bind(aspect)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((get(&row, "state")?, get(&row, "mark")?)))
    }

    /// Records what an alert says from now on and puts the message out that tells it: both or neither. False when
    /// the alert has looked at something later already.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn turn(&self, turn: &Turn<'_>, message: Option<Outgoing<'_>>) -> Result<bool> {
        let mut both = begin_writing(&self.pool).await?;
        let done = sqlx::query(
            "INSERT INTO alert_states (alert, pipeline, aspect, state, mark) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (alert, pipeline, aspect) DO UPDATE SET state = excluded.state, mark = excluded.mark
             WHERE alert_states.mark < excluded.mark",
        )
        .bind(turn.alert)
        .bind(turn.pipeline)
        .bind(turn.aspect)
        .bind(turn.state)
        .bind(turn.mark)
        .execute(&mut *both)
        .await
        .map_err(|e| fault(&e))?;
        if done.rows_affected() == 0 {
            both.rollback().await.map_err(|e| fault(&e))?;
            return Ok(false);
        }
        let mut lost = 0;
        if let Some(message) = message
            && insert(&mut *both, message).await?
        {
            lost = make_room(&mut both, message.place).await?;
        }
        both.commit().await.map_err(|e| fault(&e))?;
        if lost > 0 {
            self.lost.add(lost, NO_ROOM);
        }
        Ok(true)
    }
}

async fn waiting(executor: impl sqlx::AnyExecutor<'_>, place: &str) -> Result<i64> {
    let row = sqlx::query("SELECT count(*) AS n FROM outbox WHERE place = $1 AND delivered_ms IS NULL")
        .bind(place)
        .fetch_one(executor)
        .await
        .map_err(|e| fault(&e))?;
    get(&row, "n")
}

async fn is_known(executor: impl sqlx::AnyExecutor<'_>, told: &str) -> Result<bool> {
    let known = sqlx::query("SELECT message_id FROM outbox WHERE told = $1")
        .bind(told)
        .fetch_optional(executor)
        .await
        .map_err(|e| fault(&e))?;
    Ok(known.is_some())
}

/// Forgets the oldest messages of a place that are too many; answers how many.
async fn make_room(both: &mut AnyConnection, place: &str) -> Result<u64> {
    let most = waiting(&mut *both, place).await? - MAX_WAITING;
    if most <= 0 {
        return Ok(0);
    }
    let lost = sqlx::query(
        "DELETE FROM outbox WHERE message_id IN (
             SELECT message_id FROM outbox WHERE place = $1 AND delivered_ms IS NULL ORDER BY message_id LIMIT $2)",
    )
    .bind(place)
    .bind(most)
    .execute(both)
    .await
    .map_err(|e| fault(&e))?;
    Ok(lost.rows_affected())
}

async fn insert(executor: impl sqlx::AnyExecutor<'_>, message: Outgoing<'_>) -> Result<bool> {
    let now = now_ms();
    let done = sqlx::query(
        "INSERT INTO outbox (message_id, told, place, body, created_ms, due_ms, attempts)
         VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (told) DO NOTHING",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(message.told)
    .bind(message.place)
    .bind(message.body)
    .bind(now)
    .bind(now)
    .execute(executor)
    .await
    .map_err(|e| fault(&e))?;
    Ok(done.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::config::Metadata;

    async fn ledger(folder: &tempfile::TempDir) -> Ledger {
        Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap()
    }

    #[tokio::test]
    async fn a_message_is_told_once_and_sent_until_it_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        let message = |told| Outgoing { place: "p", told, body: "{}" };
        assert_eq!(ledger.put(message("a")).await.unwrap(), Put::Waits);
        assert_eq!(ledger.put(message("a")).await.unwrap(), Put::Known, "told again");
        assert_eq!(ledger.put(message("b")).await.unwrap(), Put::Waits);
        assert_eq!(ledger.undelivered("p").await.unwrap(), 2);

        let first = ledger.oldest("p").await.unwrap().unwrap();
        let until_ms = now_ms() + 60_000;
        assert!(ledger.claim(&first, until_ms).await.unwrap());
        assert!(!ledger.claim(&first, until_ms).await.unwrap(), "another process was faster");
        let claimed = ledger.oldest("p").await.unwrap().unwrap();
        assert_eq!((&claimed.message_id, claimed.attempts), (&first.message_id, 1));
        assert_eq!(claimed.due_ms, until_ms, "the order stays");
        ledger.postpone(&claimed, 7).await.unwrap();
        assert_eq!(ledger.oldest("p").await.unwrap().unwrap().due_ms, 7);
        ledger.settle_message(&claimed).await.unwrap();
        assert_ne!(ledger.oldest("p").await.unwrap().unwrap().message_id, first.message_id);
        assert_eq!(ledger.put(message("a")).await.unwrap(), Put::Known, "a delivered one is remembered");
        assert_eq!((ledger.sweep_outbox().await.unwrap(), ledger.lost_messages()), (0, 0));
        sqlx::query("UPDATE outbox SET created_ms = 0").execute(&ledger.pool).await.unwrap();
        assert_eq!(ledger.sweep_outbox().await.unwrap(), 1, "one waited for too long");
        assert_eq!(ledger.clone().lost_messages(), 1);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_alerts_find_room() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        sqlx::query(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO outbox (message_id, told, place, body, created_ms, due_ms, attempts)
             SELECT printf('0%05d', i), 'told ' || i, 'p', '{}', 0, 0, 0 FROM n",
        )
        .execute(&ledger.pool)
        .await
        .unwrap();
        let message = |place, told| Outgoing { place, told, body: "{}" };
        assert_eq!(ledger.put(message("p", "new")).await.unwrap(), Put::Full);
        assert_eq!(ledger.put(message("p", "told 7")).await.unwrap(), Put::Known, "which is no loss");
        assert_eq!(ledger.put(message("q", "new")).await.unwrap(), Put::Waits, "another place has room");
        assert_eq!(ledger.lost_messages(), 1);

        let turn = Turn { alert: "x", pipeline: "crm", aspect: "run", state: "failed", mark: "1" };
        assert!(ledger.turn(&turn, Some(message("p", "alert"))).await.unwrap());
        assert_eq!(ledger.undelivered("p").await.unwrap(), MAX_WAITING);
        assert_eq!(ledger.oldest("p").await.unwrap().unwrap().message_id, "000002");
        assert_eq!(ledger.lost_messages(), 2);
    }

    #[tokio::test]
    async fn an_alert_turns_only_for_something_later_and_with_its_message() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        let turn = |state, mark| Turn { alert: "x", pipeline: "crm", aspect: "run", state, mark };
        let message = |told| Some(Outgoing { place: "p", told, body: "{}" });
        assert!(ledger.turn(&turn("failed", "2"), message("2")).await.unwrap());
        assert!(!ledger.turn(&turn("fine", "1"), message("1")).await.unwrap(), "an older run");
        assert!(!ledger.turn(&turn("failed", "2"), message("2 again")).await.unwrap());
        let state = ledger.alert_state("x", "crm", "run").await.unwrap();
        assert_eq!(state, Some(("failed".to_owned(), "2".to_owned())));
        assert_eq!(ledger.undelivered("p").await.unwrap(), 1);
        assert!(ledger.turn(&turn("fine", "3"), None).await.unwrap());
        assert_eq!(ledger.alert_state("x", "crm", "late").await.unwrap(), None);
    }
}
