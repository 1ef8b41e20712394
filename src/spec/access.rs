//! Who beside the holders of tokens is let in by the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Role;
use crate::secret::Reference;

/// What a user's name stands in for in DNs and filters.
pub const USER: &str = "{user}";
/// What a member's DN stands in for in filters of groups.
pub const DN: &str = "{dn}";

/// A name that others gave, and what whoever has it is.
pub type Roles = BTreeMap<String, BTreeSet<Role>>;

/// Who beside the holders of tokens is let in; by default nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Users of a directory, with their password.
    pub ldap: Option<Ldap>,
    /// Holders of tokens that an identity provider signed.
    pub oidc: Option<Oidc>,
}

/// A directory, and what its groups mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldap {
    /// `ldaps://host:port`, or `ldap://` of this machine.
    pub url: String,
    /// PEM file of the authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// How the entry of a user is found.
    pub users: Users,
    /// DN that the search for groups begins at.
    pub group_base: String,
    /// Filter of groups, with [`DN`] or [`USER`] in it.
    pub group_filter: String,
    /// Whether a group's own groups count too; the filter then holds [`DN`].
    pub nested: bool,
    /// What the members of a group are, by the group's DN.
    pub roles: Roles,
}

/// How the entry of a user is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// By its DN, with [`USER`] in it.
    BindDn(String),
    /// By a search.
    Search {
        /// DN that it begins at.
        base: String,
        /// Its filter, with [`USER`] in it.
        filter: String,
        /// DN of the account that searches.
        bind_dn: String,
        /// That account's password.
        password: Reference,
    },
}

/// An identity provider (OpenID Connect), and what its groups mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// The `aud` that tokens for this daemon hold.
    pub audience: String,
    /// Where its keys are; without it discovery tells.
    pub jwks_url: Option<String>,
    /// PEM file of the authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// The claim that holds the groups; dots lead into claims within claims.
    pub roles_claim: String,
    /// What the members of a group are, by its name in the claim.
    pub roles: Roles,
}
