//! Who is let in.

use std::collections::BTreeSet;

use super::listen::flag;
use super::store::{Service, is_loopback, url_of};
use super::{not_empty, reference};
use crate::error::{Error, Result};
use crate::spec::Role;
use crate::spec::access::{Access, DN, Ldap, Oidc, Roles, USER, Users};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::access as raw;
use crate::spec::raw::placed::Placed;

/// Most bytes of a name, DN or filter.
const MOST_BYTES: usize = 1024;

pub(crate) fn access(placed: Option<&Placed<raw::Access>>, faults: &Faults<'_>) -> Option<Access> {
    let Some(placed) = placed else { return Some(Access::default()) };
    let raw = placed.get()?;
    let ldap = raw.ldap.as_ref().map_or(Some(None), |placed| ldap(placed.get()?, faults).map(Some));
    let oidc = raw.oidc.as_ref().map_or(Some(None), |placed| oidc(placed.get()?, faults).map(Some));
    Some(Access { ldap: ldap?, oidc: oidc? })
}

/// What names mean; `name` reads one.
pub(super) fn roles(
    placed: &Placed<raw::Roles>,
    faults: &Faults<'_>,
    name: impl Fn(&str) -> Result<String>,
) -> Option<Roles> {
    let read: Vec<_> = placed
        .get()?
        .0
        .iter()
        .map(|(key, roles)| {
            let key = faults.parse(key, &name);
            let roles: Option<BTreeSet<Role>> =
                roles.get()?.0.iter().map(|role| role.get().copied().map(role_of)).collect();
            Some((key?, roles?))
        })
        .collect();
    read.into_iter().collect()
}

const fn role_of(raw: raw::Role) -> Role {
    match raw {
        raw::Role::Engineer => Role::Engineer,
        raw::Role::Scheduler => Role::Scheduler,
        raw::Role::Modeler => Role::Modeler,
        raw::Role::Infosec => Role::Infosec,
        raw::Role::Auditor => Role::Auditor,
        raw::Role::Admin => Role::Admin,
    }
}

fn ldap(raw: &raw::Ldap, faults: &Faults<'_>) -> Option<Ldap> {
    let url = faults.parse(&raw.url, directory);
    let ca_file = faults.parse_optional(raw.ca_file.as_ref(), not_empty);
    let users = raw.users.get().and_then(|users| self::users(users, faults));
    let groups = raw.groups.get().and_then(|groups| self::groups(groups, faults));
    let roles = roles(&raw.roles, faults, dn);
    let (group_base, group_filter, nested) = groups?;
    Some(Ldap {
        url: url?,
        ca_file: ca_file?.map(|path| faults.text.resolve(&path)),
        users: users?,
        group_base,
        group_filter,
        nested,
        roles: roles?,
    })
}

fn users(raw: &raw::Users, faults: &Faults<'_>) -> Option<Users> {
    match raw {
        raw::Users::BindDn(placed) => {
            faults.parse(placed, |text| holding(&dn(text)?, &[USER])).map(Users::BindDn)
        }
        raw::Users::Search(placed) => {
            let raw = placed.get()?;
            let base = faults.parse(&raw.base, dn);
            let filter = faults.parse_optional(raw.filter.as_ref(), |text| holding(&filter(text)?, &[USER]));
            let bind_dn = faults.parse(&raw.bind_dn, dn);
            let password = reference(&raw.password, faults.text.folder(), faults);
            Some(Users::Search {
                base: base?,
                filter: filter?.unwrap_or_else(|| format!("(uid={USER})")),
                bind_dn: bind_dn?,
                password: password?,
            })
        }
    }
}

/// Base, filter, and whether groups of groups count.
fn groups(raw: &raw::Groups, faults: &Faults<'_>) -> Option<(String, String, bool)> {
    let base = faults.parse(&raw.base, dn);
    let filter = faults.parse_optional(raw.filter.as_ref(), |text| holding(&filter(text)?, &[DN, USER]));
    let filter = filter?.unwrap_or_else(|| format!("(member={DN})"));
    let nested = flag(raw.nested.as_ref(), filter.contains(DN))?;
    if let Some(placed) = raw.nested.as_ref().filter(|_| nested && !filter.contains(DN)) {
        faults.push(
            Fault::new(placed.key, "groups of groups are found by their DN, which the filter does not hold")
                .help("write `{dn}` in `filter`, or `nested: false`"),
        );
        return None;
    }
    Some((base?, filter, nested))
}

