//! TLS to a database that checks the server's certificate and its host name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// How a client speaks it: TLS 1.2 or newer, and the authorities of `ca_file`, else the system's.
///
/// # Errors
/// `Invalid` when the authorities cannot be read or there are none.
pub(super) fn verify_full(ca_file: Option<&Path>) -> Result<ClientConfig> {
    // Named, because more than one provider is linked in.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::failed("the TLS provider knows no protocol version"))?
        .with_root_certificates(authorities(ca_file)?)
        .with_no_client_auth();
    Ok(config)
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(Error::invalid("this machine has no certificate authorities to trust")
                .help("name the database's in `ca_file` of the connection"));
        }
        return Ok(roots);
    };
    let unusable = |why: &str| {
        Error::invalid(format!("cannot use the authorities of `ca_file` {}: {why}", path.display()))
    };
    let pem = std::fs::read(path).map_err(|e| unusable(&e.kind().to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| unusable("it is not PEM"))?;
        roots.add(certificate).map_err(|_| unusable("it holds what is no certificate"))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate"));
    }
    Ok(roots)
}

/// What was wrong with TLS, if it was TLS.
pub(super) fn fault(io: &io::Error) -> Option<Error> {
    use rustls::CertificateError as Certificate;
    let tls = io.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match tls {
        rustls::Error::InvalidCertificate(why) => match why {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                Error::invalid("the server's certificate is for another host name")
                    .help("write the name that the certificate holds in `host`")
            }
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                Error::invalid("the server's certificate is not signed by a trusted authority")
                    .help("name the authority's PEM file in `ca_file`")
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                Error::invalid("the server's certificate has expired")
            }
            _ => Error::invalid("the server's certificate is not valid"),
        },
        _ => Error::invalid("the TLS handshake failed").help("check the server's `ssl` settings"),
    })
}
