//! What the `Authorization` header holds (RFC 9110, section 11.6.2).

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// Most bytes of the header that are looked at: those of a large token of an identity provider.
const MOST_BYTES: usize = 8 << 10;

/// What somebody sends to prove who they are.
pub(super) enum Credentials<'a> {
    /// A token (RFC 6750).
    Bearer(&'a str),
    /// A user's name and password (RFC 7617).
    Basic { user: String, password: Secret },
}

impl<'a> Credentials<'a> {
    /// What the headers hold; `None` where they hold nothing of it.
    ///
    /// # Errors
    /// What is wrong with it, in words for the record.
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, &'static str> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err("more than one Authorization header");
        }
        let text = value.to_str().ok().filter(|text| text.len() <= MOST_BYTES);
        let (scheme, rest) = text
            .and_then(|text| text.split_once(' '))
            .ok_or("an Authorization header that cannot be read")?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return if rest.is_empty() { Err("an empty token") } else { Ok(Some(Self::Bearer(rest))) };
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err("an unknown scheme of Authorization");
        }
        basic(rest).map(Some).ok_or("a name and password that cannot be read")
    }
}

fn basic<'a>(encoded: &str) -> Option<Credentials<'a>> {
    let decoded = Secret::new(STANDARD.decode(encoded).ok()?);
    let (user, password) = decoded.expose_str().ok()?.split_once(':')?;
    Some(Credentials::Basic { user: user.to_owned(), password: Secret::new(password.as_bytes().to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Credentials::of(&headers).map(|found| match found {
            None => "nothing".to_owned(),
            Some(Credentials::Bearer(text)) => format!("bearer {text}"),
            Some(Credentials::Basic { user, password }) => {
                format!("basic {user} {}", password.expose_str().unwrap())
            }
        })
    }

    #[test]
    fn one_header_of_a_known_scheme_is_read() {
        assert_eq!(read(&[]).unwrap(), "nothing");
        assert_eq!(read(&["bEARER  sl_x"]).unwrap(), "bearer sl_x");
        assert_eq!(read(&["Basic YW5uOmE6Yg=="]).unwrap(), "basic ann a:b");
        assert_eq!(read(&["Basic YW5uOg=="]).unwrap(), "basic ann ");
        for bad in ["Bearer", "Bearer ", "Digest x", "Basic", "Basic !", "Basic YW5u", "Basic /zo=", "sl_x"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
        assert!(read(&["Bearer a", "Bearer a"]).is_err(), "which of the two?");
        assert!(read(&[&format!("Bearer {}", "x".repeat(MOST_BYTES))]).is_err());
    }
}
