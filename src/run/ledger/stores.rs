//! What the ledger knows of stores.

use std::time::Duration;

use super::Ledger;
use crate::error::Result;
use crate::govern::store::{fault, now_ms};

/// How long a store is trusted to be as it was when it was tested.
const TRUSTED: Duration = Duration::from_hours(24);

impl Ledger {
    /// Whether a process of this machine tested the store at this place within the last day.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn is_tested(&self, place: &str) -> Result<bool> {
        let now = now_ms();
        let since = now.saturating_sub(i64::try_from(TRUSTED.as_millis()).unwrap_or(i64::MAX));
        // A time that is yet to come was taken by a clock that was wrong.
        let found = sqlx::query("SELECT 1 FROM stores WHERE place = $1 AND tested_ms BETWEEN $2 AND $3")
            .bind(place)
            .bind(since)
            .bind(now)
            .fetch_optional(self.here())
            .await
            .map_err(|e| fault(&e))?;
        Ok(found.is_some())
    }

    /// Records that the store at this place was tested and is fit.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn tested(&self, place: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO stores (place, tested_ms) VALUES ($1, $2)
             ON CONFLICT (place) DO UPDATE SET tested_ms = excluded.tested_ms",
        )
        .bind(place)
        .bind(now_ms())
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        Ok(())
    }
}
