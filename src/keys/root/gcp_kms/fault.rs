//! What Google Cloud KMS says, in our words: its own messages name resources that we do not know to be harmless.

use std::error::Error as _;

use google_cloud_gax::client_builder;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::error::{CredentialsError, Error as Fault};

use crate::error::{Error, Kind};

/// Of any request.
pub(super) fn told(fault: &Fault) -> Error {
    match (fault.status(), fault.http_status_code()) {
        (Some(status), _) => by_code(status.code),
        (None, Some(status)) => by_http(status),
        _ if fault.is_authentication() => by_credentials(fault),
        _ if fault.is_timeout() || fault.is_exhausted() => passing("does not answer in time"),
        _ if fault.is_connect() || fault.is_io() || fault.is_transport() => passing("cannot be reached"),
        _ if fault.is_deserialization() => no_kms(),
        _ => passing("cannot be asked"),
    }
}

/// Of a request to open what was wrapped: nothing else of it can be wrong.
pub(super) fn unopened(fault: &Fault) -> Error {
    match fault.status() {
        Some(status) if status.code == Code::InvalidArgument => altered(),
        _ => told(fault),
    }
}

/// Of a client that cannot be made.
pub(super) fn unbuilt(fault: &client_builder::Error) -> Error {
    if fault.is_default_credentials() {
        return denied();
    }
    if fault.is_universe_domain_mismatch() {
        return Error::invalid("the credentials are of another universe of Google Cloud than `endpoint`")
            .help("use credentials and an endpoint of one universe");
    }
    passing("cannot be asked")
}

fn by_code(code: Code) -> Error {
    match code {
        Code::PermissionDenied => Error::denied("Google Cloud KMS does not allow the use of the key")
            .help("give the caller the role roles/cloudkms.cryptoKeyEncrypterDecrypter on it, or check `key`: where a caller may not look, a key that is not there is answered alike"),
        Code::Unauthenticated => denied(),
        Code::NotFound => Error::invalid("there is no such key")
            .help("check `key`; `gcloud kms keys list` shows the names"),
        Code::InvalidArgument => Error::invalid("Google Cloud KMS does not take the request").help(
            "use a key of gcloud kms keys create NAME --purpose encryption; where it is one, run the same command again and look for what changes requests on the way",
        ),
        Code::FailedPrecondition => Error::failed("the key is turned off, or is not one that encrypts").help(
            "who manages it can enable its primary version: gcloud kms keys versions enable; a new key: gcloud kms keys create NAME --purpose encryption",
        ),
        Code::ResourceExhausted => Error::temporary("Google Cloud KMS has had too many requests")
            .help("run the same command again, or have the project's quota raised"),
        code => passing(&format!("has a fault of its own ({})", code.name())),
    }
}

fn by_http(status: u16) -> Error {
    match status {
        401 | 403 => Error::denied("what answers in place of Google Cloud KMS does not let us in")
            .help("check `endpoint` and proxies on the way"),
        404 => no_kms(),
        429 => by_code(Code::ResourceExhausted),
        _ => passing(&format!("answers with status {status} and no reason")),
    }
}

fn by_credentials(fault: &Fault) -> Error {
    let source = fault.source().and_then(|source| source.downcast_ref::<CredentialsError>());
    match source {
        Some(credentials) if credentials.is_transient() => Error::temporary(
            "Google gives no access token at present",
        )
        .help(
            "write `credentials: file:…` where this machine has no service account; else check the network on the way to the token's server, and run the same command again",
        ),
        _ => denied(),
    }
}

/// Nothing was answered in time.
pub(super) fn late() -> Error {
    passing("does not answer in time")
}

fn denied() -> Error {
    Error::denied("Google Cloud does not accept the credentials")
        .help("check that the service account's key is enabled, and this machine's clock")
}

fn passing(how: &str) -> Error {
    Error::temporary(format!("Google Cloud KMS {how}"))
        .help("check the network and `endpoint`; nothing is lost, run the same command again")
}

fn no_kms() -> Error {
    Error::failed("what answers at `endpoint` is no Cloud KMS").help("check `endpoint`")
}

/// A checksum does not agree.
pub(super) fn garbled() -> Error {
    Error::temporary("a key came to Google Cloud KMS, or from it, otherwise than it was sent")
        .help("run the same command again; should it last, look for what changes requests on the way")
}

pub(super) fn altered() -> Error {
    Error::new(Kind::Failed, "a wrapped key was altered, or was wrapped by another key")
        .help("restore the keys folder from its backup, and name the key that belongs to it")
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    #[test]
    fn each_answer_has_its_kind_and_its_remedy() {
        let kinds = [
            (Code::PermissionDenied, Kind::Denied),
            (Code::Unauthenticated, Kind::Denied),
            (Code::NotFound, Kind::Invalid),
            (Code::InvalidArgument, Kind::Invalid),
            (Code::FailedPrecondition, Kind::Failed),
            (Code::ResourceExhausted, Kind::Temporary),
            (Code::Unavailable, Kind::Temporary),
            (Code::Internal, Kind::Temporary),
        ];
        for (code, kind) in kinds {
            let fault = Fault::service(Status::default().set_code(code).set_message("projects/secret"));
            let error = told(&fault);
            assert_eq!(error.kind(), kind, "{}", code.name());
            assert!(error.remedy().is_some() && !format!("{error:?}").contains("secret"), "{error:?}");
        }
        let invalid = Fault::service(Status::default().set_code(Code::InvalidArgument));
        assert_eq!(unopened(&invalid).kind(), Kind::Failed, "what does not open was altered");
        for (transient, kind) in [(true, Kind::Temporary), (false, Kind::Denied)] {
            let fault = Fault::authentication(CredentialsError::from_msg(transient, "secret"));
            assert_eq!(told(&fault).kind(), kind);
        }
        assert_eq!(by_http(503).kind(), Kind::Temporary);
        assert_eq!(by_http(403).kind(), Kind::Denied);
    }
}
