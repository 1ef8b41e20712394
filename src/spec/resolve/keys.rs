//! The key provider.

use std::path::PathBuf;

use super::store::{AWS_SECRETS, Service, address, check_key_pair};
use super::{not_empty, not_yet, optional_reference, reference};
use crate::error::{Error, Result};
use crate::spec::faults::{Faults, quoted};
use crate::spec::keys::{AwsKms, GcpKms, Keys, Pkcs11, Vault};
use crate::spec::raw::keys as raw;
use crate::spec::raw::placed::Placed;

pub(crate) fn keys(placed: &Placed<raw::Keys>, faults: &Faults<'_>) -> Option<Keys> {
    match placed.get()? {
        raw::Keys::File(keys) => {
            let path = folder(&keys.path, faults);
            let passphrase = optional_reference(keys.passphrase.as_ref(), faults.text.folder(), faults);
            Some(Keys::File { path: path?, passphrase: passphrase? })
        }
        raw::Keys::Pkcs11(keys) => pkcs11(keys, faults).map(Keys::Pkcs11),
        raw::Keys::AwsKms(keys) => aws_kms(keys, placed, faults).map(Keys::AwsKms),
        raw::Keys::GcpKms(keys) => gcp_kms(keys, faults).map(Keys::GcpKms),
        raw::Keys::Vault(keys) => vault(keys, faults).map(Keys::Vault),
        raw::Keys::AzureKeyVault(_) => faults.take(placed, |_| {
            Err(not_yet(
                "azure_key_vault",
                "the providers are `file`, `pkcs11`, `aws_kms`, `gcp_kms` and `vault`: see docs/keys.md",
            ))
        }),
    }
}

fn folder(path: &Placed<String>, faults: &Faults<'_>) -> Option<PathBuf> {
    faults.parse(path, not_empty).map(|path| faults.text.resolve(&path))
}

fn pkcs11(raw: &raw::Pkcs11Keys, faults: &Faults<'_>) -> Option<Pkcs11> {
    let path = folder(&raw.path, faults);
    let module = folder(&raw.module, faults);
    let token = faults.parse(&raw.token, token_label);
    let key = faults.parse(&raw.key, not_empty);
    let pin = reference(&raw.pin, faults.text.folder(), faults);
    Some(Pkcs11 { path: path?, module: module?, token: token?, key: key?, pin: pin? })
}

/// PKCS #11 (section 3.2): a token's label is at most 32 bytes, padded with blanks.
fn token_label(text: &str) -> Result<String> {
    let label = not_empty(text)?;
    if label.len() > 32 {
        return Err(Error::invalid("a token's label is at most 32 bytes long")
            .help("`pkcs11-tool --module MODULE --list-token-slots` shows the labels"));
    }
    Ok(label)
}

fn aws_kms(raw: &raw::AwsKmsKeys, keys: &Placed<raw::Keys>, faults: &Faults<'_>) -> Option<AwsKms> {
    const SERVICE: Service = Service {
        what: "endpoint",
        example: "https://kms.eu-central-2.amazonaws.com",
        rest: "remove what stands behind it",
        secrets: AWS_SECRETS,
    };
    let at = faults.text.folder();
    let path = folder(&raw.path, faults);
    let key_id = faults.parse(&raw.key_id, key_id);
    let written = faults.parse_optional(raw.region.as_ref(), not_empty);
    let region = match (written, key_id.as_deref().map(region_of)) {
        (Some(written), Some(told)) => region(written, told, raw, keys, faults),
        _ => None,
    };
    let endpoint = faults.parse_optional(raw.endpoint.as_ref(), |text| address(text, &SERVICE));
    let access_key_id = optional_reference(raw.access_key_id.as_ref(), at, faults);
    let secret_access_key = optional_reference(raw.secret_access_key.as_ref(), at, faults);
    let session_token = optional_reference(raw.session_token.as_ref(), at, faults);
    check_key_pair([&raw.access_key_id, &raw.secret_access_key, &raw.session_token], faults);
    Some(AwsKms {
        path: path?,
        key_id: key_id?,
        region: region?,
        endpoint: endpoint?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token: session_token?,
    })
}

fn key_id(text: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
    if text.is_empty() || text.len() > 2048 || !text.bytes().all(is_plain) {
        return Err(Error::invalid(format!("{} is not a key of AWS KMS", quoted(text)))
            .help("write its id, `alias/NAME`, or the ARN of either"));
    }
    Ok(text.to_owned())
}

/// The region in `arn:aws:kms:REGION:ACCOUNT:key/ID`.
fn region_of(key_id: &str) -> Option<&str> {
    let (_, rest) = key_id.strip_prefix("arn:")?.split_once(":kms:")?;
    rest.split(':').next().filter(|region| !region.is_empty())
}

/// The region that is written, or else that of the ARN; both are the same.
fn region(
    written: Option<String>,
    told: Option<&str>,
    raw: &raw::AwsKmsKeys,
    keys: &Placed<raw::Keys>,
    faults: &Faults<'_>,
) -> Option<String> {
    match (written, told, &raw.region) {
        (Some(written), Some(told), Some(placed)) if written != told => faults.take(placed, |_| {
            Err(Error::invalid(format!("the key is in the region {}", quoted(told)))
                .help("remove `region`: the ARN of the key says it"))
        }),
        (None, None, _) => faults.take(keys, |_| {
            Err(Error::invalid("`region` of `aws_kms` is missing")
                .help("write `region: eu-central-2`, or the key's ARN in `key_id`"))
        }),
        (written, told, _) => written.or_else(|| told.map(str::to_owned)),
    }
}

