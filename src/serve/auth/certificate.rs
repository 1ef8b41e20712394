//! Who a client's certificate speaks of.

use std::collections::BTreeSet;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::govern::{Principal, Source};
use crate::spec::access::Roles;

/// Most names of one certificate that are looked at.
const MOST_NAMES: usize = 64;

/// A certificate that an authority we trust has signed.
#[derive(Debug)]
pub(in crate::serve) struct Certificate {
    /// Whose it is.
    pub(super) principal: Principal,
    /// Until when, in epoch milliseconds.
    pub(super) expires_ms: i64,
}

/// Reads a certificate that was verified already. Its holder is called by the first of its names that has a role, or
/// else by the first: those of the subject's alternative names before the common name (RFC 9525, section 2). `None` where
/// it names nobody.
pub(in crate::serve) fn read(der: &[u8], roles: &Roles) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = names(&certificate);
    let named = names.iter().find(|name| roles.contains_key(*name)).or_else(|| names.first())?;
    let held: BTreeSet<_> = names.iter().filter_map(|name| roles.get(name)).flatten().copied().collect();
    let principal = Principal::new(Source::Certificate, named, held)?;
    Some(Certificate {
        principal,
        expires_ms: certificate.validity().not_after.timestamp().saturating_mul(1000),
    })
}

/// Its names, each with its kind before it.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let mut ranked: Vec<(u8, String)> = alternative
        .take(MOST_NAMES)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((0, format!("uri:{uri}"))),
            GeneralName::DNSName(host) => Some((1, format!("dns:{}", host.to_ascii_lowercase()))),
            GeneralName::RFC822Name(mailbox) => Some((2, format!("email:{mailbox}"))),
            _ => None,
        })
        .collect();
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    ranked.extend(common.map(|name| (3, format!("cn:{name}"))));
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, name)| name).collect()
}
