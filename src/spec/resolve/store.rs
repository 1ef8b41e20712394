//! Stores.

use std::net::IpAddr;

use super::{not_empty, optional_reference};
use crate::error::{Error, Result};
use crate::spec::config::{S3, Store};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::config as raw;
use crate::spec::raw::placed::Placed;
use crate::spec::text::Span;

/// Whether a host is this machine, by name or number.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(crate) fn store(raw: &raw::Store, faults: &Faults<'_>) -> Option<Store> {
    let folder = faults.text.folder();
    let endpoint = faults.parse_optional(raw.endpoint.as_ref(), endpoint);
    let region = faults.parse_optional(raw.region.as_ref(), not_empty);
    let access_key_id = optional_reference(raw.access_key_id.as_ref(), folder, faults);
    let secret_access_key = optional_reference(raw.secret_access_key.as_ref(), folder, faults);
    let session_token = optional_reference(raw.session_token.as_ref(), folder, faults);
    let path_style = raw.path_style.as_ref().map_or(Some(None), |style| style.get().copied().map(Some));
    let place = faults.parse(&raw.url, place)?;
    let (bucket, prefix) = match place {
        Place::Folder(path) => {
            refuse_s3_keys(raw, faults);
            return Some(Store::File { root: faults.text.resolve(&path) });
        }
        Place::S3 { bucket, prefix } => (bucket, prefix),
    };
    check_key_pair([&raw.access_key_id, &raw.secret_access_key, &raw.session_token], faults);
    let endpoint = endpoint?;
    Some(Store::S3(S3 {
        bucket,
        prefix,
        region: region?.unwrap_or_else(|| "us-east-1".to_owned()),
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token: session_token?,
        path_style: path_style?.unwrap_or(endpoint.is_some()),
        endpoint,
    }))
}

enum Place {
    Folder(String),
    S3 { bucket: String, prefix: String },
}

fn place(url: &str) -> Result<Place> {
    if let Some(path) = url.strip_prefix("file:") {
        // `file:///lake` is the same as `file:/lake`.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(Error::invalid("the store's folder is not named").help("write `file:../lake`"));
        }
        return Ok(Place::Folder(path.to_owned()));
    }
    if let Some(rest) = url.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b));
        if !fits {
            return Err(Error::invalid(format!("{} is not a bucket name", quoted(bucket)))
                .help("write s3://bucket/prefix; a bucket is 3 to 63 of a-z, 0-9, `.` and `-`"));
        }
        let prefix = prefix.trim_matches('/');
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if prefix.contains(['?', '#', '\\']) || prefix.chars().any(char::is_control) {
            return Err(Error::invalid("the prefix holds characters that object stores treat differently")
                .help("use letters, digits, `_`, `-`, `.` and `/`"));
        }
        if !prefix.is_empty() && prefix.split('/').any(odd) {
            return Err(Error::invalid("the prefix has an empty, `.` or `..` part")
                .help("write it plainly, such as s3://bucket/lake"));
        }
        return Ok(Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
    }
    let help = match url.split_once(':') {
        Some((scheme @ ("gs" | "az" | "abfs" | "abfss" | "adl" | "hdfs"), _)) => {
            format!("stores of kind `{scheme}:` are not available in this version; use file: or s3://")
        }
        Some(_) => "write `file:PATH` or `s3://bucket/prefix`".to_owned(),
        None => format!("a folder is written `file:{}`", quoted(url).trim_matches('`')),
    };
    Err(Error::invalid(format!("{} is not the URL of a store", quoted(url))).help(help))
}

fn endpoint(text: &str) -> Result<String> {
    let service = Service {
        what: "endpoint",
        example: "https://s3.example.com",
        rest: "put the bucket and prefix in `url`",
        secrets: AWS_SECRETS,
    };
    address(text, &service)
}

/// How the address of a service is talked of.
pub(crate) struct Service {
    /// The key's name.
    pub(crate) what: &'static str,
    /// What is right.
    pub(crate) example: &'static str,
    /// Where that belongs which stands behind the host.
    pub(crate) rest: &'static str,
    /// Where credentials belong.
    pub(crate) secrets: &'static str,
}

pub(crate) const AWS_SECRETS: &str =
    "write them as references: `access_key_id: env:…`, `secret_access_key: env:…`";

/// `https://host:port`, or `http://` of this machine; without a slash at its end.
pub(crate) fn address(text: &str, service: &Service) -> Result<String> {
    let url = url_of(text, service)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Error::invalid(format!("the {} {} holds more than a host", service.what, quoted(text)))
            .help(service.rest));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// As [`address`], and what stands behind the host.
pub(crate) fn url_of(text: &str, service: &Service) -> Result<url::Url> {
    let what = service.what;
    let refused =
        |why: &str, help: &str| Error::invalid(format!("the {what} {} {why}", quoted(text))).help(help);
    let url = url::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .filter(url::Url::has_host)
        .ok_or_else(|| refused("is not an http or https URL", &format!("write it as {}", service.example)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid(format!("the {what} holds credentials")).help(service.secrets));
    }
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "http" && !is_loopback(host) {
        return Err(refused("is not encrypted", "use https://; http:// is for this machine only"));
    }
    Ok(url)
}

/// Keys of S3 say nothing about a folder.
fn refuse_s3_keys(raw: &raw::Store, faults: &Faults<'_>) {
    let texts = [
        ("endpoint", &raw.endpoint),
        ("region", &raw.region),
        ("access_key_id", &raw.access_key_id),
        ("secret_access_key", &raw.secret_access_key),
        ("session_token", &raw.session_token),
    ];
    let style = raw.path_style.iter().map(|placed| ("path_style", placed.key));
    let given = texts.iter().filter_map(|(name, placed)| placed.as_ref().map(|placed| (*name, placed.key)));
    for (name, span) in given.chain(style) {
        faults.push(
            Fault::new(span, format!("`{name}` is for S3 stores, and this one is a folder"))
                .help("remove it, or write `url: s3://bucket/prefix`"),
        );
    }
}

/// An access key has two halves.
pub(crate) fn check_key_pair(id_secret_token: [&Option<Placed<String>>; 3], faults: &Faults<'_>) {
    let [id, secret, token] = id_secret_token.map(|placed| placed.as_ref().map(|placed| placed.key));
    let lonely: Option<(Span, &str)> = match (id, secret) {
        (Some(id), None) => Some((id, "secret_access_key")),
        (None, Some(secret)) => Some((secret, "access_key_id")),
        (None, None) => token.map(|token| (token, "access_key_id")),
        (Some(_), Some(_)) => None,
    };
    if let Some((span, missing)) = lonely {
        faults.push(
            Fault::new(span, format!("`{missing}` is missing beside this"))
                .help("give both keys, or neither to use the environment's credentials"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_by_name_and_number() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "LOCALHOST"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "128.0.0.1", "0.0.0.0", "", "db"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn prefixes_lose_their_slashes_and_cannot_climb() {
        let read = place("s3://lake/a/b/").unwrap();
        assert!(matches!(read, Place::S3 { bucket, prefix } if bucket == "lake" && prefix == "a/b"));
        for bad in
            ["s3://", "s3://Lake/a", "s3://lake/../x", "s3://lake/a//b", "../lake", "gs://lake", "file:"]
        {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
