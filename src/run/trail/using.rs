//! A deed that uses keys, as the trail is told of it.

use std::future::Future;

use crate::error::Result;
use crate::govern::audit;
use crate::keys::Keyring;
use crate::run::Ledger;

/// Does `work`. Before it the trail is told of the keys that it may use; after it, however it ended, of those that it used
/// beyond them.
///
/// # Errors
/// Those of [`audit::key_use`], and then nothing was done, or is told; else those of `work`.
pub async fn using<T>(
    ledger: &Ledger,
    keyring: &Keyring,
    deed: &str,
    keys: &[String],
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let actor = audit::operator();
    audit::key_use(ledger, &actor, deed, keys).await?;
    let before = keyring.used();
    let done = work.await;
    let mut more = keyring.used();
    more.retain(|id| !keys.contains(id) && !before.contains(id));
    if !more.is_empty() {
        audit::key_use(ledger, &actor, deed, &more).await?;
    }
    done
}
