//! Whose signature counts.

use crate::error::{Kind, Result};
use crate::keys::{GivenKey, Keyring};
use crate::publish::receipt::Signed;

/// What receipts are checked with.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The keys themselves, which also read encrypted columns and make digests of values again.
    Keys(&'a Keyring),
    /// Public keys, as an auditor has them.
    Public(&'a [GivenKey]),
}

impl Trust<'_> {
    /// Whether somebody signed it who counts.
    ///
    /// # Errors
    /// Those of the keyring, but for a key that is not there.
    pub(super) async fn signed(&self, signed: &Signed) -> Result<bool> {
        let id = &signed.receipt.signer;
        match self {
            Self::Keys(keyring) => match keyring.public_key(id).await {
                Ok(key) => Ok(signed.is_by(&key)),
                Err(error) if error.kind() == Kind::Denied => Ok(false),
                Err(error) => Err(error),
            },
            Self::Public(keys) => {
                Ok(keys.iter().filter_map(|key| key.named(id)).any(|key| signed.is_by(&key)))
            }
        }
    }
}
