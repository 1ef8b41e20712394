//! Which version of a document a request is about (RFC 9110, sections 8.8.3 and 13.1).

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use crate::serve::documents::Expected;
use crate::serve::problem::Problem;

/// The tag of a digest.
pub(super) fn quoted(digest: &str) -> String {
    format!("\"{digest}\"")
}

/// Most bytes of a condition.
const MOST_BYTES: usize = 512;

/// Whether one of the tags in `If-None-Match` is this one, or it is `*`.
///
/// # Errors
/// 400 for more than 512 bytes of them.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> Result<bool, Problem> {
    let sent = headers.get_all(header::IF_NONE_MATCH);
    if sent.iter().map(|value| value.len()).sum::<usize>() > MOST_BYTES {
        return Err(unclear());
    }
    let mut tags = sent.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    Ok(tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    }))
}

/// What a change asks to be there: one tag or `*` in `If-Match`, or `If-None-Match: *`.
///
/// # Errors
/// 400 for anything else.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let is_one = |name: &HeaderName| headers.get_all(name).iter().count() <= 1;
    if !is_one(&header::IF_MATCH) || !is_one(&header::IF_NONE_MATCH) {
        return Err(unclear());
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text(&header::IF_MATCH), text(&header::IF_NONE_MATCH)) {
        (None, None) => Ok(Expected::Any),
        (Some("*"), None) => Ok(Expected::Some),
        (None, Some("*")) => Ok(Expected::Absent),
        (Some(tag), None) => match tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) {
            Some(digest) if !digest.contains('"') && tag.len() <= MOST_BYTES => {
                Ok(Expected::Digest(digest.to_owned()))
            }
            _ => Err(unclear()),
        },
        _ => Err(unclear()),
    }
}

fn unclear() -> Problem {
    let detail = "this is not one condition on the document that is there";
    Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail)
        .with("help", "send the ETag of `GET` as `If-Match`, or `If-None-Match: *`, or neither")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn conditions_are_read_strictly() {
        let of = |name, value| expected(&headers(name, value)).ok();
        assert_eq!(of(header::IF_MATCH, "\"ab\""), Some(Expected::Digest("ab".into())));
        assert_eq!(of(header::IF_MATCH, "*"), Some(Expected::Some));
        assert_eq!(of(header::IF_NONE_MATCH, "*"), Some(Expected::Absent));
        for (name, value) in
            [(header::IF_MATCH, "ab"), (header::IF_MATCH, "W/\"ab\""), (header::IF_NONE_MATCH, "\"a\"")]
        {
            assert_eq!(of(name, value), None, "{value}");
        }
        assert_eq!(expected(&HeaderMap::new()).ok(), Some(Expected::Any));
        let mut two = headers(header::IF_MATCH, "\"ab\"");
        two.append(header::IF_MATCH, "\"cd\"".parse().unwrap());
        assert!(expected(&two).is_err(), "of two lines none may go unheard");
    }

    #[test]
    fn a_tag_is_found_among_others() {
        let sent = headers(header::IF_NONE_MATCH, "\"x\", W/\"ab\"");
        assert!(is_known(&sent, "\"ab\"").unwrap());
        assert!(!is_known(&sent, "\"b\"").unwrap());
        assert!(is_known(&headers(header::IF_NONE_MATCH, &"x".repeat(513)), "x").is_err());
    }
}
