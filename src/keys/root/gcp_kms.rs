//! The root key in Google Cloud KMS: a symmetric key that never leaves it.
//!
//! A wrapped key is the `ciphertext` of `Encrypt`, opaque to us; it names the version of the key that opens it. The
//! dataset key's id is bound to it as `additionalAuthenticatedData`. Both ways carry CRC-32C checksums, as Google asks
//! of clients (Cloud KMS, "Verifying end-to-end data integrity"): a key that was changed on its way before it was
//! wrapped would open, and would not be the one that sealed the data.

mod credentials;
mod fault;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc, Table};
use google_cloud_gax::error::Error as Fault;
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicyExt as _};
use google_cloud_kms_v1::client::KeyManagementService;
use google_cloud_kms_v1::model::DecryptResponse;

use self::fault::{altered, garbled, told, unopened};
use super::Root;
use crate::error::{At, Error, Kind, Result};
use crate::keys::aead;
use crate::secret::Secret;
use crate::spec::config;

const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(40);
const ATTEMPTS: u32 = 4;
/// The polynomial of Castagnoli, RFC 3720 appendix B.4.
const CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
/// What is bound to the bytes that are wrapped at the start.
const TRIAL: &[u8] = b"sealift:trial";

/// A key of Google Cloud KMS.
pub struct GcpKms {
    id: String,
    key: String,
    client: KeyManagementService,
}

impl fmt::Debug for GcpKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKms").field("id", &self.id).finish_non_exhaustive()
    }
}

impl GcpKms {
    /// Wraps and unwraps a few random bytes: that needs no more rights than the work itself, and a key of another
    /// purpose, or one whose primary version is turned off, cannot do it.
    ///
    /// # Errors
    /// `Invalid` when there is no such key, it is of another kind, or credentials are missing; `Failed` when it
    /// is turned off; `Denied` and `Temporary` as KMS says.
    pub(super) async fn open(settings: &config::GcpKms) -> Result<Self> {
        let place = || place(&settings.key);
        let client = client(settings).await.at(place)?;
        let kms = Self { id: format!("gcp_kms:{}", settings.key), key: settings.key.clone(), client };
        let trial = aead::random_secret(aead::KEY_BYTES)?;
        let wrapped = kms.wrap(&trial, TRIAL).await?;
        if kms.unwrap(&wrapped, TRIAL).await?.expose() != trial.expose() {
            return Err(garbled().at(place()));
        }
        Ok(kms)
    }
}

fn place(key: &str) -> String {
    format!("key {key} of Google Cloud KMS")
}

#[async_trait]
impl Root for GcpKms {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>> {
        let request = self.client.encrypt().set_name(&self.key).set_plaintext(bytes(key.expose()));
        let request = request.set_plaintext_crc32c(checksum(key.expose()));
        let request = request.set_additional_authenticated_data(bytes(aad));
        let request = request.set_additional_authenticated_data_crc32c(checksum(aad));
        // A key that is wrapped twice is wrapped well.
        let sent = request.with_idempotency(true).send();
        let answer = in_time(sent).await?.map_err(|error| told(&error)).at(|| place(&self.key))?;
        let is_whole = answer.verified_plaintext_crc32c
            && answer.verified_additional_authenticated_data_crc32c
            && answer.ciphertext_crc32c == Some(checksum(&answer.ciphertext));
        if !is_whole {
            return Err(garbled().at(place(&self.key)));
        }
        Ok(answer.ciphertext.to_vec())
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret> {
        let answer = match self.decrypt(wrapped, aad).await? {
            // What does not open, and what was changed on its way, are answered alike.
            Err(error) if unopened(&error).kind() == Kind::Failed => self.decrypt(wrapped, aad).await?,
            answer => answer,
        };
        let answer = answer.map_err(|error| unopened(&error)).at(|| place(&self.key))?;
        if answer.plaintext_crc32c != Some(checksum(&answer.plaintext)) {
            return Err(garbled().at(place(&self.key)));
        }
        if answer.plaintext.is_empty() {
            return Err(altered());
        }
        Ok(Secret::new(answer.plaintext.to_vec()))
    }
}

impl GcpKms {
    /// What KMS answers.
    ///
    /// # Errors
    /// `Temporary` when it does not in time.
    async fn decrypt(&self, wrapped: &[u8], aad: &[u8]) -> Result<Result<DecryptResponse, Fault>> {
        let request = self.client.decrypt().set_name(&self.key).set_ciphertext(bytes(wrapped));
        let request = request.set_ciphertext_crc32c(checksum(wrapped));
        let request = request.set_additional_authenticated_data(bytes(aad));
        let request = request.set_additional_authenticated_data_crc32c(checksum(aad));
        in_time(request.with_idempotency(true).send()).await.at(|| place(&self.key))
    }
}

/// Where credentials are asked for has no limit of its own.
async fn in_time<T>(asked: impl Future<Output = T> + Send) -> Result<T> {
    tokio::time::timeout(LIMIT, asked).await.map_err(|_| fault::late())
}

/// A proxy would carry keys in plain text to where an endpoint without TLS is not meant to be asked from.
fn refuse_proxy(endpoint: &str) -> Result<()> {
    const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let host = url::Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    let direct =
        ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let is_direct = direct.split(',').any(|name| Some(name.trim()) == host.as_deref() || name.trim() == "*");
    match PROXIES.iter().find(|name| is_set(name)) {
        Some(proxy) if endpoint.starts_with("http://") && !is_direct => {
            Err(Error::invalid(format!("{proxy} would carry what is meant for this machine in plain text"))
                .help("put the host of `endpoint` into NO_PROXY"))
        }
        _ => Ok(()),
    }
}

async fn client(settings: &config::GcpKms) -> Result<KeyManagementService> {
    let policy = Aip194Strict.continue_on_too_many_requests().continue_on_client_timeout();
    let pauses = ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(200))
        .with_maximum_delay(Duration::from_secs(2))
        .clamp();
    let mut builder = KeyManagementService::builder()
        .with_credentials(credentials::of(settings.credentials.as_ref())?)
        .with_retry_policy(policy.with_time_limit(LIMIT).with_attempt_limit(ATTEMPTS))
        .with_backoff_policy(pauses)
        .with_attempt_timeout(ATTEMPT_LIMIT);
    if let Some(endpoint) = &settings.endpoint {
        refuse_proxy(endpoint)?;
        builder = builder.with_endpoint(endpoint);
    }
    in_time(builder.build()).await?.map_err(|error| fault::unbuilt(&error))
}

fn bytes(plain: &[u8]) -> Bytes {
    Bytes::copy_from_slice(plain)
}

fn checksum(bytes: &[u8]) -> i64 {
    i64::from(CRC32C.checksum(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_castagnoli() {
        // RFC 3720, appendix B.4.
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
    }
}
