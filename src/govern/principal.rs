//! Who a request comes from.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::permission::Permission;
use crate::error::{Error, Kind, Result};
use crate::spec::{PipelineName, Role};

/// Most bytes of a name as others gave it: those of a `sub` (OpenID Connect Core 1.0, section 2).
const MOST_NAME_BYTES: usize = 255;
/// Most patterns of one scope.
const MOST_PATTERNS: usize = 32;
/// Most bytes of one pattern.
const MOST_PATTERN_BYTES: usize = 128;

/// Who vouched for a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The metadata store, which knows the token.
    Token,
    /// The directory, which took the password.
    Ldap,
    /// The issuer, which signed the token.
    Oidc,
    /// The authority, which signed the client's certificate.
    Certificate,
}

impl Source {
    /// What an actor of it begins with.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Ldap => "ldap",
            Self::Oidc => "oidc",
            Self::Certificate => "cert",
        }
    }
}

/// Which pipelines a principal may deal with.
#[derive(Clone, Debug, Default)]
pub enum Scope {
    /// Every one, and what belongs to none.
    #[default]
    All,
    /// Those whose names match a pattern.
    Only(Arc<Patterns>),
}

/// Patterns of pipelines' names: `*`, `?`, `[a-c]`, `{one,two}`.
#[derive(Debug)]
pub struct Patterns {
    written: Vec<String>,
    set: GlobSet,
}

impl Scope {
    /// The scope of these patterns; of none, every pipeline.
    ///
    /// # Errors
    /// `Usage` when one is no pattern, or there are too many.
    pub fn of<P: AsRef<str>>(patterns: &[P]) -> Result<Self> {
        if patterns.is_empty() {
            return Ok(Self::All);
        }
        if patterns.len() > MOST_PATTERNS {
            return Err(Error::new(Kind::Usage, format!("there are more than {MOST_PATTERNS} patterns")));
        }
        let mut set = GlobSetBuilder::new();
        let mut written = Vec::with_capacity(patterns.len());
        for pattern in patterns.iter().map(AsRef::as_ref) {
            let is_fit = !pattern.is_empty() && pattern.len() <= MOST_PATTERN_BYTES && pattern.is_ascii();
            let glob = GlobBuilder::new(pattern).build().ok().filter(|_| is_fit).ok_or_else(|| {
                Error::new(Kind::Usage, "this is no pattern of pipelines' names")
                    .help("write names, or patterns with `*` and `?`, such as crm_*")
            })?;
            set.add(glob);
            written.push(pattern.to_owned());
        }
        let set = set.build().map_err(|_| Error::new(Kind::Usage, "these patterns are too large"))?;
        Ok(Self::Only(Arc::new(Patterns { written, set })))
    }

    /// The patterns as they were written; none where there is no limit.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(patterns) => &patterns.written,
        }
    }

    /// Whether it holds the pipeline; `None` stands for what belongs to no pipeline.
    fn holds(&self, pipeline: Option<&PipelineName>) -> bool {
        match (self, pipeline) {
            (Self::All, _) => true,
            (Self::Only(patterns), Some(name)) => patterns.set.is_match(name.as_str()),
            (Self::Only(_), None) => false,
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.patterns() == other.patterns()
    }
}

impl Eq for Scope {}

/// Who a request comes from: known by somebody, with roles, and within a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    source: Source,
    name: String,
    roles: BTreeSet<Role>,
    scope: Scope,
}

impl Principal {
    /// Somebody that `source` knows as `name`; `None` where the name is empty or longer than 255 bytes. What could
    /// not stand in a log is written as `%` and two hex digits for each byte, so that two names never become one.
    #[must_use]
    pub fn new(source: Source, name: &str, roles: impl IntoIterator<Item = Role>) -> Option<Self> {
        if name.is_empty() || name.len() > MOST_NAME_BYTES {
            return None;
        }
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-+=:/|,".contains(&byte);
        let name = name.bytes().fold(String::new(), |mut name, byte| {
            if is_safe(byte) {
                name.push(char::from(byte));
            } else {
                name.push('%');
                name.push_str(&hex::encode_upper([byte]));
            }
            name
        });
        Some(Self { source, name, roles: roles.into_iter().collect(), scope: Scope::All })
    }

    /// The same principal, within a scope.
    #[must_use]
    pub fn within(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Who vouched for it.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Its name, unique within its source.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its roles; one without any may do nothing.
    #[must_use]
    pub const fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
    }

    /// The pipelines it may deal with.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How the audit trail names it: `token:NAME`, `ldap:UID`, `oidc:SUB`, `cert:NAME`.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}:{}", self.source.word(), self.name)
    }

    /// Whether it may do this with the pipeline. `None` asks about what belongs to no one pipeline (the audit trail,
    /// the metrics, all of a listing), which a principal that is limited to some pipelines may not.
    #[must_use]
    pub fn may(&self, permission: Permission, pipeline: Option<&PipelineName>) -> bool {
        self.may_some(permission) && self.scope.holds(pipeline)
    }

    /// Whether it may do this with some pipelines at least: whoever lists then asks [`Principal::may`] of each.
    #[must_use]
    pub fn may_some(&self, permission: Permission) -> bool {
        permission.roles().iter().any(|role| self.roles.contains(role))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.actor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(name: &str) -> PipelineName {
        PipelineName::parse(name).unwrap()
    }

    #[test]
    fn a_name_cannot_break_out_of_its_place_and_two_names_stay_two() {
        let actor = |name: &str| Principal::new(Source::Oidc, name, []).map(|principal| principal.actor());
        assert_eq!(actor("auth0|5f7c").as_deref(), Some("oidc:auth0|5f7c"));
        assert_eq!(actor("a b\n").as_deref(), Some("oidc:a%20b%0A"));
        assert_eq!(actor("a%20b\n").as_deref(), Some("oidc:a%2520b%0A"));
        assert_eq!(actor("é").as_deref(), Some("oidc:%C3%A9"));
        assert_eq!(actor(""), None);
        assert_eq!(actor(&"a".repeat(256)), None);
    }

    #[test]
    fn a_principal_has_what_one_of_its_roles_has_and_one_without_roles_nothing() {
        let both = Principal::new(Source::Ldap, "ann", [Role::Scheduler, Role::Auditor]).unwrap();
        assert!(
            both.may(Permission::RunTrigger, Some(&pipeline("crm"))) && both.may(Permission::AuditRead, None)
        );
        assert!(!both.may(Permission::PipelineWrite, Some(&pipeline("crm"))));
        let nobody = Principal::new(Source::Ldap, "ann", []).unwrap();
        assert!(Permission::ALL.iter().all(|permission| !nobody.may_some(*permission)));
    }

    #[test]
    fn a_scope_holds_what_matches_and_nothing_that_belongs_to_no_pipeline() {
        let token = Principal::new(Source::Token, "job", [Role::Admin]).unwrap();
        assert!(token.may(Permission::AuditRead, None));
        let token = token.within(Scope::of(&["crm_*", "daily"]).unwrap());
        for (name, may) in [("crm_eu", true), ("daily", true), ("daily2", false), ("crm", false)] {
            assert_eq!(token.may(Permission::RunTrigger, Some(&pipeline(name))), may, "{name}");
        }
        assert!(!token.may(Permission::AuditRead, None) && token.may_some(Permission::AuditRead));
        for bad in ["", "[", "é", &"a".repeat(129)] {
            assert!(Scope::of(&[bad]).is_err(), "{bad}");
        }
        assert!(Scope::of(&["a"; 33]).is_err());
    }
}
