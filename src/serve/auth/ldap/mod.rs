//! Users of a directory: their password is tried there, and their groups say what they are.

mod dn;
mod session;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ldap3::{dn_escape, ldap_escape};
use ring::hmac;
use ring::rand::SystemRandom;
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use self::session::Session;
pub(super) use self::session::away;
use super::Answer;
use super::remembered::Remembered;
use crate::error::{At, Error, Result};
use crate::govern::{Principal, Source, token};
use crate::secret::Secret;
use crate::serve::trust;
use crate::spec::Role;
use crate::spec::access::{DN, Ldap, USER, Users};

/// How long a password that was right is taken for right: so long it may take until a user who was locked out, or left a
/// group, is so here.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// How long a user who came in is told of by name.
const NAMED_FOR: Duration = Duration::from_hours(24);
/// Conversations at once; more requests wait, for no longer than [`WAIT_LIMIT`].
const MOST_AT_ONCE: usize = 16;
const WAIT_LIMIT: Duration = Duration::from_secs(5);
/// Longest name of a user.
const MOST_NAME_BYTES: usize = 64;
/// Longest password.
const MOST_PASSWORD_BYTES: usize = 1024;
/// Most groups of one user, those of groups among them.
const MOST_GROUPS: usize = 500;
/// How deep groups are looked for in groups.
const MOST_LEVELS: usize = 10;
/// Members that one search asks about.
const MEMBERS_AT_ONCE: usize = 50;

/// A directory.
pub(super) struct Directory {
    given: Ldap,
    /// The roles of groups, by the one way of writing their names.
    roles: BTreeMap<String, BTreeSet<Role>>,
    /// The password of the account that searches.
    service: Option<Secret>,
    tls: Arc<ClientConfig>,
    places: Semaphore,
    good: Remembered<Principal>,
    /// The names of users who came in.
    named: Remembered<()>,
    /// Keys the digests of what is remembered, so that memory shows no digest of a password.
    key: hmac::Key,
}

/// What became of name and password.
enum Tried {
    Right(BTreeSet<Role>),
    /// `is_user` where the directory has shown that the name is somebody's.
    Wrong {
        is_user: bool,
    },
}

