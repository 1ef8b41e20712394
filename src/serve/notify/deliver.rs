//! Messages from the outbox to their places. Every place has its own order and its own pace.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::LAST_WORDS;
use super::place::{Clients, Failure, Place};
use crate::error::Result;
use crate::govern::store::now_ms;
use crate::run::Ledger;
use crate::run::ledger::outbox::Message;
use crate::spec::config::Observability;

/// Messages of one place that are sent at the end.
const BATCH: usize = 100;
/// The longest time between two looks at what waits: what other processes put out is seen by then.
const LONGEST_NAP: Duration = Duration::from_secs(5);
/// How long a message is one process's own while it is sent; longer than an attempt may take.
const CLAIM_MS: i64 = 30_000;
/// The longest pause between two attempts.
const MAX_PAUSE_MS: i64 = 300_000;

/// How deliveries went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::serve) struct Delivered {
    kind: &'static str,
    result: &'static str,
}

/// Counts deliveries, by kind of place and by how they went: `delivered`, `postponed`, `dropped`.
pub(in crate::serve) type Deliveries = Family<Delivered, Counter>;

/// The outbox of the metadata store, and the places it is emptied to.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    ledger: Ledger,
    places: Vec<Place>,
    clients: Clients,
    deliveries: Deliveries,
    /// Wakes who delivers.
    asked: Arc<watch::Sender<()>>,
}

impl Outbox {
    /// # Errors
    /// `Invalid` when a secret that a place needs cannot be resolved.
    pub(super) fn open(ledger: &Ledger, settings: &Observability, deliveries: Deliveries) -> Result<Self> {
        let mut places: Vec<Place> = Vec::new();
        let alerts = settings.alerts.iter().flat_map(|alert| Place::of_channel(&alert.channel));
        let lineage = settings.lineage.iter().flat_map(Place::of_lineage);
        for place in alerts.chain(lineage) {
            if !places.iter().any(|other| other.id == place.id) {
                place.check()?;
                places.push(place);
            }
        }
        // Counters begin at 0, so that the first loss is seen to come.
        for kind in places.iter().map(Place::kind) {
            for result in ["delivered", "postponed", "dropped"] {
                drop(deliveries.get_or_create(&Delivered { kind, result }));
            }
        }
        let (clients, asked) = (Clients::new()?, Arc::default());
        Ok(Self { ledger: ledger.clone(), places, clients, deliveries, asked })
    }

    /// Delivers to each place what is due, until `stop`, and then for [`LAST_WORDS`] what still is.
    pub(super) async fn keep(&self, stop: &CancellationToken) {
        join_all(self.places.iter().map(|place| self.deliver(place, stop))).await;
    }

    /// Something was put out.
    pub(super) fn wake(&self) {
        self.asked.send_replace(());
    }

    /// Delivers what is due, to all places at once.
    pub(super) async fn round(&self) {
        join_all(self.places.iter().map(|place| self.empty(place))).await;
    }

    /// Messages for a place were lost before they were sent.
    pub(super) fn lost(&self, place: &str, messages: u64) {
        if let Some(place) = self.places.iter().find(|known| known.id == place) {
            self.counter(place, "dropped").inc_by(messages);
        }
    }

    /// How many messages wait for places of each kind.
    pub(super) async fn depths(&self) -> Result<Vec<(&'static str, i64)>> {
        let mut depths: Vec<(&'static str, i64)> = Vec::new();
        for place in &self.places {
            let waiting = self.ledger.undelivered(&place.id).await?;
            match depths.iter_mut().find(|(kind, _)| *kind == place.kind()) {
                Some((_, sum)) => *sum += waiting,
                None => depths.push((place.kind(), waiting)),
            }
        }
        Ok(depths)
    }

    async fn deliver(&self, place: &Place, stop: &CancellationToken) {
        let mut asked = self.asked.subscribe();
        while !stop.is_cancelled() {
            asked.mark_unchanged();
            let nap = match self.next(place).await {
                Ok(Next::Sent) => continue,
                Ok(Next::Due(at_ms)) => {
                    Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or_default())
                }
                Ok(Next::Nothing) => LONGEST_NAP,
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read");
                    LONGEST_NAP
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(nap.min(LONGEST_NAP)) => {}
                Ok(()) = asked.changed() => {}
            }
        }
        if tokio::time::timeout(LAST_WORDS, self.empty(place)).await.is_err() {
            tracing::warn!(kind = place.kind(), "messages to others wait for the next start");
        }
    }

    async fn empty(&self, place: &Place) {
        for _ in 0..BATCH {
            match self.next(place).await {
                Ok(Next::Sent) => {}
                Ok(Next::Due(_) | Next::Nothing) => return,
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read");
                    return;
                }
            }
        }
    }

    async fn next(&self, place: &Place) -> Result<Next> {
        let Some(message) = self.ledger.oldest(&place.id).await? else { return Ok(Next::Nothing) };
        let left_ms = message.due_ms - now_ms();
        // None rests for longer: the clock was set back.
        if (1..=MAX_PAUSE_MS).contains(&left_ms) {
            return Ok(Next::Due(message.due_ms));
        }
        let until_ms = now_ms() + CLAIM_MS;
        if !self.ledger.claim(&message, until_ms).await? {
            return Ok(Next::Due(until_ms));
        }
        match place.send(&self.clients, &message).await {
            Ok(()) => {
                self.counter(place, "delivered").inc();
                self.ledger.settle_message(&message).await?;
                Ok(Next::Sent)
            }
            Err(Failure::Never(why)) => {
                tracing::error!(
                    kind = place.kind(),
                    message_id = message.message_id,
                    why,
                    "a message is given up"
                );
                self.counter(place, "dropped").inc();
                self.ledger.settle_message(&message).await?;
                Ok(Next::Sent)
            }
            Err(Failure::Later(why)) => {
                let due_ms = now_ms() + pause_ms(&message);
                tracing::warn!(
                    kind = place.kind(),
                    message_id = message.message_id,
                    why,
                    "a message has to wait"
                );
                self.counter(place, "postponed").inc();
                self.ledger.postpone(&message, due_ms).await?;
                Ok(Next::Due(due_ms))
            }
        }
    }

    fn counter(&self, place: &Place, result: &'static str) -> Counter {
        self.deliveries.get_or_create_owned(&Delivered { kind: place.kind(), result })
    }
}

enum Next {
    Sent,
    Due(i64),
    Nothing,
}

/// 1, 2, 4, … seconds.
fn pause_ms(message: &Message) -> i64 {
    1000_i64.checked_shl(message.attempts.min(16)).unwrap_or(MAX_PAUSE_MS).min(MAX_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_minutes() {
        let pause = |attempts| {
            pause_ms(&Message { message_id: String::new(), body: String::new(), due_ms: 0, attempts })
        };
        assert_eq!(
            [pause(0), pause(1), pause(3), pause(9), pause(u32::MAX)],
            [1000, 2000, 8000, 300_000, 300_000]
        );
    }
}
