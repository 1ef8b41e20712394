//! Certificates of authorities: whom the daemon trusts, as a client and as a server.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// TLS 1.2 or newer with the authorities of `ca_file`, else the system's; `key` is where the file is named.
///
/// # Errors
/// `Invalid` when the authorities cannot be read or there are none.
pub(super) fn client(ca_file: Option<&Path>, key: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates(path, key)? {
            roots.add(certificate).map_err(|_| unusable(path, key, "it holds what is no certificate"))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // Named, because more than one provider is linked in.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::failed("the TLS provider knows no protocol version"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// `Invalid` when it cannot be read or holds none.
pub(super) fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path).map_err(|e| unusable(path, key, &e.kind().to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = read.map_err(|_| unusable(path, key, "it is not PEM"))?;
    if certificates.is_empty() {
        return Err(unusable(path, key, "it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, key: &str, why: &str) -> Error {
    Error::invalid(format!("cannot use the certificates of {}: {why}", path.display()))
        .help(format!("`{key}` names a PEM file of certificates"))
}
