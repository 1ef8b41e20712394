//! Who a request comes from, and what they may do.
//!
//! The [`Gate`] asks, in this order: the `Authorization` header, which alone decides where there is one (a token of ours,
//! a token of the identity provider, or name and password of the directory); else the client's certificate. Whoever is
//! let in has at least one role. Every denial is told to the audit trail, many alike as one, and once an hour who comes in.

mod certificate;
mod credentials;
mod foreign;
mod ldap;
mod oidc;
mod remembered;
mod requests;
mod throttle;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub(super) use self::certificate::{Certificate, read as read_certificate};
use self::credentials::Credentials;
use self::ldap::Directory;
use self::oidc::Issuer;
pub(super) use self::requests::{lost, require, require_principal};
pub(super) use self::throttle::Origin;
use self::throttle::{Attempt, Key, Throttle};
use self::tokens::Tokens;
use crate::error::{Error, Result};
use crate::govern::audit::{Action, Denials, SignIns};
use crate::govern::store::now_ms;
use crate::govern::{Principal, token};
use crate::run::ledger::Ledger;
use crate::secret::Secret;
use crate::spec::access::Access;

/// How long a password may wait for its turn to be tried.
const TURN_LIMIT: Duration = Duration::from_secs(5);
/// How long the metadata store may take to say who reads metrics: Prometheus waits for ten seconds.
const STORE_LIMIT: Duration = Duration::from_secs(2);
/// How long an answer waits for the trail to take what it tells.
const TELL_LIMIT: Duration = Duration::from_secs(5);
/// How long the end waits for what is still asked of directories and providers.
const END_LIMIT: Duration = Duration::from_secs(3);

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
    directory: Option<Arc<Directory>>,
    issuer: Option<Issuer>,
    throttle: Arc<Throttle>,
    denials: Denials,
    sign_ins: SignIns,
    /// What comes to its end although nobody may wait for it any more.
    tasks: TaskTracker,
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

/// How it stands with a password that somebody sent.
enum Turn {
    /// It was right a moment ago.
    Known(Principal),
    /// It may be tried.
    Try(Attempt),
}

