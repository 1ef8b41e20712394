//! Root key providers.

use async_trait::async_trait;

use crate::error::Result;
use crate::secret::Secret;

/// A holder of the root key. The key never leaves it; only wrapping and unwrapping are asked.
#[async_trait]
pub trait Root: Send + Sync {
    /// Names the root key, without telling it (`file:2f9a…`, a key id).
    fn id(&self) -> &str;

    /// Wraps a dataset key; `aad` (the dataset key's id) is bound to it.
    ///
    /// # Errors
    /// `Temporary` when the provider cannot be reached, `Denied` when it refuses.
    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>>;

    /// Unwraps a dataset key.
    ///
    /// # Errors
    /// As [`Root::wrap`]; `Failed` when the bytes or `aad` are not those that were wrapped.
    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret>;
}
