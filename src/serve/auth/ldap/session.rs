//! One conversation with a directory (RFC 4511): binds and searches, each within bounds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use ldap3::result::LdapResult;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchEntry, SearchOptions};
use rustls::ClientConfig;

use crate::error::{Error, Result};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one conversation may take.
const LIMIT: Duration = Duration::from_secs(10);
/// As `LIMIT`, for the directory.
const LIMIT_SECONDS: i32 = 10;

/// Result codes of a bind that say that name or password is wrong, or may not be used: noSuchObject,
/// invalidDNSSyntax, inappropriateAuthentication, invalidCredentials, insufficientAccessRights, unwillingToPerform.
const REFUSING: [u32; 6] = [32, 34, 48, 49, 50, 53];
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// A conversation that is open.
pub(super) struct Session {
    ldap: Ldap,
}

/// What a search found.
pub(super) struct Found {
    /// The DNs of the entries.
    pub(super) dns: Vec<String>,
    /// Whether there are more.
    pub(super) more: bool,
}

impl Session {
    /// Connects, has the conversation, and hangs up.
    ///
    /// # Errors
    /// `Temporary` when the directory does not answer, or not in time; else those of `talk`.
    pub(super) async fn have<T, F: Future<Output = Result<T>>>(
        url: &str,
        tls: &Arc<ClientConfig>,
        talk: impl FnOnce(Self) -> F,
    ) -> Result<T> {
        let talking = async {
            let settings =
                LdapConnSettings::new().set_conn_timeout(CONNECT_LIMIT).set_config(Arc::clone(tls));
            let (connection, ldap) = LdapConnAsync::with_settings(settings, url)
                .await
                .map_err(|_| away("it cannot be reached, or its certificate is not trusted"))?;
            tokio::select! {
                said = talk(Self { ldap }) => said,
                _ = connection.drive() => Err(away("it hung up")),
            }
        };
        // The library does not expect what is no LDAP.
        let talking = AssertUnwindSafe(talking).catch_unwind();
        match tokio::time::timeout(LIMIT, talking).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) => Err(away("it does not speak LDAP")),
            Err(_) => Err(away("it takes too long")),
        }
    }

    /// Whether the directory takes the password, which must not be empty: that would be a bind without one, which it
    /// takes for anybody (RFC 4513, section 5.1.2).
    ///
    /// # Errors
    /// `Temporary` when it answers neither yes nor no.
    pub(super) async fn bind(&mut self, dn: &str, password: &str) -> Result<bool> {
        if dn.is_empty() || password.is_empty() {
            return Ok(false);
        }
        let bound = self.ldap.simple_bind(dn, password).await.map_err(|_| away("it hung up at a bind"))?;
        match bound.rc {
            SUCCESS => Ok(true),
            code if REFUSING.contains(&code) => Ok(false),
            _ => Err(code_of("a bind", &bound)),
        }
    }

    /// The entries below `base` that meet the filter, at most so many. Referrals to other directories are not followed.
    ///
    /// # Errors
    /// `Temporary` when the search fails.
    pub(super) async fn search(&mut self, base: &str, filter: &str, most: usize) -> Result<Found> {
        let failed = |_| away("it hung up at a search, or the filter is wrong");
        let options =
            SearchOptions::new().timelimit(LIMIT_SECONDS).sizelimit(i32::try_from(most).unwrap_or(0));
        // "1.1" asks for no attribute (RFC 4511, section 4.5.1.8).
        let search = self.ldap.with_search_options(options);
        let mut entries =
            search.streaming_search(base, Scope::Subtree, filter, vec!["1.1"]).await.map_err(failed)?;
        let mut found = Found { dns: vec![], more: false };
        while let Some(entry) = entries.next().await.map_err(failed)? {
            if entry.is_ref() || entry.is_intermediate() {
                continue;
            }
            if found.dns.len() == most {
                return Ok(Found { more: true, ..found });
            }
            found.dns.push(SearchEntry::construct(entry).dn);
        }
        let end = entries.finish().await;
        match end.rc {
            SUCCESS => Ok(found),
            SIZE_LIMIT_EXCEEDED => Ok(Found { more: true, ..found }),
            _ => Err(code_of("a search", &end)),
        }
    }
}

fn code_of(what: &str, result: &LdapResult) -> Error {
    away(&format!("it answers {what} with code {}", result.rc))
}

/// Those outside are told that it cannot be asked, and the log why.
pub(in crate::serve::auth) fn away(why: &str) -> Error {
    Error::temporary("the directory cannot be asked").help("try again later").at(why)
}
