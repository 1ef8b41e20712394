//! The root key in a token behind a PKCS #11 module (OASIS PKCS #11 3.0): a hardware security module, a smart
//! card, or SoftHSM.
//!
//! Wrapped keys have the form of every layer, `nonce (12) | ciphertext | tag (16)`, made by the token
//! (`CKM_AES_GCM`). The key never leaves it.

mod fault;
mod fit;
pub(super) mod module;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use cryptoki::context::Pkcs11 as Context;
use cryptoki::error::{Error as Fault, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::Root;
use crate::error::{At, Error, Result};
use crate::keys::aead;
use crate::keys::records::Folder;
use crate::secret::Secret;
use crate::spec::config::Pkcs11 as Settings;

const TAG_BYTES: usize = 16;

/// A key in a token.
pub struct Pkcs11 {
    id: String,
    token: Arc<Token>,
}

impl fmt::Debug for Pkcs11 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pkcs11 {
    /// Logs in, finds the key, and tries it.
    ///
    /// # Errors
    /// `Invalid` when module, token, key or PIN are not there or not right, or when the key could leave the
    /// token; `Temporary` when the device fails, or the token of keys that are in use is gone.
    pub(super) async fn open(settings: &Settings, records: &Folder) -> Result<Self> {
        let (settings, records) = (settings.clone(), records.clone());
        module::call(move || {
            let token = Token {
                module: module::load(&settings.module)?,
                was_used: AtomicBool::new(records.holds_any()?),
                settings,
                open: Mutex::default(),
                refused: OnceLock::new(),
            };
            let probe = Probe::new()?;
            let id = token.with(|open| probe.pass(open).map(|()| open.id.clone()))?;
            Ok(Self { id, token: Arc::new(token) })
        })
        .await
    }
}

#[async_trait]
impl Root for Pkcs11 {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>> {
        let (token, key, aad) = (Arc::clone(&self.token), key.clone(), aad.to_vec());
        module::call(move || {
            let nonce = aead::random()?;
            token.with(|open| open.encrypt(nonce, key.expose(), &aad))
        })
        .await
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret> {
        let (token, wrapped, aad) = (Arc::clone(&self.token), wrapped.to_vec(), aad.to_vec());
        module::call(move || {
            if wrapped.len() < aead::NONCE_BYTES + TAG_BYTES {
                return Err(fault::altered());
            }
            let probe = Probe::new()?;
            let opened = token.with(|open| match open.decrypt(&wrapped, &aad) {
                // Modules say a wrong tag in the words of any other failure. Where the key does its work
                // otherwise, the bytes are wrong.
                Err(error) if fault::may_be_a_tag(&error) => probe.pass(open).map(|()| None),
                opened => opened.map(Some),
            })?;
            opened.ok_or_else(fault::altered)
        })
        .await
    }
}

/// The token, logged in at the first use and again when the session was lost. One session, and one call at a time
/// ([`module::call`]): what a wrapped key needs is short.
struct Token {
    settings: Settings,
    module: Context,
    open: Mutex<Option<Open>>,
    /// A PIN that was wrong once is not tried again: a few more tries would lock the token.
    refused: OnceLock<Error>,
    /// Whether the token has been there: one that is missing now is gone, not misspelt.
    was_used: AtomicBool,
}

impl Token {
    /// Does `work` with the key; once more with a new session where the session was lost.
    fn with<T>(&self, work: impl Fn(&Open) -> Result<T, Fault>) -> Result<T> {
        let module = &self.module;
        let mut open = locked(&self.open);
        let mut tries_left = 2;
        loop {
            tries_left -= 1;
            let session = match open.take() {
                Some(session) => session,
                None => self.log_in(module)?,
            };
            match work(open.insert(session)) {
                Ok(done) => return Ok(done),
                Err(error) if !fault::is_session_lost(&error) => return Err(self.told(&error)),
                Err(error) => {
                    *open = None;
                    if tries_left == 0 {
                        return Err(self.told(&error));
                    }
                }
            }
        }
    }

    fn log_in(&self, module: &Context) -> Result<Open> {
        if let Some(refused) = self.refused.get() {
            return Err(refused.clone());
        }
        let mut slot = self.slot(module)?;
        if slot.is_none() && self.was_used.load(Ordering::Relaxed) {
            // Some modules see that a token came back only when they begin anew.
            let _ = module.clone().finalize();
            module::initialize(module).map_err(|error| self.told(&error))?;
            slot = self.slot(module)?;
        }
        let slot = slot.ok_or_else(|| self.absent(module))?;
        let info = module.get_token_info(slot).map_err(|error| self.told(&error))?;
        if info.user_pin_locked() {
            return Err(self.told(&Fault::Pkcs11(RvError::PinLocked, cryptoki::context::Function::Login)));
        }
        let session = module.open_ro_session(slot).map_err(|error| self.told(&error))?;
        let pin = self.settings.pin.resolve().at(|| "the PIN of the token".to_owned())?;
        match session.login(UserType::User, Some(&AuthPin::from(pin.expose_str()?.to_owned()))) {
            Ok(()) | Err(Fault::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => {
                let told = self.told(&error);
                if fault::is_about_the_pin(&error) {
                    let _ = self.refused.set(told.clone());
                }
                return Err(told);
            }
        }
        let (key, id) = self.key(&session)?;
        self.was_used.store(true, Ordering::Relaxed);
        Ok(Open { session, key, id })
    }

    /// The slot of the token with the label, if it is there.
    fn slot(&self, module: &Context) -> Result<Option<Slot>> {
        let slots = module.get_slots_with_token().map_err(|error| self.told(&error))?;
        let is_ours = |slot: &Slot| {
            module.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == self.settings.token)
        };
        let ours: Vec<Slot> = slots.into_iter().filter(is_ours).collect();
        match ours.as_slice() {
            [] => Ok(None),
            [slot] => Ok(Some(*slot)),
            _ => Err(Error::invalid(format!(
                "there are {} tokens labelled `{}`",
                ours.len(),
                self.settings.token
            ))
            .help("give each token a label of its own, and write it in `token`")),
        }
    }

    fn absent(&self, module: &Context) -> Error {
        let slots = module.get_slots_with_token().unwrap_or_default();
        let infos = slots.into_iter().filter_map(|slot| module.get_token_info(slot).ok());
        let labels: Vec<String> = infos
            .filter(cryptoki::slot::TokenInfo::token_initialized)
            .map(|info| format!("`{}`", info.label().trim_end()))
            .collect();
        let there = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        let Settings { token, module, .. } = &self.settings;
        if self.was_used.load(Ordering::Relaxed) {
            Error::temporary(format!("the token `{token}` is gone"))
                .help(format!("connect it again; the tokens that are there: {there}"))
        } else {
            Error::invalid(format!("there is no token labelled `{token}`")).help(format!(
                "the tokens that are there: {there}; `pkcs11-tool --module {} --list-token-slots` shows them",
                module.display()
            ))
        }
    }

    /// The key with the label and its id, if it is one and fit.
    fn key(&self, session: &Session) -> Result<(ObjectHandle, String)> {
        let Settings { token, key, .. } = &self.settings;
        let wanted = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(key.as_bytes().to_vec())];
        let found = session.find_objects(&wanted).map_err(|error| self.told(&error))?;
        let handle = match found.as_slice() {
            [handle] => *handle,
            [] => {
                return Err(Error::invalid(format!(
                    "there is no secret key labelled `{key}` in the token `{token}`"
                ))
                .help(format!("make it: {}", self.keygen())));
            }
            several => {
                return Err(Error::invalid(format!(
                    "there are {} secret keys labelled `{key}` in the token `{token}`",
                    several.len()
                ))
                .help(
                    "give the one that wrapped the dataset keys a label of its own, and write it in `key`",
                ));
            }
        };
        let attributes = session.get_attributes(handle, &fit::ASKED).map_err(|error| self.told(&error))?;
        if let Some(flaw) = fit::flaw(&attributes) {
            return Err(Error::invalid(format!("the key `{key}` in the token `{token}` {flaw}"))
                .help(format!("make another one, under a label of its own: {}", self.keygen())));
        }
        Ok((handle, fit::id(token, key, &attributes)))
    }

    /// The command that makes a key that is fit.
    fn keygen(&self) -> String {
        let Settings { token, key, module, .. } = &self.settings;
        format!(
            "pkcs11-tool --module {} --token-label '{token}' --login --keygen --key-type AES:32 --label '{key}' \
             --id 01 --sensitive --private",
            module.display()
        )
    }

    fn told(&self, error: &Fault) -> Error {
        fault::told(error, &self.settings.token)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // Closing a session is a call, too.
        if let Some(open) = locked(&self.open).take() {
            module::drop_there(open);
        }
    }
}

/// A session that is logged in, and the key.
struct Open {
    session: Session,
    key: ObjectHandle,
    id: String,
}

impl Open {
    fn encrypt(
        &self,
        mut nonce: [u8; aead::NONCE_BYTES],
        plain: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let params = GcmParams::new(&mut nonce, aad, 128.into())?;
        let sealed = self.session.encrypt(&Mechanism::AesGcm(params), self.key, plain)?;
        if sealed.len() != plain.len() + TAG_BYTES {
            return Err(Fault::NotSupported);
        }
        // A token that insists on a nonce of its own has written it over ours.
        Ok([&nonce[..], &sealed].concat())
    }

    fn decrypt(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        let (nonce, sealed) =
            wrapped.split_first_chunk::<{ aead::NONCE_BYTES }>().ok_or(Fault::InvalidValue)?;
        let mut nonce = *nonce;
        let params = GcmParams::new(&mut nonce, aad, 128.into())?;
        self.session.decrypt(&Mechanism::AesGcm(params), self.key, sealed).map(Secret::new)
    }
}

/// Random bytes that are wrapped and unwrapped, to see whether the key does its work.
struct Probe {
    nonce: [u8; aead::NONCE_BYTES],
    plain: Secret,
}

impl Probe {
    fn new() -> Result<Self> {
        Ok(Self { nonce: aead::random()?, plain: aead::random_secret(aead::KEY_BYTES)? })
    }

    fn pass(&self, open: &Open) -> Result<(), Fault> {
        let wrapped = open.encrypt(self.nonce, self.plain.expose(), b"sealift probe")?;
        let opened = open.decrypt(&wrapped, b"sealift probe")?;
        if opened.expose() == self.plain.expose() { Ok(()) } else { Err(Fault::NotSupported) }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
