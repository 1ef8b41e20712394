//! Who a request comes from, and what they may do.
//!
//! The [`Gate`] asks, in this order: the `Authorization` header, which alone decides where there is one (a token of ours,
//! a token of the identity provider, or name and password of the directory); else the client's certificate. Whoever is
//! let in has at least one role. Every denial is told to the audit trail, many alike as one.

mod certificate;
mod credentials;
mod ldap;
mod oidc;
mod remembered;
mod throttle;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(super) use self::certificate::{Certificate, read as read_certificate};
use self::credentials::Credentials;
use self::ldap::Directory;
use self::oidc::Issuer;
pub(super) use self::throttle::Origin;
use self::throttle::{Key, Throttle};
use self::tokens::Tokens;
use super::problem::Problem;
use crate::error::{Error, Result};
use crate::govern::audit::{Action, Denials};
use crate::govern::store::now_ms;
use crate::govern::{Permission, Principal, token};
use crate::run::ledger::Ledger;
use crate::spec::PipelineName;
use crate::spec::access::Access;

/// How long the metadata store may take where it is not indispensable: Prometheus waits for ten seconds.
const STORE_LIMIT: Duration = Duration::from_secs(2);
/// Where metrics are read.
const METRICS: &str = "/metrics";

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Where it is.
    pub(super) address: IpAddr,
    /// The certificate it has shown.
    pub(super) certificate: Option<Arc<Certificate>>,
}

/// The path that was asked for, whole: a router below another one sees only its part.
#[derive(Clone, Debug)]
pub(super) struct Asked(pub(super) String);

/// Knows who is let in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate(Arc<Parts>);

struct Parts {
    ledger: Ledger,
    tokens: Tokens,
    directory: Option<Directory>,
    issuer: Option<Issuer>,
    throttle: Throttle,
    denials: Denials,
}

/// Why somebody is not let in.
#[derive(Debug)]
enum Refusal {
    /// Nothing proves who it is.
    Nobody,
    /// What was sent proves nothing; `why` is for the record only.
    Wrong { why: String },
    /// Too much was tried.
    Throttled(Duration),
    /// It is known who it is, and it may do nothing.
    NoRole(Principal),
    /// It cannot be known now.
    Unknown(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Unknown(error)
    }
}

/// What somebody that vouches says of credentials.
enum Answer {
    Is(Principal),
    /// They are wrong; `why` is for the record only.
    Wrong {
        why: String,
    },
}

impl Gate {
    /// # Errors
    /// `Invalid` when certificates of authorities or a password that the configuration names cannot be read.
    pub(super) fn new(ledger: Ledger, access: Access) -> Result<Self> {
        Ok(Self(Arc::new(Parts {
            ledger,
            tokens: Tokens::default(),
            directory: access.ldap.map(Directory::new).transpose()?,
            issuer: access.oidc.map(Issuer::new).transpose()?,
            throttle: Throttle::default(),
            denials: Denials::default(),
        })))
    }