fn oidc(raw: &raw::Oidc, faults: &Faults<'_>) -> Option<Oidc> {
    const ISSUER: Service = Service {
        what: "issuer",
        example: "https://login.example.com/realms/bank",
        rest: "leave out what stands behind `?` or `#`",
        secrets: "leave them out: keys are public",
    };
    let issuer = faults.parse(&raw.issuer, |text| {
        let url = url_of(text, &ISSUER)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::invalid(format!("{} is no issuer", quoted(text))).help(ISSUER.rest));
        }
        Ok(text.to_owned())
    });
    let audience = faults.parse(&raw.audience, not_empty);
    let service = Service { what: "URL of the keys", ..ISSUER };
    let jwks_url =
        faults.parse_optional(raw.jwks_url.as_ref(), |text| url_of(text, &service).map(|_| text.to_owned()));
    let ca_file = faults.parse_optional(raw.ca_file.as_ref(), not_empty);
    let roles_claim = faults.parse_optional(raw.roles_claim.as_ref(), not_empty);
    let roles = roles(&raw.roles, faults, not_empty);
    Some(Oidc {
        issuer: issuer?,
        audience: audience?,
        jwks_url: jwks_url?,
        ca_file: ca_file?.map(|path| faults.text.resolve(&path)),
        roles_claim: roles_claim?.unwrap_or_else(|| "groups".to_owned()),
        roles: roles?,
    })
}

/// `ldaps://host:port`, or `ldap://` of this machine.
fn directory(text: &str) -> Result<String> {
    let refused = |why: &str, help: &str| {
        Error::invalid(format!("the URL of the directory {} {why}", quoted(text))).help(help)
    };
    let example = "write it as ldaps://ldap.example.com:636";
    let url = url::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "ldap" | "ldaps"))
        .filter(|url| url.host_str().is_some_and(|host| !host.is_empty()))
        .ok_or_else(|| refused("is not an ldap or ldaps URL", example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid("the URL of the directory holds credentials")
            .help("write them under `users: {search: {bind_dn: …, password: \"env:…\"}}`"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("holds more than a host", "write DNs in `users` and `groups`"));
    }
    if url.scheme() == "ldap" && !url.host_str().is_some_and(is_loopback) {
        return Err(refused("is not encrypted", "use ldaps://; ldap:// is for this machine only"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// What looks like a distinguished name; the directory knows whether it is one.
fn dn(text: &str) -> Result<String> {
    let text = not_empty(text)?;
    if !text.contains('=') || text.len() > MOST_BYTES || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{} is no distinguished name", quoted(&text)))
            .help("write it like cn=engineers,ou=groups,dc=example,dc=com"));
    }
    Ok(text)
}

/// What looks like a filter: brackets that match.
fn filter(text: &str) -> Result<String> {
    let text = not_empty(text)?;
    let depth = text.chars().try_fold(0_usize, |depth, c| match c {
        '(' => Some(depth + 1),
        ')' => depth.checked_sub(1),
        _ => Some(depth),
    });
    if !text.starts_with('(') || depth != Some(0) || text.len() > MOST_BYTES {
        return Err(Error::invalid(format!("{} is no filter", quoted(&text)))
            .help("write it in brackets, such as (&(objectClass=person)(uid={user}))"));
    }
    Ok(text)
}

/// Text that holds one of the placeholders.
fn holding(text: &str, placeholders: &[&str]) -> Result<String> {
    if placeholders.iter().any(|placeholder| text.contains(placeholder)) {
        return Ok(text.to_owned());
    }
    let wanted = placeholders.join(" or ");
    Err(Error::invalid(format!("{} is the same for every user", quoted(text)))
        .help(format!("write {wanted} where the user's own belongs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_encrypted_or_within_this_machine() {
        for good in
            ["ldaps://ldap.example.com", "ldaps://10.0.0.1:636/", "ldap://127.0.0.1:389", "ldap://localhost"]
        {
            assert!(directory(good).is_ok(), "{good}");
        }
        for bad in [
            "ldap://ldap.example.com",
            "https://ldap.example.com",
            "ldaps://",
            "ldaps:///",
            "ldaps://u:p@ldap.example.com",
            "ldaps://ldap.example.com/dc=example",
            "ldaps://ldap.example.com?uid",
        ] {
            assert!(directory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_filters_are_shaped_like_such() {
        assert!(dn("uid={user},dc=example").is_ok() && filter("(&(a=b)(c={user}))").is_ok());
        for bad in ["", "(a=b", "a=b)", "(a=b))(", "a=b"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
        for bad in ["", "example", "a=b\n"] {
            assert!(dn(bad).is_err() || bad == "a=b\n", "{bad}");
        }
        assert!(holding("(member={dn})", &[USER]).is_err());
    }
}
