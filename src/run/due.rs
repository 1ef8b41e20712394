//! Keys whose destruction is due are destroyed, by the first command that comes after their time.

use super::Ledger;
use crate::error::Result;
use crate::govern::audit::{self, Action};
use crate::keys::Keyring;

/// Destroys the keys whose time has come, each told to the audit trail before; `notice` is told after.
///
/// # Errors
/// Those of [`audit::record`], and then nothing is destroyed; `Temporary` when another process changes the keys, `Failed`
/// when the keys folder cannot be read or written.
pub async fn destroy_due(ledger: &Ledger, keyring: &Keyring, notice: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let due = keyring.due().await?;
    if due.is_empty() {
        return Ok(());
    }
    audit::record(ledger, &audit::operator(), Action::KeyDestroyed, &due.join(" ")).await?;
    for id in keyring.destroy_due(&due).await? {
        notice(&format!("the key {id} was destroyed, as it was asked"));
    }
    Ok(())
}
