//! Requests that a browser sends for a page of another site.

use axum::http::{HeaderMap, HeaderName, Method, header};

/// What a browser says of where a request comes from (W3C, Fetch Metadata Request Headers).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser sends this for a page of another site, and it may change something. What the browser adds by itself,
/// a certificate or a password, says nothing then of who wants it.
pub(super) fn is_of_another_site(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return false;
    }
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(SEC_FETCH_SITE), text(header::ORIGIN)) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        // Of an older browser.
        (None, Some(origin)) => {
            let (host, of) = (text(header::HOST), origin.split_once("://").map(|(_, of)| of));
            !host.zip(of).is_some_and(|(host, of)| host.eq_ignore_ascii_case(of))
        }
        // Of no browser.
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let is_foreign = |method: &str, sent: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "sealift.bank.example:8470".parse().unwrap());
            for (name, value) in sent {
                headers.insert(*name, value.parse().unwrap());
            }
            is_of_another_site(&method.parse().unwrap(), &headers)
        };
        let ours = "https://Sealift.bank.example:8470";
        for (sent, expected) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", ours)], true),
            (&[("origin", ours)], false),
            (&[("origin", "https://sealift.bank.example")], true),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "null")], true),
        ] {
            assert_eq!(is_foreign("POST", sent), expected, "{sent:?}");
            assert_eq!(is_foreign("DELETE", sent), expected, "{sent:?}");
            assert!(!is_foreign("GET", sent), "{sent:?}");
        }
    }
}
