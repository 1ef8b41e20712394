//! S3 and stores that speak its protocol.

use std::str::FromStr as _;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::error::{At as _, Error, Result};
use crate::secret::Reference;
use crate::spec::config::{self, S3};

const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    },
    max_retries: 5,
    retry_timeout: Duration::from_secs(60),
};

/// The bucket's client.
pub(super) fn open(settings: &S3) -> Result<AmazonS3> {
    let loopback_http = match &settings.endpoint {
        Some(endpoint) => check_endpoint(endpoint)?,
        None => false,
    };
    let client = ClientOptions::new()
        .with_allow_http(loopback_http)
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(120));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(RETRY)
        .with_client_options(client);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(bucket_endpoint(endpoint, settings));
    }
    with_credentials(builder, settings)?.build().map_err(|_| {
        Error::invalid(format!("the settings of bucket `{}` contradict each other", settings.bucket))
            .help("check endpoint, region and path_style")
    })
}

/// The store's URL, for people.
pub(super) fn url(settings: &S3) -> Result<url::Url> {
    url::Url::parse(&format!("s3://{}/{}", settings.bucket, settings.prefix))
        .map_err(|_| Error::invalid(format!("`{}` is not a bucket name", settings.bucket)))
}

/// Whether the endpoint is plain HTTP, which only loopback may be.
fn check_endpoint(endpoint: &str) -> Result<bool> {
    let invalid = |what: &str| {
        Error::invalid(format!("the store's endpoint {what}")).help("write https://host, without a path")
    };
    let url = url::Url::parse(endpoint).map_err(|_| invalid("is not a URL"))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => Err(invalid("holds credentials")),
        "https" => Ok(false),
        "http" if loopback => Ok(true),
        "http" => Err(invalid("is plain HTTP, which is accepted for loopback only")),
        _ => Err(invalid("is neither https nor http")),
    }
}

/// The client expects the bucket in the host name of a virtual-hosted endpoint.
fn bucket_endpoint(endpoint: &str, settings: &S3) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if !settings.path_style => format!("{scheme}://{}.{host}", settings.bucket),
        _ => endpoint.to_owned(),
    }
}

/// Credentials from the settings' references, or else from the environment.
fn with_credentials(mut builder: AmazonS3Builder, settings: &S3) -> Result<AmazonS3Builder> {
    let resolve = |reference: &Reference, what: &str| {
        let secret = reference.resolve().at(|| format!("{what} of bucket `{}`", settings.bucket))?;
        Ok::<_, Error>(secret.expose_str()?.to_owned())
    };
    match (&settings.access_key_id, &settings.secret_access_key) {
        (Some(id), Some(secret)) => {
            builder = builder
                .with_access_key_id(resolve(id, "access_key_id")?)
                .with_secret_access_key(resolve(secret, "secret_access_key")?);
            if let Some(token) = &settings.session_token {
                builder = builder.with_token(resolve(token, "session_token")?);
            }
        }
        (None, None) if settings.session_token.is_none() => {
            for name in config::AWS_CREDENTIAL_VARIABLES {
                let key = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase());
                if let (Ok(key), Ok(value)) = (key, std::env::var(name)) {
                    builder = builder.with_config(key, value);
                }
            }
        }
        _ => {
            return Err(Error::invalid(format!(
                "bucket `{}` has a part of its credentials only",
                settings.bucket
            ))
            .help("give access_key_id and secret_access_key, or neither to use the environment's"));
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str) -> S3 {
        S3 {
            bucket: "lake".into(),
            prefix: "bronze".into(),
            endpoint: Some(endpoint.into()),
            region: "us-east-1".into(),
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            path_style: true,
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for (endpoint, accepted) in [
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost:9000/", true),
            ("https://s3.example", true),
            ("http://s3.example", false),
            ("http://127.0.0.1.example", false),
            ("ftp://127.0.0.1", false),
            ("https://user:pw@s3.example", false),
        ] {
            assert_eq!(open(&settings(endpoint)).is_ok(), accepted, "{endpoint}");
        }
    }

    #[test]
    fn half_of_a_credential_is_refused() {
        let mut settings = settings("https://s3.example");
        settings.access_key_id = Some(Reference::Env("HOME".into()));
        assert_eq!(open(&settings).unwrap_err().kind(), crate::error::Kind::Invalid);
    }
}
