//! Short notes of the program's own that may hold values, sealed with a key of their dataset.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Keyring, Purpose, aead};
use crate::error::{Error, Result};
use crate::spec::DatasetName;

impl Keyring {
    /// Seals a note with the footer key of its dataset: base64 of the key's version (4 bytes, big endian)
    /// and, as for wrapped keys, nonce, ciphertext and tag. `about` is bound to it.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn seal_note(&self, dataset: &DatasetName, about: &str, note: &[u8]) -> Result<String> {
        let key = self.current(&Purpose::Footer(dataset.clone())).await?;
        let mut sealed = key.version().to_be_bytes().to_vec();
        sealed.extend(aead::seal(key.secret(), bound(key.id(), about).as_bytes(), note)?);
        Ok(STANDARD.encode(sealed))
    }

    /// Opens what [`Keyring::seal_note`] made.
    ///
    /// # Errors
    /// `Failed` when the note was altered or is about something else; as [`Keyring::by_id`] when its key
    /// is gone.
    pub async fn open_note(&self, dataset: &DatasetName, about: &str, sealed: &str) -> Result<Vec<u8>> {
        let altered = || Error::failed(format!("a sealed note of {dataset} was altered"));
        let sealed = STANDARD.decode(sealed).map_err(|_| altered())?;
        let (version, sealed) = sealed.split_first_chunk::<4>().ok_or_else(altered)?;
        let base = Purpose::Footer(dataset.clone()).base_id();
        let key = self.by_id(&format!("{base}@{}", u32::from_be_bytes(*version))).await?;
        let note = aead::open(key.secret(), bound(key.id(), about).as_bytes(), sealed);
        note.map(|note| note.expose().to_vec()).map_err(|_| altered())
    }
}

fn bound(key_id: &str, about: &str) -> String {
    format!("{key_id} note {about}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::config;

    #[tokio::test]
    async fn a_note_opens_for_its_own_subject_only() {
        let folder = tempfile::tempdir().unwrap();
        let settings = config::Keys::File { path: folder.path().to_owned(), passphrase: None };
        let keyring = Keyring::open(&settings, &|_| {}).await.unwrap();
        let dataset = DatasetName::parse("crm.people").unwrap();
        let sealed = keyring.seal_note(&dataset, "cursor", b"17").await.unwrap();
        assert_eq!(keyring.open_note(&dataset, "cursor", &sealed).await.unwrap(), b"17");
        assert_ne!(keyring.seal_note(&dataset, "cursor", b"17").await.unwrap(), sealed);
        assert!(keyring.open_note(&dataset, "parts", &sealed).await.is_err());
        let other = DatasetName::parse("crm.other").unwrap();
        assert!(keyring.open_note(&other, "cursor", &sealed).await.is_err());
        assert!(keyring.open_note(&dataset, "cursor", "AAAA").await.is_err());
    }
}