    /// Who sends this request.
    async fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let wrong = |why: &str| Refusal::Wrong { why: why.to_owned() };
        let principal = match Credentials::of(headers).map_err(wrong)? {
            Some(Credentials::Bearer(text)) if text.starts_with(token::PREFIX) => {
                let answer = self.0.tokens.judge(&self.0.ledger, text).await?;
                self.weigh(&[Key::Tokens(peer.address.into())], answer)?
            }
            Some(Credentials::Bearer(text)) => {
                let answer = match &self.0.issuer {
                    Some(issuer) => issuer.judge(text).await?,
                    None => Answer::Wrong { why: "a token that is none of ours".to_owned() },
                };
                self.weigh(&[Key::Tokens(peer.address.into())], answer)?
            }
            Some(Credentials::Basic { user, password }) => {
                let directory =
                    self.0.directory.as_ref().ok_or_else(|| wrong("a password, and no directory"))?;
                if let Some(principal) = directory.remembered(&user, &password) {
                    principal
                } else {
                    // A password can be guessed: what was tried too often is not tried at all.
                    let keys = [Key::Directory(peer.address.into()), Key::User(user.to_ascii_lowercase())];
                    if let Some(wait) = self.0.throttle.wait(&keys) {
                        return Err(Refusal::Throttled(wait));
                    }
                    self.weigh(&keys, directory.judge(&user, &password).await?)?
                }
            }
            None => match peer.certificate.as_deref() {
                Some(certificate) if now_ms() < certificate.expires_ms => certificate.principal.clone(),
                Some(_) => return Err(wrong("a certificate that has expired since")),
                None => return Err(Refusal::Nobody),
            },
        };
        if principal.roles().is_empty() { Err(Refusal::NoRole(principal)) } else { Ok(principal) }
    }

    /// Who reads the metrics. They tell that the metadata store is away, so who read them lately goes on while it is.
    async fn admit_to_metrics(&self, peer: &Peer, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let lately = match Credentials::of(headers) {
            Ok(Some(Credentials::Bearer(text))) => self.0.tokens.lately(text),
            _ => None,
        };
        let Some(lately) = lately else { return self.admit(peer, headers).await };
        match tokio::time::timeout(STORE_LIMIT, self.admit(peer, headers)).await {
            Ok(Err(Refusal::Unknown(_))) | Err(_) => Ok(lately),
            Ok(answer) => answer,
        }
    }

    /// Counts what was wrong. What is right is right, however much was wrong before it.
    fn weigh(&self, keys: &[Key], answer: Answer) -> Result<Principal, Refusal> {
        match answer {
            Answer::Is(principal) => Ok(principal),
            Answer::Wrong { why } => match self.0.throttle.wait(keys) {
                Some(wait) => Err(Refusal::Throttled(wait)),
                None => {
                    self.0.throttle.failed(keys);
                    Err(Refusal::Wrong { why })
                }
            },
        }
    }

    /// Tells the audit trail of a denial, and at the latest a minute later of all that were like it. One that cannot be
    /// recorded stays a denial.
    async fn note(&self, actor: &str, action: Action, subject: &str) {
        if let Err(error) = self.0.denials.note(&self.0.ledger, actor, action, subject).await {
            tracing::error!(%error, "a denial could not be recorded");
        }
    }

    /// Records denials that were only counted so far: those of minutes that are over, or `all`.
    pub(super) async fn tell_denials(&self, all: bool) {
        if let Err(error) = self.0.denials.tell(&self.0.ledger, all).await {
            tracing::error!(%error, "denials could not be recorded");
        }
    }

    /// Tells the audit trail of a client whose certificate was refused.
    pub(super) async fn note_certificate(&self, address: IpAddr, why: &str) {
        let subject = format!("a certificate that is refused: {why}");
        self.note(&format!("address:{address}"), Action::Login, &subject).await;
    }

    async fn note_refusal(&self, peer: &Peer, refusal: &Refusal) {
        let address = format!("address:{}", peer.address);
        match refusal {
            Refusal::Nobody => self.note(&address, Action::Login, "nothing that tells who it is").await,
            Refusal::Wrong { why } => self.note(&address, Action::Login, why).await,
            Refusal::Throttled(_) => self.note(&address, Action::Login, "too many attempts").await,
            Refusal::NoRole(principal) => self.note(&principal.actor(), Action::Login, "no role").await,
            Refusal::Unknown(error) => tracing::warn!(%error, "it cannot be told who sends a request"),
        }
    }
}

/// Lets a request through when it is known who sends it, and tells the handlers. What they deny is recorded.
pub(super) async fn require_principal(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Problem::from(Error::failed("the connection is unknown")).into_response();
    };
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let admitted = match route.as_deref() {
        Some(METRICS) => gate.admit_to_metrics(&peer, request.headers()).await,
        _ => gate.admit(&peer, request.headers()).await,
    };
    let principal = match admitted {
        Ok(principal) => principal,
        Err(refusal) => {
            gate.note_refusal(&peer, &refusal).await;
            return answer(refusal);
        }
    };
    let actor = principal.actor();
    let path = request.extensions().get::<Asked>().map(|asked| asked.0.clone()).unwrap_or_default();
    let method = request.method().clone();
    request.extensions_mut().insert(principal);
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN {
        // A path that leads somewhere names pipelines and runs; another may hold anything.
        let place = route.map_or("?", |_| path.as_str());
        gate.note(&actor, Action::Request, &format!("{method} {place}")).await;
    }
    response
}

/// Refuses a principal that may not do this with the pipeline, or, where it is `None`, with what belongs to no one
/// pipeline ([`Principal::may`]).
pub(super) fn require(
    principal: &Principal,
    permission: Permission,
    pipeline: Option<&PipelineName>,
) -> Result<(), Problem> {
    if principal.may(permission, pipeline) {
        return Ok(());
    }
    let (detail, help) = if principal.may_some(permission) {
        let detail =
            format!("{principal} is limited to some pipelines, and this is beyond them ({permission})");
        (detail, "use a token of a wider scope".to_owned())
    } else {
        let roles = permission.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join(", ");
        (format!("{principal} may not do this ({permission})"), format!("it is for the roles {roles}"))
    };
    Err(Problem::new(StatusCode::FORBIDDEN, "denied", detail).with("help", help))
}

/// What somebody is told who is not let in.
fn answer(refusal: Refusal) -> Response {
    let unauthorized = |detail: &str| {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with("help", "an operator makes a token with `sealift token create NAME --role ROLE`")
            .into_response()
    };
    match refusal {
        Refusal::Nobody => unauthorized("this needs a token: send `Authorization: Bearer …`"),
        // One answer for all that is wrong: what exactly would help those who guess.
        Refusal::Wrong { .. } => unauthorized("what was sent is not, or no longer, a way in"),
        Refusal::Throttled(wait) => {
            let problem =
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "too many attempts were wrong");
            let mut response = problem.with("help", "wait as long as `Retry-After` says").into_response();
            let seconds = wait.as_secs().saturating_add(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Refusal::NoRole(principal) => {
            Problem::new(StatusCode::FORBIDDEN, "denied", format!("{principal} has no role here"))
                .with(
                    "help",
                    "`access` and `listen` of the configuration say which groups and names have one",
                )
                .into_response()
        }
        Refusal::Unknown(error) => Problem::from(error).into_response(),
    }
}