impl Directory {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when a group's name is none, or authorities or the password of the account that searches cannot be read.
    pub(super) fn new(given: Ldap) -> Result<Self> {
        let place = || "`access: {ldap: …}`".to_owned();
        let mut roles: BTreeMap<String, BTreeSet<Role>> = BTreeMap::new();
        for (group, held) in &given.roles {
            let name = dn::normal(group).ok_or_else(|| {
                Error::invalid("a key of `roles` is no distinguished name")
                    .help("write the group's whole name, as the directory shows it")
                    .at(place())
            })?;
            roles.entry(name).or_default().extend(held);
        }
        let service = match &given.users {
            Users::BindDn(_) => None,
            Users::Search { password, .. } => Some(password.resolve().at(place)?),
        };
        let tls = Arc::new(trust::client(given.ca_file.as_deref(), "ca_file").at(place)?);
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Error::failed("the system gives no random bytes"))?;
        let places = Semaphore::new(MOST_AT_ONCE);
        let (good, named) = (Remembered::default(), Remembered::default());
        Ok(Self { given, roles, service, tls, places, good, named, key })
    }

    /// Who this is, if the same password was right a moment ago.
    pub(super) fn remembered(&self, user: &str, password: &Secret) -> Option<Principal> {
        self.good.get(&self.digest(user, password))
    }

    /// Asks the directory who this is.
    ///
    /// # Errors
    /// `Temporary` when it cannot be asked.
    pub(super) async fn judge(&self, user: &str, password: &Secret) -> Result<Answer> {
        // A token that was sent as a name is nothing to be recorded.
        if !is_name(user) || user.starts_with(token::PREFIX) {
            return Ok(Answer::Wrong { why: "a user whose name cannot be one".to_owned() });
        }
        let wrong =
            |why: &str, is_user| Answer::Wrong { why: format!("{why} of {}", self.called(user, is_user)) };
        let text = match password.expose_str() {
            Ok(text) if (1..=MOST_PASSWORD_BYTES).contains(&text.len()) && !text.contains('\0') => text,
            _ => return Ok(wrong("an empty or overlong password", false)),
        };
        let waited = tokio::time::timeout(WAIT_LIMIT, self.places.acquire()).await;
        let _place = waited.map_err(|_| away("too many ask it"))?.map_err(|_| away("it is closed"))?;
        let asked = Session::have(&self.given.url, &self.tls, |session| self.tried(session, user, text));
        let roles = match asked.await? {
            Tried::Right(roles) => roles,
            Tried::Wrong { is_user } => return Ok(wrong("name or password", is_user)),
        };
        let principal = Principal::new(Source::Ldap, &user.to_ascii_lowercase(), roles);
        let principal = principal.ok_or_else(|| away("a name cannot be used"))?;
        self.good.keep(self.digest(user, password), principal.clone(), REMEMBERED_FOR);
        self.named.keep(self.name_digest(user), (), NAMED_FOR);
        Ok(Answer::Is(principal))
    }

    /// Tries name and password, and finds what the groups say.
    async fn tried(&self, mut session: Session, user: &str, password: &str) -> Result<Tried> {
        let Some(dn) = self.entry(&mut session, user).await? else {
            // As long as it takes for a user who is there.
            let _ = session.bind(&self.nobody(user), password).await;
            return Ok(Tried::Wrong { is_user: false });
        };
        if !session.bind(&dn, password).await? {
            return Ok(Tried::Wrong { is_user: matches!(self.given.users, Users::Search { .. }) });
        }
        self.become_service(&mut session).await?;
        Ok(Tried::Right(self.roles_of(&mut session, user, dn).await?))
    }

    /// How the trail calls a user whose password was wrong: by name, where the name is somebody's. People type passwords
    /// and tokens for names: others are called by a digest, the same for the same name until the daemon ends.
    fn called(&self, user: &str, is_user: bool) -> String {
        let digest = self.name_digest(user);
        if is_user || self.named.get(&digest).is_some() {
            return format!("ldap user {user}");
        }
        format!("ldap user #{}", hex::encode(digest.get(..4).unwrap_or_default()))
    }

    /// A DN that is nobody's.
    fn nobody(&self, user: &str) -> String {
        let base = match &self.given.users {
            Users::Search { base, .. } => base.as_str(),
            Users::BindDn(_) => self.given.group_base.as_str(),
        };
        format!("cn={},{base}", hex::encode(self.name_digest(user)))
    }

    /// The DN of the user's entry; `None` where there is not exactly one.
    async fn entry(&self, session: &mut Session, user: &str) -> Result<Option<String>> {
        match &self.given.users {
            Users::BindDn(template) => Ok(Some(template.replace(USER, &dn_escape(user)))),
            Users::Search { base, filter, .. } => {
                self.become_service(session).await?;
                let mut found = session.search(base, &filter.replace(USER, &ldap_escape(user)), 2).await?;
                if found.dns.len() > 1 {
                    tracing::warn!("a user's name is that of more than one entry of the directory");
                }
                Ok(if found.dns.len() == 1 && !found.more { found.dns.pop() } else { None })
            }
        }
    }

    /// Speaks as the account that searches, where there is one; else as the user.
    async fn become_service(&self, session: &mut Session) -> Result<()> {
        let (Users::Search { bind_dn, .. }, Some(password)) = (&self.given.users, &self.service) else {
            return Ok(());
        };
        if session.bind(bind_dn, password.expose_str()?).await? {
            return Ok(());
        }
        Err(away("it refuses the account of `users: {search: …}`: check `bind_dn` and `password`"))
    }

    /// The roles of all groups that the user is in: level by level from the user upwards, each group once.
    async fn roles_of(&self, session: &mut Session, user: &str, dn: String) -> Result<BTreeSet<Role>> {
        let mut roles = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut members = vec![dn];
        let levels = if self.given.nested { MOST_LEVELS } else { 1 };
        for _ in 0..levels {
            let mut groups = Vec::new();
            for some in members.chunks(MEMBERS_AT_ONCE) {
                let filter = self.groups_of(user, some);
                let found = session.search(&self.given.group_base, &filter, MOST_GROUPS).await?;
                if found.more {
                    tracing::warn!(most = MOST_GROUPS, "a user is in more groups than are looked at");
                }
                groups.extend(found.dns);
            }
            members.clear();
            for group in groups {
                let Some(name) = dn::normal(&group) else { continue };
                if seen.len() < MOST_GROUPS && seen.insert(name.clone()) {
                    roles.extend(self.roles.get(&name).into_iter().flatten().copied());
                    members.push(group);
                }
            }
            if members.is_empty() {
                break;
            }
        }
        Ok(roles)
    }

    /// The filter of the groups that hold one of the members.
    fn groups_of(&self, user: &str, members: &[String]) -> String {
        let template = &self.given.group_filter;
        let user = ldap_escape(user);
        // At once, so that what is filled in is not taken for a placeholder.
        let parts: Vec<String> = template.split(DN).map(|part| part.replace(USER, &user)).collect();
        let filters: String =
            members.iter().map(|member| parts.join(&ldap_escape(member.as_str()))).collect();
        if members.len() == 1 { filters } else { format!("(|{filters})") }
    }

    fn name_digest(&self, user: &str) -> Vec<u8> {
        hmac::sign(&self.key, user.to_ascii_lowercase().as_bytes()).as_ref().to_vec()
    }

    fn digest(&self, user: &str, password: &Secret) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&user.len().to_be_bytes());
        context.update(user.as_bytes());
        context.update(password.expose());
        context.sign().as_ref().to_vec()
    }
}

/// Letters, digits and what e-mail addresses have: a directory takes many other characters for the same.
fn is_name(user: &str) -> bool {
    (1..=MOST_NAME_BYTES).contains(&user.len())
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte))
}
