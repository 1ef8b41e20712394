//! The audit entries of a query's reveals: before the first row, and at the end with the numbers.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::call::Allowed;
use super::{Origin, Reveal, wait};
use crate::Batches;
use crate::error::{Error, Result};
use crate::govern::Store;
use crate::govern::audit::{self, Action};
use crate::keys::{Domain, Keyring, Purpose};
use crate::spec::policy;

/// What stands for a column in the id of the key that makes digests of statements.
const STATEMENT: &str = "_statement";

/// What a query was allowed, until its end is recorded. Dropped before that, it tries to record it.
pub(in crate::query) struct Tally {
    store: Arc<dyn Store>,
    actor: String,
    entries: Vec<Entry>,
    is_over: bool,
}

struct Entry {
    allowed: Arc<Allowed>,
    /// All that is said of it but the number.
    subject: String,
    column: String,
}

impl Tally {
    /// Records that values are about to be revealed.
    ///
    /// # Errors
    /// Those of the keyring and of the trail; then nothing may be revealed.
    pub(super) async fn begin(
        reveal: &Reveal,
        purpose: &policy::Purpose,
        calls: &[Arc<Allowed>],
        sql: &str,
        keyring: &Keyring,
    ) -> Result<Self> {
        let mut entries = Vec::with_capacity(calls.len());
        for allowed in calls {
            let Origin { dataset, .. } = &allowed.origin;
            let digests =
                Purpose::Hash(Domain::Column { dataset: dataset.clone(), column: STATEMENT.to_owned() });
            let key = keyring.current(&digests).await?;
            let keyed = Hmac::<Sha256>::new_from_slice(key.secret().expose())
                .map_err(|_| Error::failed("the key of digests cannot be used"))?;
            let digest = hex::encode(keyed.chain_update(sql.as_bytes()).finalize().into_bytes());
            let name = allowed.function.name();
            entries.push(Entry {
                allowed: Arc::clone(allowed),
                subject: format!("{name} purpose={purpose} statement=hmac-sha256:{digest}"),
                column: allowed.origin.to_string(),
            });
        }
        for Entry { subject, column, .. } in &entries {
            let subject = format!("{subject} column={column}");
            audit::record(&*reveal.store, &reveal.actor, Action::ValueReveal, &subject).await?;
        }
        Ok(Self { store: Arc::clone(&reveal.store), actor: reveal.actor.clone(), entries, is_over: false })
    }

    /// The same rows, whose end is recorded: a failure to do so is their last item.
    pub(in crate::query) fn watch(self, rows: Batches) -> Batches {
        let step = |(mut rows, tally): (Batches, Option<Self>)| async move {
            let mut tally = tally?;
            match rows.next().await {
                Some(Ok(batch)) => Some((Ok(batch), (rows, Some(tally)))),
                Some(Err(error)) => {
                    // The query failed as it is, and the budget is taken.
                    let _ = tally.end().await;
                    Some((Err(error), (rows, None)))
                }
                None => tally.end().await.err().map(|error| (Err(error), (rows, None))),
            }
        };
        stream::unfold((rows, Some(self)), step).boxed()
    }

    async fn end(&mut self) -> Result<()> {
        self.is_over = true;
        for Entry { allowed, subject, column } in &self.entries {
            let subject = format!("{subject} values={} column={column}", allowed.revealed());
            audit::record(&*self.store, &self.actor, Action::ValueRevealed, &subject).await?;
        }
        Ok(())
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.is_over && !std::thread::panicking() {
            // Nobody is left to be told; the trail has the beginning, and the store the number.
            let _ = wait(self.end());
        }
    }
}
