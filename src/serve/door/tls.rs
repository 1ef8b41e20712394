//! TLS of the door, with certificates that may change under it.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::error::{At, Error, Result};
use crate::secret::Secret;
use crate::serve::trust;
use crate::spec::listen;

/// The daemon's certificate and the authorities of its clients, as they are by now.
pub(super) struct Tls {
    given: listen::Tls,
    /// What is in use.
    config: watch::Sender<Arc<ServerConfig>>,
    /// What was looked at last: what is in use, or what could not be used.
    seen: Mutex<[u8; 32]>,
}

/// The files, as they are by now.
struct Files {
    certificate: Vec<u8>,
    key: Secret,
    authorities: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// Reads certificate, key and authorities.
    ///
    /// # Errors
    /// `Invalid` when one cannot be read, or key and certificate do not fit.
    pub(super) fn open(given: listen::Tls) -> Result<Self> {
        let files = Files::read(&given)?;
        let config = watch::Sender::new(files.config(&given)?);
        Ok(Self { given, config, seen: Mutex::new(files.digest()) })
    }

    /// How a connection that begins now is protected, and what tells when that would be otherwise.
    pub(super) fn config(&self) -> (Arc<ServerConfig>, watch::Receiver<Arc<ServerConfig>>) {
        let mut changes = self.config.subscribe();
        let config = Arc::clone(&changes.borrow_and_update());
        (config, changes)
    }

    /// What the names in clients' certificates mean.
    pub(super) const fn clients(&self) -> Option<&listen::Clients> {
        self.given.clients.as_ref()
    }

    /// Reads the files again, and uses them for connections to come if they changed. Where they cannot be used, what is
    /// in use stays, and that is told once. Blocks.
    pub(super) fn renew(&self) {
        let files = match Files::read(&self.given) {
            Ok(files) => files,
            Err(error) => return self.keep([0; 32], &error),
        };
        let digest = files.digest();
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == digest {
            return;
        }
        match files.config(&self.given) {
            Ok(config) => {
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = digest;
                self.config.send_replace(config);
                tracing::info!("the certificates changed and are in use");
            }
            Err(error) => self.keep(digest, &error),
        }
    }

    fn keep(&self, now: [u8; 32], error: &Error) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != now {
            tracing::warn!(%error, "the certificates changed and cannot be used: the last good ones stay");
            *seen = now;
        }
    }
}

impl Files {
    fn read(given: &listen::Tls) -> Result<Self> {
        let certificate = std::fs::read(&given.certificate).map_err(|e| {
            Error::invalid(format!(
                "cannot read the certificate {}: {}",
                given.certificate.display(),
                e.kind()
            ))
            .help("`listen: {tls: {certificate: …}}` names a PEM file")
        })?;
        let key = given.key.resolve().at(|| "the key of `listen: {tls: …}`".to_owned())?;
        let authorities = match &given.clients {
            Some(clients) => trust::certificates(&clients.ca_file, "ca_file")?,
            None => Vec::new(),
        };
        Ok(Self { certificate, key, authorities })
    }

    fn digest(&self) -> [u8; 32] {
        let authorities = self.authorities.iter().map(AsRef::as_ref);
        let parts = [self.certificate.as_slice(), self.key.expose()].into_iter().chain(authorities);
        let hash = parts
            .fold(Sha256::new(), |hash, part| hash.chain_update(part.len().to_be_bytes()).chain_update(part));
        hash.finalize().into()
    }

    /// TLS 1.2 or newer, without resumption: a certificate is looked at whenever a connection begins.
    fn config(&self, given: &listen::Tls) -> Result<Arc<ServerConfig>> {
        let unusable = |why: &str| {
            Error::invalid(format!("cannot speak TLS with {}: {why}", given.certificate.display()))
                .help("`certificate` names the daemon's own first, then those between it and its authority; `key` is its key")
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|_| unusable("it is not PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose())
            .map_err(|_| unusable("the key is no private key in PEM"))?;
        // Named, because more than one provider is linked in.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| unusable("the TLS provider knows no protocol version"))?;
        let builder = match &given.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                for authority in &self.authorities {
                    roots
                        .add(authority.clone())
                        .map_err(|_| unusable("`ca_file` holds what is no authority"))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if clients.is_required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|_| unusable("`ca_file` cannot be used"))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|_| unusable("certificate and key do not belong together"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}
