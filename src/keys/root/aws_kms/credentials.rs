//! Who asks: an access key of the configuration, or what the environment offers, as for stores on S3.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider};
use object_store::{BackoffConfig, RetryConfig};

use crate::error::{At, Error, Result};
use crate::secret::Reference;
use crate::spec::config;

/// For roles that are asked for over the network.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
    },
    max_retries: 2,
    retry_timeout: Duration::from_secs(10),
};

/// Where credentials come from. They are fetched anew when they end, references too.
pub(super) enum Source {
    /// An access key, its secret, and a session token.
    Given([Option<Reference>; 3]),
    /// Variables, a web identity, the container's role or the machine's.
    Environment(AwsCredentialProvider),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

impl Source {
    /// Finds credentials once, so that missing ones are told in our words.
    ///
    /// # Errors
    /// `Invalid` when there are none.
    pub(super) async fn open(settings: &config::AwsKms) -> Result<Self> {
        let config::AwsKms { access_key_id, secret_access_key, session_token, .. } = settings;
        if access_key_id.is_some() {
            let given = [access_key_id, secret_access_key, session_token].map(Clone::clone);
            resolve(&given)?;
            return Ok(Self::Given(given));
        }
        // The store's library knows how to ask for them; the bucket is never used.
        let mut builder =
            AmazonS3Builder::new().with_bucket_name("unused").with_region(&settings.region).with_retry(RETRY);
        for name in config::AWS_CREDENTIAL_VARIABLES {
            let key = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase());
            if let (Ok(key), Ok(value)) = (key, std::env::var(name)) {
                builder = builder.with_config(key, value);
            }
        }
        let provider = builder.build().map_err(|_| none())?.credentials().clone();
        provider.get_credential().await.map_err(|_| none())?;
        Ok(Self::Environment(provider))
    }

    async fn find(&self) -> Result<Credentials> {
        match self {
            Self::Given(given) => resolve(given),
            Self::Environment(provider) => {
                let found = provider.get_credential().await.map_err(|_| none())?;
                Ok(credentials(&found.key_id, &found.secret_key, found.token.clone()))
            }
        }
    }
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let found = async move { self.find().await.map_err(CredentialsError::not_loaded) };
        future::ProvideCredentials::new(found)
    }
}

fn resolve(given: &[Option<Reference>; 3]) -> Result<Credentials> {
    let names = ["access_key_id", "secret_access_key", "session_token"];
    let mut texts = [const { None }; 3];
    for ((reference, name), text) in given.iter().zip(names).zip(&mut texts) {
        let secret = reference.as_ref().map(Reference::resolve).transpose().at(|| name.to_owned())?;
        *text = secret.map(|secret| secret.expose_str().map(str::to_owned)).transpose()?;
    }
    let [Some(id), Some(secret), token] = texts else { return Err(none()) };
    Ok(credentials(&id, &secret, token))
}

fn credentials(id: &str, secret: &str, token: Option<String>) -> Credentials {
    Credentials::new(id, secret, token, None, "sealift")
}

fn none() -> Error {
    Error::invalid("there are no credentials for AWS")
        .help("write `access_key_id` and `secret_access_key`, or run where the environment has a role")
}
