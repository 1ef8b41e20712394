//! What an object store answers, in our own words and kinds: the one place.
//!
//! Foreign messages are not forwarded: a store's answer may repeat keys of the request, and a
//! decorated client may repeat credentials.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::error::{Error, Kind};

/// The error of `doing` (`write crm/people/part-….parquet`) with the answer's kind and remedy.
pub(crate) fn of(error: &StoreError, doing: &str) -> Error {
    match error {
        StoreError::NotFound { .. } => Error::failed(format!("cannot {doing}: there is no such object"))
            .help("check that the bucket or folder of the store exists"),
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => {
            Error::temporary(format!("cannot {doing}: another writer was first"))
        }
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => denied(doing),
        StoreError::InvalidPath { .. } => Error::failed(format!("cannot {doing}: its path is not valid")),
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            Error::failed(format!("cannot {doing}: the store does not support it"))
        }
        StoreError::JoinError { .. } => Error::temporary(format!("cannot {doing}: the work was stopped")),
        other => deep(other, doing),
    }
}

/// A refusal by the store.
fn denied(doing: &str) -> Error {
    Error::denied(format!("cannot {doing}: the store refuses the credentials or the access")).help(
        "check the access key, the secret and what they may do; publishing reads, lists, writes and deletes",
    )
}

/// Looks for the cause below wrappers: an I/O error of a local folder, an HTTP fault, a status.
pub(super) fn deep(error: &(dyn StdError + 'static), doing: &str) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<io::Error>()
            && let Some(mapped) = of_io(io, doing)
        {
            return mapped;
        }
        if let Some(http) = this.downcast_ref::<HttpError>() {
            return of_http(http, doing);
        }
        cause = this.source();
    }
    of_status(&error.to_string(), doing)
}

/// An I/O error of a local folder; `None` where the kind tells nothing and a cause below it may.
fn of_io(error: &io::Error, doing: &str) -> Option<Error> {
    use io::ErrorKind as K;
    Some(match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
            Error::temporary(format!("cannot {doing}: the disk is full"))
                .help("free space, or point the store at a larger disk; what was written is removed")
        }
        K::ReadOnlyFilesystem => {
            Error::denied(format!("cannot {doing}: the file system is mounted read-only"))
                .help("point the store at a folder that can be written")
        }
        K::PermissionDenied => Error::denied(format!("cannot {doing}: the folder's permissions forbid it"))
            .help("give this user the right to write below the store's folder"),
        K::NotADirectory | K::AlreadyExists => {
            Error::failed(format!("cannot {doing}: a file stands where the store needs a folder"))
        }
        K::Unsupported | K::CrossesDevices => {
            Error::failed(format!("cannot {doing}: the file system cannot make hard links"))
                .help("put the store on a local file system; exactly-once commits rest on hard links")
        }
        K::Other => return None,
        kind => Error::temporary(format!("cannot {doing}: {kind}")),
    })
}

/// A request that got no answer.
fn of_http(error: &HttpError, doing: &str) -> Error {
    let what = match error.kind() {
        HttpErrorKind::Connect => "the store cannot be reached",
        HttpErrorKind::Timeout => "the store did not answer in time",
        HttpErrorKind::Decode => "the store's answer makes no sense",
        _ => "the request to the store broke off",
    };
    Error::temporary(format!("cannot {doing}: {what}"))
        .help("check the endpoint, the network and the store, then run again")
}

/// The client keeps the HTTP status of an answer to itself, but words it.
fn of_status(text: &str, doing: &str) -> Error {
    let status = text
        .split("status code: ")
        .nth(1)
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse::<u16>().ok());
    match status {
        Some(401 | 403) => denied(doing),
        Some(408 | 429 | 500..=599) => {
            Error::temporary(format!("cannot {doing}: the store answers {}", status.unwrap_or_default()))
                .help("the store is overloaded or failing; run again later")
        }
        Some(status @ 300..=399) => Error::failed(format!("cannot {doing}: the store answers {status}"))
            .help("check the region and the endpoint: the bucket seems to live elsewhere"),
        Some(status) => Error::failed(format!("cannot {doing}: the store answers {status}"))
            .help("check the store's endpoint, bucket and path style"),
        None if text.contains("error response") => {
            Error::temporary(format!("cannot {doing}: the store answers with an error"))
        }
        None => Error::failed(format!("cannot {doing}: the store answers in a way we do not know")),
    }
}

/// Whether the request may have been carried out although its answer says otherwise or is missing.
pub(super) fn is_ambiguous(error: &StoreError) -> bool {
    match error {
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => true,
        other => !is_full(other) && of(other, "").kind() == Kind::Temporary,
    }
}

/// Whether there was no room for the object: nothing landed.
fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        || error.source().is_some_and(is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(kind: io::ErrorKind) -> StoreError {
        StoreError::Generic { store: "LocalFileSystem", source: Box::new(io::Error::from(kind)) }
    }

    #[test]
    fn answers_have_the_kind_that_tells_what_to_do() {
        let cases = [
            (local(io::ErrorKind::StorageFull), Kind::Temporary),
            (local(io::ErrorKind::ReadOnlyFilesystem), Kind::Denied),
            (local(io::ErrorKind::PermissionDenied), Kind::Denied),
            (StoreError::PermissionDenied { path: "x".into(), source: "y".into() }, Kind::Denied),
            (
                StoreError::Generic { store: "S3", source: "x: status code: 503 Slow: AKIASECRET".into() },
                Kind::Temporary,
            ),
            (
                StoreError::Generic { store: "S3", source: "x: status code: 400 Bad: AKIASECRET".into() },
                Kind::Failed,
            ),
        ];
        for (error, kind) in cases {
            let mapped = of(&error, "write a");
            assert_eq!(mapped.kind(), kind, "{error}");
            assert!(!mapped.to_string().contains("AKIASECRET"));
        }
    }

    #[test]
    fn a_full_disk_says_so() {
        let error = of(&local(io::ErrorKind::StorageFull), "write a");
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
}
