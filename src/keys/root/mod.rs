//! Root key providers.

mod aws_kms;
mod file;
mod gcp_kms;
mod pkcs11;
mod vault;

use async_trait::async_trait;
use futures::FutureExt as _;

pub use aws_kms::AwsKms;
pub use file::File;
pub(super) use file::{COST, Cost, SALT_BYTES, Stamp, next as file_next};
pub use gcp_kms::GcpKms;
pub use pkcs11::Pkcs11;
pub use vault::Vault;

use super::records::Folder;
use crate::error::Result;
use crate::secret::Secret;
use crate::spec::config;

/// A holder of the root key. The key never leaves it; only wrapping and unwrapping are asked.
#[async_trait]
pub trait Root: Send + Sync {
    /// Names the root key, without telling it (`file:2f9a…`, a key id).
    fn id(&self) -> &str;

    /// Wraps a dataset key; `aad` (the dataset key's id) is bound to it.
    ///
    /// # Errors
    /// `Temporary` when the provider cannot be reached, `Denied` when it refuses, `Failed` when the
    /// key is turned off there.
    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>>;

    /// Unwraps a dataset key.
    ///
    /// # Errors
    /// As [`Root::wrap`]; `Failed` when the bytes or `aad` are not those that were wrapped.
    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret>;
}

/// Ends what providers keep open in this process, for its end: nothing can be asked of a PKCS #11 module after it.
pub fn end() {
    pkcs11::module::end_all();
}

/// Opens the provider of the settings, and makes sure that its key is there and fit to wrap.
/// `notice` is told what was created, and what would be better otherwise.
///
/// # Errors
/// `Invalid` when the settings name what is not there or is not fit, or a secret is wrong;
/// `Temporary` when the provider cannot be reached, `Denied` when it refuses.
pub(super) async fn open(
    settings: &config::Keys,
    records: &Folder,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<Box<dyn Root>> {
    Ok(match settings {
        config::Keys::File { path, passphrase } => {
            Box::new(file::open(path, passphrase.as_ref(), records, notice).await?)
        }
        config::Keys::Pkcs11(settings) => Box::new(Box::pin(Pkcs11::open(settings, records)).await?),
        config::Keys::AwsKms(settings) => Box::new(Box::pin(AwsKms::open(settings)).await?),
        config::Keys::GcpKms(settings) => Box::new(GcpKms::open(settings).boxed().await?),
        config::Keys::Vault(settings) => Box::new(Box::pin(Vault::open(settings, notice)).await?),
    })
}
