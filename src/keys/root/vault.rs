//! The root key in the transit engine of HashiCorp Vault or OpenBao, which never leaves it.
//!
//! A wrapped key is the engine's `vault:v<version>:<base64>`, opaque to us; a rotated key opens what its older
//! versions wrapped. The dataset key's id is bound to it as `associated_data`.

mod http;

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::http::Http;
use super::Root;
use crate::error::{At, Error, Kind, Result};
use crate::secret::Secret;
use crate::spec::config;

/// The only type that has 256 bits and binds associated data by AES-GCM.
const TYPE: &str = "aes256-gcm96";

/// A transit key.
pub struct Vault {
    id: String,
    mount: String,
    key: String,
    http: Http,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What `GET /v1/<mount>/keys/<key>` tells.
#[derive(Deserialize)]
struct KeyInfo {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    allow_plaintext_backup: bool,
}

#[derive(Serialize)]
struct Wrap<'a> {
    plaintext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Wrapped {
    ciphertext: String,
}

#[derive(Serialize)]
struct Unwrap<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Unwrapped {
    plaintext: String,
}

impl Vault {
    /// Asks for the key and its type; a key that may be exported is warned of.
    ///
    /// # Errors
    /// `Invalid` when there is no such key or it is of another type, or TLS or token are not right; `Denied` and
    /// `Temporary` as Vault answers.
    pub(super) async fn open(settings: &config::Vault, notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let config::Vault { mount, key, namespace, .. } = settings;
        let space = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let id = format!("vault:{space}{mount}/{key}");
        let vault = Self { id, mount: mount.clone(), key: key.clone(), http: Http::open(settings)? };
        let info: KeyInfo = vault.ask(Method::GET, "keys", &()).await?;
        if info.kind != TYPE || info.derived {
            let what = if info.derived { "derived" } else { info.kind.as_str() };
            return Err(Error::invalid(format!("the key is of type `{}`", printable(what)))
                .help(format!("make another one: vault write -f {mount}/keys/NAME type={TYPE}"))
                .at(vault.place()));
        }
        if info.exportable || info.allow_plaintext_backup {
            notice(&format!(
                "warning: {} may be exported from Vault; make one with exportable=false and \
                 allow_plaintext_backup=false",
                vault.place()
            ));
        }
        Ok(vault)
    }

    fn place(&self) -> String {
        format!("key {}/{} of Vault", self.mount, self.key)
    }

    async fn ask<A: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        verb: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<A> {
        let path = format!("{}/{verb}/{}", self.mount, self.key);
        self.http.ask(method, &path, request).await.at(|| self.place())
    }
}

#[async_trait]
impl Root for Vault {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>> {
        let plaintext = Zeroizing::new(STANDARD.encode(key.expose()));
        let request = Wrap { plaintext: &plaintext, associated_data: &STANDARD.encode(aad) };
        let wrapped: Wrapped = self.ask(Method::POST, "encrypt", &request).await?;
        Ok(wrapped.ciphertext.into_bytes())
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret> {
        let ciphertext = std::str::from_utf8(wrapped).map_err(|_| altered())?;
        let request = Unwrap { ciphertext, associated_data: &STANDARD.encode(aad) };
        let answer: Result<Unwrapped> = self.ask(Method::POST, "decrypt", &request).await;
        // 400 is the answer to bytes that do not open; nothing else of the request can be wrong.
        let opened = answer.map_err(|error| if error.kind() == Kind::Data { altered() } else { error })?;
        let plaintext = Zeroizing::new(opened.plaintext);
        STANDARD.decode(plaintext.as_bytes()).map(Secret::new).map_err(|_| http::no_answer())
    }
}

fn altered() -> Error {
    Error::failed("a wrapped key was altered, or was wrapped by another key")
        .help("restore the keys folder from its backup, and name the key that belongs to it")
}

/// The beginning of a word that somebody else wrote.
fn printable(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_graphic()).take(40).collect()
}