impl Refusal {
    fn wrong(why: &str) -> Self {
        Self::Wrong { why: why.to_owned() }
    }
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
        let tasks = TaskTracker::new();
        Ok(Self(Arc::new(Parts {
            ledger,
            tokens: Tokens::default(),
            directory: access.ldap.map(Directory::new).transpose()?.map(Arc::new),
            issuer: access.oidc.map(|oidc| Issuer::new(oidc, tasks.clone())).transpose()?,
            throttle: Arc::default(),
            denials: Denials::default(),
            sign_ins: SignIns::default(),
            tasks,
        })))
    }

    /// Who sends this request. The trail knows of it then, and of a refusal.
    async fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let judged = match Credentials::of(headers) {
            Ok(Some(Credentials::Basic { user, password })) => return self.user(peer, user, password).await,
            Ok(Some(Credentials::Bearer(text))) => self.holder(peer, text).await,
            Ok(None) => match peer.certificate.as_deref() {
                Some(certificate) if now_ms() < certificate.expires_ms => Ok(certificate.principal.clone()),
                Some(_) => Err(Refusal::wrong("a certificate that has expired since")),
                None => Err(Refusal::Nobody),
            },
            Err(why) => Err(Refusal::wrong(why)),
        };
        self.noted(peer, judged).await
    }

    /// Who reads the metrics. They tell that the metadata store is away, so who read them lately goes on while it is.
    async fn admit_to_metrics(&self, peer: &Peer, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let lately = match Credentials::of(headers) {
            Ok(Some(Credentials::Bearer(text))) => self.0.tokens.lately(text),
            _ => None,
        };
        let Some(lately) = lately else { return self.admit(peer, headers).await };
        match timeout(STORE_LIMIT, self.admit(peer, headers)).await {
            Ok(Err(Refusal::Unknown(_))) | Err(_) => Ok(lately),
            Ok(answer) => answer,
        }
    }

    /// Who holds this token. What is right is right, however much was wrong before it: nobody guesses a token.
    async fn holder(&self, peer: &Peer, text: &str) -> Result<Principal, Refusal> {
        let answer = match &self.0.issuer {
            _ if text.starts_with(token::PREFIX) => self.0.tokens.judge(&self.0.ledger, text).await?,
            Some(issuer) => issuer.judge(text).await?,
            None => Answer::Wrong { why: "a token that is none of ours".to_owned() },
        };
        match answer {
            Answer::Is(principal) => Ok(principal),
            Answer::Wrong { why } => {
                self.0.throttle.failed(&[Key::Tokens(peer.address.into())]).map_err(Refusal::Throttled)?;
                Err(Refusal::Wrong { why })
            }
        }
    }

    /// Whose name and password these are; the trail knows of it then. A password can be guessed: one counts as wrong until
    /// it is known to be right, and what is begun comes to its end and into the trail whoever still waits for it.
    async fn user(&self, peer: &Peer, user: String, password: Secret) -> Result<Principal, Refusal> {
        let Some(directory) = self.0.directory.clone() else {
            return self.noted(peer, Err(Refusal::wrong("a password, and no directory"))).await;
        };
        let attempt = match self.turn(&directory, peer, &user, &password).await {
            Ok(Turn::Try(attempt)) => attempt,
            Ok(Turn::Known(principal)) => return self.noted(peer, Ok(principal)).await,
            Err(refusal) => return self.noted(peer, Err(refusal)).await,
        };
        let (gate, peer) = (self.clone(), peer.clone());
        let trying = async move {
            let judged = tried(attempt, &directory, &user, &password).await;
            gate.noted(&peer, judged).await
        };
        let tried = self.0.tasks.spawn(trying.in_current_span()).await;
        tried.unwrap_or_else(|_| Err(Error::failed("the question to the directory was cut off").into()))
    }

    /// Waits until a password may be tried, for it may be known by then, or have been wrong too often.
    async fn turn(
        &self,
        directory: &Directory,
        peer: &Peer,
        user: &str,
        password: &Secret,
    ) -> Result<Turn, Refusal> {
        if let Some(principal) = directory.remembered(user, password) {
            return Ok(Turn::Known(principal));
        }
        let keys = [Key::Directory(peer.address.into()), Key::User(user.to_ascii_lowercase())];
        let waited = timeout(TURN_LIMIT, self.0.throttle.attempt(&keys)).await;
        let attempt = waited.map_err(|_| ldap::away("too many ask it"))?.map_err(Refusal::Throttled)?;
        Ok(directory.remembered(user, password).map_or(Turn::Try(attempt), Turn::Known))
    }

    /// What was judged, once the trail knows of it. Nothing is waited for before it is counted.
    async fn noted(&self, peer: &Peer, judged: Result<Principal, Refusal>) -> Result<Principal, Refusal> {
        let judged = judged.and_then(|principal| match principal.roles().is_empty() {
            true => Err(Refusal::NoRole(principal)),
            false => Ok(principal),
        });
        match &judged {
            Ok(principal) => self.note_sign_in(principal, peer).await,
            Err(refusal) => self.note_refusal(peer, refusal).await,
        }
        judged
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

    /// Tells the audit trail of a client whose certificate was refused.
    pub(super) async fn note_certificate(&self, address: IpAddr, why: &str) {
        let subject = format!("a certificate that is refused: {why}");
        self.note(&format!("address:{address}"), Action::Login, &subject).await;
    }

    /// Tells the audit trail of a denial, and at the latest a minute later of all that were like it. One that cannot be
    /// recorded stays a denial.
    async fn note(&self, actor: &str, action: Action, subject: &str) {
        if self.0.denials.count(actor, action, subject) {
            self.tell_soon().await;
        }
    }

    /// Tells the audit trail of somebody who comes in, once an hour.
    async fn note_sign_in(&self, principal: &Principal, peer: &Peer) {
        let roles = principal.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join(",");
        if self.0.sign_ins.see(&principal.actor(), &format!("{roles} from {}", peer.address)) {
            self.tell_soon().await;
        }
    }

    /// Tells the audit trail of what is new. A store that is slow holds up no answer for long.
    async fn tell_soon(&self) {
        let gate = self.clone();
        let telling = self.0.tasks.spawn(async move { gate.tell(false).await }.in_current_span());
        let _ = timeout(TELL_LIMIT, telling).await;
    }

    /// Records what was not recorded yet, and the denials that were only counted: those of minutes that are over, or `all`.
    pub(super) async fn tell(&self, all: bool) {
        let Parts { ledger, denials, sign_ins, .. } = &*self.0;
        if let Err(error) = sign_ins.tell(ledger).await {
            tracing::error!(%error, "it could not be recorded who signs in");
        }
        if let Err(error) = denials.tell(ledger, all).await {
            tracing::error!(%error, "denials could not be recorded");
        }
    }

    /// Lets come to its end what is under way, and records all there is. Nobody asks any more.
    pub(super) async fn end(&self) {
        self.0.tasks.close();
        let _ = timeout(END_LIMIT, self.0.tasks.wait()).await;
        self.tell(true).await;
    }
}

/// Tries name and password. Others have their turn once it is known what became of it.
async fn tried(
    attempt: Attempt,
    directory: &Directory,
    user: &str,
    password: &Secret,
) -> Result<Principal, Refusal> {
    match directory.judge(user, password).await? {
        Answer::Is(principal) => Ok(principal),
        Answer::Wrong { why } => {
            attempt.failed();
            Err(Refusal::Wrong { why })
        }
    }
}
