//! Secrets: wiped from memory on drop, never displayed, written in documents only by reference.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Bytes that must not be seen: zeroed on drop, without `Display`, and `Debug` shows only that
/// there is one.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of secret bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one call that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, for the one call that needs it.
    ///
    /// # Errors
    /// `Invalid` when the bytes are not UTF-8.
    pub fn expose_str(&self) -> Result<&str> {
        std::str::from_utf8(&self.0).map_err(|_| Error::invalid("a secret is not UTF-8 text"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is to be found: `env:NAME` or `file:/path`. Never the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable of this name.
    Env(String),
    /// A file whose content, less one final newline, is the secret.
    File(PathBuf),
}

impl Reference {
    /// Reads `env:NAME` or `file:PATH`; a relative path resolves against `folder`.
    ///
    /// # Errors
    /// `Invalid` for any other text, which is not repeated: it may be a secret written in the
    /// wrong place.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(folder.join(path))),
            _ => Err(Error::invalid("a secret must be a reference, never a value")
                .help("write `env:NAME` or `file:/path`")),
        }
    }

    /// Fetches the secret.
    ///
    /// # Errors
    /// `Invalid` when the variable is not set or the file cannot be read.
    pub fn resolve(&self) -> Result<Secret> {
        match self {
            Self::Env(name) => std::env::var(name).map(|v| Secret::new(v.into_bytes())).map_err(|_| {
                Error::invalid(format!("environment variable {name} is not set"))
                    .help(format!("export {name}, or change the reference in the configuration"))
            }),
            Self::File(path) => {
                let mut bytes = std::fs::read(path).map_err(|e| {
                    Error::invalid(format!("cannot read the secret file {}: {}", path.display(), e.kind()))
                })?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                Ok(Secret::new(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn a_value_in_place_of_a_reference_is_refused_and_not_repeated() {
        let error = Reference::parse("hunter2", Path::new("/")).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_file_secret_loses_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "a\n\n").unwrap();
        let secret = Reference::parse("file:pw", folder.path()).unwrap().resolve().unwrap();
        assert_eq!(secret.expose(), b"a\n");
    }
}
