//! Data keys and their PKMT1 key metadata.

use super::DatasetKey;
use crate::error::Result;
use crate::secret::Secret;

/// A fresh data key and the key metadata that lets a holder of the dataset key recover it.
#[derive(Debug)]
pub struct DataKey {
    /// 32 random bytes.
    pub secret: Secret,
    /// PKMT1 JSON.
    pub metadata: Vec<u8>,
}

impl DataKey {
    /// Draws a data key and wraps it.
    ///
    /// # Errors
    /// `Failed` when the system gives no randomness.
    pub fn generate(_dataset_key: &DatasetKey, _footer: bool) -> Result<Self> {
        todo!()
    }
}

/// The `masterKeyID` that key metadata names.
///
/// # Errors
/// `Failed` when the bytes are not PKMT1 JSON.
pub fn master_key_id(_metadata: &[u8]) -> Result<String> {
    todo!()
}

/// Recovers a data key from its metadata.
///
/// # Errors
/// `Failed` when the metadata is not PKMT1, names another dataset key, or was altered.
pub fn unwrap(_metadata: &[u8], _dataset_key: &DatasetKey) -> Result<Secret> {
    todo!()
}
