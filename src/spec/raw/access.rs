//! Who is let in, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Many, Map, Placed};

/// A name that others gave, and what whoever has it is.
pub(crate) type Roles = Map<Many<Placed<Role>>>;

/// Who beside the holders of tokens is let in by the daemon.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// Users of a directory, with their password (HTTP Basic).
    pub(crate) ldap: Option<Placed<Box<Ldap>>>,
    /// Holders of tokens that an identity provider signed (JWT).
    pub(crate) oidc: Option<Placed<Box<Oidc>>>,
}

/// What a principal can be.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Writes pipelines; triggers and cancels runs.
    Engineer,
    /// A job scheduler; triggers and cancels runs.
    Scheduler,
    /// Reads datasets.
    Modeler,
    /// Writes the policy, holds the keys.
    Infosec,
    /// Reads everything that was recorded.
    Auditor,
    /// May do everything.
    Admin,
}

/// A directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ldap {
    /// `ldaps://host:port`; `ldap://` for this machine only.
    #[schemars(regex(pattern = r"^ldaps?://.+$"))]
    pub(crate) url: Placed<String>,
    /// PEM file of certificate authorities; without it the system's.
    pub(crate) ca_file: Option<Placed<String>>,
    /// How the entry of a user is found.
    pub(crate) users: Placed<Users>,
    /// How the groups of a user are found.
    pub(crate) groups: Placed<Groups>,
    /// What the members of a group are, by the group's DN.
    pub(crate) roles: Placed<Roles>,
}

/// How the entry of a user is found.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Users {
    /// By its DN, in which `{user}` stands for the user's name.
    BindDn(Placed<String>),
    /// By a search.
    Search(Placed<Search>),
}

/// A search for the entry of a user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// DN that it begins at.
    pub(crate) base: Placed<String>,
    /// Filter, in which `{user}` stands for the user's name; default `(uid={user})`.
    pub(crate) filter: Option<Placed<String>>,
    /// DN of the account that searches, for users and for groups.
    pub(crate) bind_dn: Placed<String>,
    /// Reference to its password.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) password: Placed<String>,
}

/// How the groups of a user are found.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Groups {
    /// DN that the search begins at.
    pub(crate) base: Placed<String>,
    /// Filter, in which `{dn}` stands for the DN of the member and `{user}` for the user's name; default
    /// `(member={dn})`.
    pub(crate) filter: Option<Placed<String>>,
    /// Whether a group's own groups count too; default true where the filter holds `{dn}`.
    pub(crate) nested: Option<Placed<bool>>,
}

/// An identity provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oidc {
    /// The `iss` of its tokens, to the letter; `https://`, or `http://` of this machine.
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) issuer: Placed<String>,
    /// The `aud` that tokens for this daemon hold.
    pub(crate) audience: Placed<String>,
    /// Where its keys are; without it `issuer` is asked (`/.well-known/openid-configuration`).
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) jwks_url: Option<Placed<String>>,
    /// PEM file of certificate authorities; without it the system's.
    pub(crate) ca_file: Option<Placed<String>>,
    /// The claim that holds the groups, default `groups`; one within another is written `realm_access.roles`.
    pub(crate) roles_claim: Option<Placed<String>>,
    /// What the members of a group are, by its name in the claim.
    pub(crate) roles: Placed<Roles>,
}
