//! What a module's return code means to whoever has to act on it.

use std::path::Path;

use cryptoki::error::{Error as Fault, RvError};

use crate::error::Error;

/// The session does not stand any more; a new one may do.
pub(super) fn is_session_lost(fault: &Fault) -> bool {
    use RvError as R;
    matches!(
        code(fault),
        Some(
            R::SessionHandleInvalid
                | R::SessionClosed
                | R::UserNotLoggedIn
                | R::CryptokiNotInitialized
                | R::DeviceRemoved
                | R::DeviceError
                | R::TokenNotPresent
                | R::SlotIdInvalid
                | R::KeyHandleInvalid
                | R::ObjectHandleInvalid
                | R::OperationActive
                | R::OperationNotInitialized
                | R::GeneralError
                | R::FunctionFailed
        )
    )
}

/// What modules say of a tag that does not fit.
pub(super) fn may_be_a_tag(fault: &Fault) -> bool {
    use RvError as R;
    matches!(
        code(fault),
        Some(
            R::EncryptedDataInvalid
                | R::EncryptedDataLenRange
                | R::DataInvalid
                | R::DataLenRange
                | R::SignatureInvalid
                | R::GeneralError
                | R::FunctionFailed
        )
    )
}

/// The PIN is wrong, or the token takes none.
pub(super) fn is_about_the_pin(fault: &Fault) -> bool {
    use RvError as R;
    matches!(
        code(fault),
        Some(R::PinIncorrect | R::PinInvalid | R::PinLenRange | R::PinExpired | R::PinLocked)
    )
}

/// The bytes or the id are not those that were wrapped.
pub(super) fn altered() -> Error {
    Error::failed("a wrapped key was altered, or was wrapped by another key")
        .help("restore the keys folder from its backup, and the key of the token that belongs to it")
}

/// The module cannot be used at all.
pub(super) fn unloadable(fault: &Fault, path: &Path) -> Error {
    let shown = path.display();
    match fault {
        Fault::LibraryLoading(_) if !path.exists() => {
            Error::invalid(format!("there is no PKCS #11 module {shown}"))
                .help("write the path of the vendor's shared library in `module`")
        }
        Fault::LibraryLoading(_) | Fault::MissingSymbol(_) | Fault::NullFunctionPointer => {
            Error::invalid(format!("{shown} is not a PKCS #11 module that this machine can load"))
                .help("write the path of the vendor's shared library for this machine in `module`")
        }
        _ => Error::temporary(format!("the PKCS #11 module {shown} does not start{}", named(fault)))
            .help("see the module's own log and settings (SoftHSM: SOFTHSM2_CONF)"),
    }
}

/// Any other fault, of the token with this label.
pub(super) fn told(fault: &Fault, token: &str) -> Error {
    use RvError as R;
    let Some(code) = code(fault) else {
        return Error::failed(format!("the token `{token}` does not do AES-GCM as PKCS #11 says"))
            .help("use a token with CKM_AES_GCM: `pkcs11-tool --list-mechanisms` shows what it can");
    };
    match code {
        R::PinIncorrect | R::PinInvalid | R::PinLenRange => {
            Error::invalid(format!("the PIN is not that of the token `{token}`"))
                .help("correct what `pin` refers to; it is not tried again, as a few wrong PINs lock a token")
        }
        R::PinLocked => Error::invalid(format!("the PIN of the token `{token}` is locked"))
            .help("its security officer sets it anew: pkcs11-tool --login --login-type so --init-pin"),
        R::PinExpired | R::UserPinNotInitialized => {
            Error::invalid(format!("the token `{token}` asks for a new PIN"))
                .help("set it (pkcs11-tool --change-pin, or --init-pin), and change what `pin` refers to")
        }
        R::MechanismInvalid
        | R::MechanismParamInvalid
        | R::KeyTypeInconsistent
        | R::KeyFunctionNotPermitted
        | R::KeySizeRange
        | R::FunctionNotSupported => {
            Error::invalid(format!("the token `{token}` cannot use the key with AES-GCM{}", named(fault)))
                .help("use a token with CKM_AES_GCM: `pkcs11-tool --list-mechanisms` shows what it can")
        }
        R::TokenNotPresent
        | R::DeviceRemoved
        | R::SlotIdInvalid
        | R::KeyHandleInvalid
        | R::ObjectHandleInvalid => {
            Error::temporary(format!("the token `{token}` is gone{}", named(fault))).help("connect it again")
        }
        _ => Error::temporary(format!("the token `{token}` does not work{}", named(fault)))
            .help("see the module's own log; nothing is lost, run the same command again when it works"),
    }
}

fn code(fault: &Fault) -> Option<&RvError> {
    match fault {
        Fault::Pkcs11(code, _) => Some(code),
        _ => None,
    }
}

/// The code, which says no secret.
fn named(fault: &Fault) -> String {
    code(fault).map(|code| format!(" ({code:?})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn each_code_has_its_kind_and_its_remedy() {
        use RvError as R;
        let kinds = [
            (R::PinIncorrect, Kind::Invalid),
            (R::PinLocked, Kind::Invalid),
            (R::UserPinNotInitialized, Kind::Invalid),
            (R::MechanismInvalid, Kind::Invalid),
            (R::TokenNotPresent, Kind::Temporary),
            (R::DeviceRemoved, Kind::Temporary),
            (R::DeviceError, Kind::Temporary),
            (R::SessionCount, Kind::Temporary),
            (R::HostMemory, Kind::Temporary),
        ];
        for (code, kind) in kinds {
            let error = told(&Fault::Pkcs11(code, Function::Encrypt), "prod");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.remedy().is_some() && error.message().contains("`prod`"), "{error}");
        }
        assert_eq!(told(&Fault::NotSupported, "prod").kind(), Kind::Failed);
        assert_eq!(altered().kind(), Kind::Failed);
    }

    #[test]
    fn a_wrong_pin_is_no_reason_to_log_in_again() {
        for code in [RvError::PinIncorrect, RvError::PinLocked, RvError::PinExpired] {
            let fault = Fault::Pkcs11(code, Function::Login);
            assert!(is_about_the_pin(&fault) && !is_session_lost(&fault), "{fault:?}");
        }
    }
}
