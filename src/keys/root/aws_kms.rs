//! The root key in AWS KMS: a symmetric key that never leaves it.
//!
//! A wrapped key is the `CiphertextBlob` of `Encrypt`, opaque to us. The dataset key's id is bound to it as the
//! encryption context `{"sealift": id}`, which CloudTrail shows beside every use of the key.

mod credentials;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{HttpClient, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use self::credentials::Source;
use super::Root;
use crate::error::{At, Error, Result};
use crate::secret::Secret;
use crate::spec::config;

/// The name of the entry in the encryption context.
const CONTEXT: &str = "sealift";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(40);
const ATTEMPTS: u32 = 4;

/// A key of AWS KMS.
pub struct AwsKms {
    id: String,
    arn: String,
    client: Client,
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKms").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AwsKms {
    /// Asks for the key, and whether it can wrap.
    ///
    /// # Errors
    /// `Invalid` when there is no such key, it is of another kind, or credentials are missing; `Failed` when it
    /// is turned off; `Denied` and `Temporary` as KMS says.
    pub(super) async fn open(settings: &config::AwsKms) -> Result<Self> {
        let place = || format!("key {} of AWS KMS", settings.key_id);
        let source = Source::open(settings).await.at(place)?;
        let client = client(settings, source);
        let answer = client.describe_key().key_id(&settings.key_id).send().await;
        let answer = answer.map_err(|error| told(&error)).at(place)?;
        let arn = usable(answer.key_metadata()).at(place)?;
        Ok(Self { id: format!("aws_kms:{arn}"), arn, client })
    }

