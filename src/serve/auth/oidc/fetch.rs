//! What an identity provider publishes, fetched within bounds.

use std::time::Duration;

use reqwest::{Certificate, Client, Url, redirect};
use serde_json::Value;

use crate::error::{At, Error, Result};
use crate::serve::trust;
use crate::spec::access::Oidc;
use crate::spec::is_loopback;

const LIMIT: Duration = Duration::from_secs(5);
/// Most bytes of a document.
const MOST_BYTES: usize = 256 << 10;
/// Behind the issuer's URL (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Knows where a provider's keys are.
pub(super) struct Fetch {
    http: Client,
    issuer: String,
    jwks_url: Option<String>,
}

impl Fetch {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when its authorities cannot be read.
    pub(super) fn new(given: &Oidc) -> Result<Self> {
        let mut builder = Client::builder()
            .use_rustls_tls()
            // A redirect may lead where nobody vouches for the keys.
            .redirect(redirect::Policy::none())
            .timeout(LIMIT);
        if let Some(path) = &given.ca_file {
            builder = builder.tls_built_in_root_certs(false);
            for der in trust::certificates(path, "ca_file").at(|| "`access: {oidc: …}`".to_owned())? {
                let certificate = Certificate::from_der(&der).map_err(|_| {
                    Error::invalid("`ca_file` of `access: {oidc: …}` holds what is no certificate")
                })?;
                builder = builder.add_root_certificate(certificate);
            }
        }
        let given_urls = [Some(&given.issuer), given.jwks_url.as_ref()];
        if given_urls.into_iter().flatten().any(|url| url.starts_with("http://")) {
            // A proxy would carry what is meant for this machine.
            builder = builder.no_proxy();
        }
        let http =
            builder.build().map_err(|_| Error::invalid("TLS to the identity provider cannot be set up"))?;
        Ok(Self { http, issuer: given.issuer.clone(), jwks_url: given.jwks_url.clone() })
    }

    /// The provider's keys, as it publishes them.
    ///
    /// # Errors
    /// `Temporary` when they cannot be had.
    pub(super) async fn keys(&self) -> Result<Value> {
        if let Some(url) = &self.jwks_url {
            return self.document(url).await;
        }
        let found = self.document(&format!("{}{DISCOVERY}", self.issuer.trim_end_matches('/'))).await?;
        if found.get("issuer").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(fault("discovery names another issuer"));
        }
        let url = found.get("jwks_uri").and_then(Value::as_str).unwrap_or_default();
        self.document(url).await
    }

    /// A JSON document, over TLS or from this machine.
    async fn document(&self, url: &str) -> Result<Value> {
        let url = Url::parse(url).map_err(|_| fault("the address of its keys is no URL"))?;
        let is_trusted =
            url.scheme() == "https" || url.scheme() == "http" && url.host_str().is_some_and(is_loopback);
        if !is_trusted {
            return Err(fault("the address of its keys is not encrypted"));
        }
        let answer = self.http.get(url).send().await;
        let mut answer =
            answer.map_err(|_| fault("it cannot be reached, or its certificate is not trusted"))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(fault(&format!("it answers {}", answer.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| fault("its answer broke off"))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(fault("its answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| fault("its answer is no JSON"))
    }
}

fn fault(why: &str) -> Error {
    Error::temporary(format!("the identity provider: {why}"))
}
