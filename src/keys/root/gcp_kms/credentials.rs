//! Who asks: credentials of the configuration, or what the environment offers.

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::service_account::{self, AccessSpecifier};
use google_cloud_auth::credentials::{self, Credentials, external_account};
use serde_json::Value;

use crate::error::{At, Error, Result};
use crate::secret::Reference;

/// Lets nothing else be done, whatever roles the caller has.
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";

/// Credentials that renew themselves. Nothing is contacted yet.
///
/// # Errors
/// `Invalid` when there are none, or they are no document of Google's that a server may use.
pub(super) fn of(given: Option<&Reference>) -> Result<Credentials> {
    let Some(reference) = given else {
        return credentials::Builder::default().with_scopes([SCOPE]).build().map_err(|error| none(&error));
    };
    let secret = reference.resolve().at(|| "credentials".to_owned())?;
    // What stands in the document is told by nobody: it is a secret.
    let document: Value = serde_json::from_slice(secret.expose()).map_err(|_| unfit())?;
    let built = match document["type"].as_str() {
        Some("service_account") => service_account::Builder::new(document)
            .with_access_specifier(AccessSpecifier::from_scopes([SCOPE]))
            .build(),
        Some("external_account") => external_account::Builder::new(document).with_scopes([SCOPE]).build(),
        _ => return Err(unfit()),
    };
    built.map_err(|_| unfit())
}

fn unfit() -> Error {
    Error::invalid("`credentials` is no document that a server may use").help(
        "name the JSON key of a service account, or the configuration of workload identity federation (its `type` is \
         `service_account` or `external_account`)",
    )
}

fn none(error: &BuildError) -> Error {
    let what = if error.is_loading() || error.is_parsing() {
        "the environment's credentials for Google Cloud cannot be read"
    } else {
        "there are no credentials for Google Cloud"
    };
    Error::invalid(what).help(
        "write `credentials: file:…`, check GOOGLE_APPLICATION_CREDENTIALS, or run where the machine has a service \
         account",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_not_fit_is_told_without_its_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = Reference::File(file.path().to_owned());
        for text in ["", "secret-words", r#"{"type": "authorized_user", "refresh_token": "secret-words"}"#] {
            std::fs::write(file.path(), text).unwrap();
            let error = of(Some(&reference)).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{text}");
            assert!(error.remedy().is_some() && !format!("{error:?}").contains("secret-words"), "{error:?}");
        }
    }
}