    fn told<E: ProvideErrorMetadata>(&self, error: &SdkError<E, impl Answer>) -> Error {
        told(error).at(format!("key {} of AWS KMS", self.arn))
    }
}

#[async_trait]
impl Root for AwsKms {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>> {
        let request = self.client.encrypt().key_id(&self.arn).encryption_context(CONTEXT, text(aad)?);
        let answer = request.plaintext(Blob::new(key.expose())).send().await;
        let answer = answer.map_err(|error| self.told(&error))?;
        answer.ciphertext_blob.map(Blob::into_inner).ok_or_else(nothing)
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret> {
        let request = self.client.decrypt().key_id(&self.arn).encryption_context(CONTEXT, text(aad)?);
        let answer = request.ciphertext_blob(Blob::new(wrapped)).send().await;
        let answer = answer.map_err(|error| self.told(&error))?;
        answer.plaintext.map(|plain| Secret::new(plain.into_inner())).ok_or_else(nothing)
    }
}

fn client(settings: &config::AwsKms, source: Source) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .operation_attempt_timeout(ATTEMPT_LIMIT)
        .operation_timeout(LIMIT);
    let mut config = aws_sdk_kms::Config::builder()
        .behavior_version_latest()
        .region(Region::new(settings.region.clone()))
        .http_client(http())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .credentials_provider(source);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// TLS by rustls with ring, as everywhere else.
fn http() -> impl HttpClient + 'static {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The key's ARN, if it can encrypt and decrypt now.
fn usable(key: Option<&KeyMetadata>) -> Result<String> {
    let key = key.ok_or_else(nothing)?;
    let symmetric = key.key_spec().is_none_or(|spec| *spec == KeySpec::SymmetricDefault);
    let encrypts = key.key_usage().is_none_or(|usage| *usage == KeyUsageType::EncryptDecrypt);
    if !symmetric || !encrypts {
        return Err(Error::invalid("the key is not one that encrypts and decrypts with itself")
            .help("make another one: aws kms create-key --key-spec SYMMETRIC_DEFAULT"));
    }
    match key.key_state() {
        None | Some(KeyState::Enabled) => {}
        Some(KeyState::Creating | KeyState::Updating) => {
            return Err(Error::temporary("the key is just being made").help("run the same command again"));
        }
        Some(KeyState::Unavailable) => return Err(unavailable()),
        Some(state) => return Err(turned_off(&format!(" ({})", state.as_str()))),
    }
    key.arn().map(str::to_owned).ok_or_else(nothing)
}

/// Ids are ASCII.
fn text(aad: &[u8]) -> Result<&str> {
    std::str::from_utf8(aad).map_err(|_| Error::failed("the id of a key is not UTF-8"))
}

/// The HTTP answer of an error, of which the status counts.
trait Answer {
    fn status(&self) -> u16;
}

impl Answer for aws_sdk_kms::config::http::HttpResponse {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}

/// What KMS says in our words; its own name resources that we do not know to be harmless.
fn told<E: ProvideErrorMetadata>(error: &SdkError<E, impl Answer>) -> Error {
    match (error.code(), error) {
        (Some(code), _) => by_code(code),
        (None, SdkError::ServiceError(service)) => by_status(service.raw().status()),
        (None, SdkError::ResponseError(answer)) => by_status(answer.raw().status()),
        (None, SdkError::TimeoutError(_)) => unreachable_kms("does not answer in time"),
        (None, SdkError::DispatchFailure(failure)) if failure.is_io() || failure.is_timeout() => {
            unreachable_kms("cannot be reached")
        }
        _ => unreachable_kms("cannot be asked"),
    }
}

fn by_code(code: &str) -> Error {
    match code {
        "AccessDeniedException" | "AccessDenied" => Error::denied(
            "AWS KMS does not allow the use of the key",
        )
        .help(
            "allow the caller kms:DescribeKey, kms:Encrypt and kms:Decrypt on it, in the key's policy or IAM",
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException" => Error::denied(format!("AWS does not accept the credentials ({code})"))
            .help("check the access key, its secret and session token, and this machine's clock"),
        "NotFoundException" => Error::invalid("there is no such key")
            .help("check `key_id`, `region` and the account; `aws kms list-aliases` shows the names"),
        "InvalidArnException" | "ValidationException" | "InvalidKeyUsageException" => {
            Error::invalid(format!("AWS KMS does not take this key ({code})"))
                .help("write the id, `alias/NAME` or ARN of a symmetric key in `key_id`")
        }
        "DisabledException" | "KMSInvalidStateException" => turned_off(""),
        "InvalidCiphertextException" | "IncorrectKeyException" => {
            Error::failed("a wrapped key was altered, or was wrapped by another key")
                .help("restore the keys folder from its backup, and name the key that belongs to it")
        }
        "KeyUnavailableException" => unavailable(),
        code if code.contains("Throttling") || code == "LimitExceededException" => {
            Error::temporary("AWS KMS has had too many requests").help("run the same command again")
        }
        code => unreachable_kms(&format!("has a fault of its own ({code})")),
    }
}

fn by_status(status: u16) -> Error {
    match status {
        401 | 403 => Error::denied("what answers in place of AWS KMS does not let us in")
            .help("check `endpoint` and proxies on the way"),
        _ => unreachable_kms(&format!("answers with status {status} and no reason")),
    }
}

fn turned_off(state: &str) -> Error {
    Error::failed(format!("the key is turned off{state}")).help(
        "who manages it can enable it, or cancel its deletion: aws kms enable-key, aws kms cancel-key-deletion",
    )
}

fn unavailable() -> Error {
    Error::temporary("the key is not available to AWS KMS").help("check the key store that it is kept in")
}

fn unreachable_kms(how: &str) -> Error {
    Error::temporary(format!("AWS KMS {how}"))
        .help("check the network, `region` and `endpoint`; nothing is lost, run the same command again")
}

fn nothing() -> Error {
    Error::failed("AWS KMS answers without what was asked for").help("check `endpoint`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn each_answer_has_its_kind_and_its_remedy() {
        let kinds = [
            ("AccessDeniedException", Kind::Denied),
            ("UnrecognizedClientException", Kind::Denied),
            ("ExpiredTokenException", Kind::Denied),
            ("NotFoundException", Kind::Invalid),
            ("DisabledException", Kind::Failed),
            ("KMSInvalidStateException", Kind::Failed),
            ("InvalidCiphertextException", Kind::Failed),
            ("ThrottlingException", Kind::Temporary),
            ("KMSInternalException", Kind::Temporary),
            ("DependencyTimeoutException", Kind::Temporary),
            ("KeyUnavailableException", Kind::Temporary),
        ];
        for (code, kind) in kinds {
            let error = by_code(code);
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.remedy().is_some(), "{code}");
        }
        assert_eq!(by_status(503).kind(), Kind::Temporary);
        assert_eq!(by_status(403).kind(), Kind::Denied);
    }

    #[test]
    fn a_key_that_cannot_wrap_now_is_refused() {
        let key = || KeyMetadata::builder().key_id("k").arn("arn:aws:kms:eu-west-1:1:key/k");
        assert_eq!(usable(Some(&key().build().unwrap())).unwrap(), "arn:aws:kms:eu-west-1:1:key/k");
        let kind = |metadata: KeyMetadata| usable(Some(&metadata)).unwrap_err().kind();
        assert_eq!(kind(key().key_state(KeyState::Disabled).build().unwrap()), Kind::Failed);
        assert_eq!(kind(key().key_state(KeyState::PendingDeletion).build().unwrap()), Kind::Failed);
        assert_eq!(kind(key().key_state(KeyState::Creating).build().unwrap()), Kind::Temporary);
        assert_eq!(kind(key().key_spec(KeySpec::Rsa2048).build().unwrap()), Kind::Invalid);
        assert_eq!(kind(key().key_usage(KeyUsageType::SignVerify).build().unwrap()), Kind::Invalid);
        assert_eq!(usable(None).unwrap_err().kind(), Kind::Failed);
    }
}