fn gcp_kms(raw: &raw::GcpKmsKeys, faults: &Faults<'_>) -> Option<GcpKms> {
    const SERVICE: Service = Service {
        what: "endpoint",
        example: "https://cloudkms.googleapis.com",
        rest: "write the key in `key`",
        secrets: "write them as a reference: `credentials: file:…`",
    };
    let path = folder(&raw.path, faults);
    let key = faults.parse(&raw.key, crypto_key);
    let endpoint = faults.parse_optional(raw.endpoint.as_ref(), |text| address(text, &SERVICE));
    let credentials = optional_reference(raw.credentials.as_ref(), faults.text.folder(), faults);
    Some(GcpKms { path: path?, key: key?, endpoint: endpoint?, credentials: credentials? })
}

/// The resource name of a key of Google Cloud KMS. A version's name would open nothing: versions are told by what was
/// wrapped.
fn crypto_key(text: &str) -> Result<String> {
    let mut parts = text.split('/');
    let is_name = |part: &str| {
        matches!(part.len(), 1..=63)
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
            && !matches!(part, "." | "..")
    };
    let mut is_pair = |kind: &str| parts.next() == Some(kind) && parts.next().is_some_and(is_name);
    let is_key = ["projects", "locations", "keyRings", "cryptoKeys"].into_iter().all(&mut is_pair);
    if !is_key || parts.next().is_some() {
        return Err(Error::invalid(format!("{} is not a key of Google Cloud KMS", quoted(text))).help(
            "write projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, as `gcloud kms keys list` shows it",
        ));
    }
    Ok(text.to_owned())
}

fn vault(raw: &raw::VaultKeys, faults: &Faults<'_>) -> Option<Vault> {
    const SERVICE: Service = Service {
        what: "address",
        example: "https://vault.example.com:8200",
        rest: "write the engine in `mount` and the key in `key`",
        secrets: "write the token as a reference: `token: env:VAULT_TOKEN`",
    };
    let path = folder(&raw.path, faults);
    let address = faults.parse(&raw.address, |text| address(text, &SERVICE));
    let mount = faults.parse_optional(raw.mount.as_ref(), |text| api_path(text, "mount"));
    let key = faults.parse(&raw.key, |text| api_path(text, "key"));
    let token = reference(&raw.token, faults.text.folder(), faults);
    let ca_file = faults.parse_optional(raw.ca_file.as_ref(), not_empty);
    let namespace = faults.parse_optional(raw.namespace.as_ref(), |text| api_path(text, "namespace"));
    Some(Vault {
        path: path?,
        address: address?,
        mount: mount?.unwrap_or_else(|| "transit".to_owned()),
        key: key?,
        token: token?,
        ca_file: ca_file?.map(|path| faults.text.resolve(&path)),
        namespace: namespace?,
    })
}

/// A part of the path of an API; a key has one name, the others may lie in folders.
fn api_path(text: &str, what: &str) -> Result<String> {
    let plain = text.trim_matches('/');
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    if plain.len() > 512 || !plain.split('/').all(is_name) || (what == "key" && plain.contains('/')) {
        return Err(Error::invalid(format!("{} is no name of a {what}", quoted(text)))
            .help("use letters, digits, `_`, `-` and `.`, as `vault list` shows it"));
    }
    Ok(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_kms_says_its_region_in_its_arn_only() {
        assert_eq!(region_of("arn:aws:kms:eu-central-2:123456789012:key/1a2b"), Some("eu-central-2"));
        assert_eq!(region_of("arn:aws-cn:kms:cn-north-1:1:alias/sealift"), Some("cn-north-1"));
        for id in ["alias/sealift", "1a2b-3c", "mrk-12", "arn:aws:s3:::lake"] {
            assert_eq!(region_of(id), None, "{id}");
        }
        for bad in ["", "alias/a b", "alias/ä", "a\nb", "a?b"] {
            assert!(key_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_of_google_is_named_whole_and_without_a_version() {
        let key = "projects/bank.example:p-1/locations/europe-west6/keyRings/sealift/cryptoKeys/root_1";
        assert_eq!(crypto_key(key).unwrap(), key);
        for bad in [
            "",
            "root",
            "projects/p/locations/l/keyRings/r",
            "projects/p/locations/l/keyRings/r/cryptoKeys/",
            "projects/p/locations/l/keyRings/r/cryptoKeys/..",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k?x",
            "/projects/p/locations/l/keyRings/r/cryptoKeys/k",
        ] {
            assert!(crypto_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_of_the_api_cannot_leave_its_place() {
        assert_eq!(api_path("/team/transit/", "mount").unwrap(), "team/transit");
        for (bad, what) in [("a/b", "key"), ("..", "mount"), ("a/../b", "mount"), ("a?b", "key"), ("", "key")]
        {
            assert!(api_path(bad, what).is_err(), "{bad}");
        }
    }
}
