//! Messages on their way to others. One that is put here is delivered at least once, or given up after days.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use uuid::Uuid;

use super::{Ledger, get};
use crate::error::Result;
use crate::govern::store::{begin_writing, fault, now_ms, write};

/// Most messages that wait for one place.
pub const MAX_WAITING: i64 = 10_000;
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

/// What became of a message that was to be put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits for its delivery.
    Out,
    /// It was told before.
    Known,
    /// It is lost: [`MAX_WAITING`] wait for its place.
    Full,
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
    /// What it is about; later ones sort behind earlier ones.
    pub mark: &'a str,
}

impl Ledger {
    /// Puts a message out, unless too many wait for its place.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn put(&self, message: Outgoing<'_>) -> Result<Put> {
        if self.undelivered(message.place).await? >= MAX_WAITING {
            return Ok(Put::Full);
        }
        Ok(if insert(self.here(), message).await? { Put::Out } else { Put::Known })
    }

    /// How many messages wait for a place.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn undelivered(&self, place: &str) -> Result<i64> {
        let row = sqlx::query("SELECT count(*) AS n FROM outbox WHERE place = $1 AND delivered_ms IS NULL")
            .bind(place)
            .fetch_one(self.here())
            .await
            .map_err(|e| fault(&e))?;
        get(&row, "n")
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
        .fetch_optional(self.here())
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
        let claim = sqlx::query(
            "UPDATE outbox SET due_ms = $1, attempts = attempts + 1
             WHERE message_id = $2 AND due_ms = $3 AND delivered_ms IS NULL",
        );
        let claim = claim.bind(until_ms).bind(&message.message_id).bind(message.due_ms);
        Ok(write(self.here(), claim).await? == 1)
    }

    /// A claimed message is to be sent again at `due_ms`.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn postpone(&self, message: &Message, due_ms: i64) -> Result<()> {
        let later = sqlx::query("UPDATE outbox SET due_ms = $1 WHERE message_id = $2");
        write(self.here(), later.bind(due_ms).bind(&message.message_id)).await.map(drop)
    }

    /// A claimed message needs no more attempts: it arrived, or never will.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn settle_message(&self, message: &Message) -> Result<()> {
        let settled = sqlx::query("UPDATE outbox SET delivered_ms = $1 WHERE message_id = $2");
        write(self.here(), settled.bind(now_ms()).bind(&message.message_id)).await.map(drop)
    }

    /// Forgets what was delivered a day ago, and gives up what waited for a week; answers how many were given up, by place.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn sweep_outbox(&self) -> Result<BTreeMap<String, u64>> {
        let delivered = sqlx::query("DELETE FROM outbox WHERE delivered_ms < $1");
        write(self.here(), delivered.bind(now_ms() - REMEMBERED_MS)).await?;
        let rows =
            sqlx::query("DELETE FROM outbox WHERE delivered_ms IS NULL AND created_ms < $1 RETURNING place")
                .bind(now_ms() - MAX_AGE_MS)
                .fetch_all(self.here())
                .await
                .map_err(|e| fault(&e))?;
        let mut lost = BTreeMap::new();
        for row in &rows {
            *lost.entry(get(row, "place")?).or_default() += 1;
        }
        Ok(lost)
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
        .fetch_optional(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((get(&row, "state")?, get(&row, "mark")?)))
    }

    /// Records what an alert says from now on and puts the messages out that tell it: all or nothing. Where too many
    /// wait for a place, the oldest make room: answers of which places a message was lost. `None` when the alert has looked at
    /// something later already.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn turn<'a>(&self, turn: &Turn<'_>, messages: &[Outgoing<'a>]) -> Result<Option<Vec<&'a str>>> {
        let mut both = begin_writing(self.here()).await?;
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
            return Ok(None);
        }
        let mut lost = Vec::new();
        for message in messages {
            if make_room(&mut both, message.place).await? {
                lost.push(message.place);
            }
            insert(&mut *both, *message).await?;
        }
        both.commit().await.map_err(|e| fault(&e))?;
        Ok(Some(lost))
    }
}

/// Lets the oldest message of a place go where as many wait as may; true where one had to.
async fn make_room(all: &mut AnyConnection, place: &str) -> Result<bool> {
    let done = sqlx::query(
        "DELETE FROM outbox WHERE message_id = (
             SELECT min(message_id) FROM outbox WHERE place = $1 AND delivered_ms IS NULL HAVING count(*) >= $2)",
    )
    .bind(place)
    .bind(MAX_WAITING)
    .execute(all)
    .await
    .map_err(|e| fault(&e))?;
    Ok(done.rows_affected() > 0)
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
        assert_eq!(ledger.put(message("a")).await.unwrap(), Put::Out);
        assert_eq!(ledger.put(message("a")).await.unwrap(), Put::Known);
        assert_eq!(ledger.put(message("b")).await.unwrap(), Put::Out);
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
        assert!(ledger.sweep_outbox().await.unwrap().is_empty());
        sqlx::query("UPDATE outbox SET created_ms = 0").execute(ledger.here()).await.unwrap();
        let lost = ledger.sweep_outbox().await.unwrap();
        assert_eq!(lost, BTreeMap::from([("p".to_owned(), 1)]), "one waited for too long");
    }

    #[tokio::test]
    async fn a_place_that_takes_nothing_keeps_the_newest_alerts_and_the_oldest_of_all_else() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        sqlx::query(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
             INSERT INTO outbox (message_id, told, place, body, created_ms, due_ms, attempts)
             SELECT printf('%06d', n), printf('%06d', n), 'p', '{}', 0, 0, 0 FROM numbers",
        )
        .bind(MAX_WAITING)
        .execute(ledger.here())
        .await
        .unwrap();
        let message = |place| Outgoing { place, told: place, body: "{}" };
        assert_eq!(ledger.put(message("p")).await.unwrap(), Put::Full);
        let turn = Turn { alert: "x", pipeline: "crm", aspect: "run", state: "failed", mark: "1" };
        let lost = ledger.turn(&turn, &[message("p"), message("q")]).await.unwrap();
        assert_eq!(lost, Some(vec!["p"]));
        assert_eq!(ledger.undelivered("p").await.unwrap(), MAX_WAITING);
        assert_eq!(ledger.oldest("p").await.unwrap().unwrap().message_id, "000002");
        assert_eq!(ledger.undelivered("q").await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_alert_turns_only_for_something_later_and_with_its_message() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder).await;
        let turn = |state, mark| Turn { alert: "x", pipeline: "crm", aspect: "run", state, mark };
        let message = |told| [Outgoing { place: "p", told, body: "{}" }];
        let told = ledger.turn(&turn("failed", "2"), &message("2")).await.unwrap();
        assert_eq!(told, Some(Vec::new()));
        assert_eq!(ledger.turn(&turn("fine", "1"), &message("1")).await.unwrap(), None, "an older run");
        assert_eq!(ledger.turn(&turn("failed", "2"), &message("2 again")).await.unwrap(), None);
        let state = ledger.alert_state("x", "crm", "run").await.unwrap();
        assert_eq!(state, Some(("failed".to_owned(), "2".to_owned())));
        assert_eq!(ledger.undelivered("p").await.unwrap(), 1);
        assert!(ledger.turn(&turn("fine", "3"), &[]).await.unwrap().is_some());
        assert_eq!(ledger.alert_state("x", "crm", "late").await.unwrap(), None);
    }
}
