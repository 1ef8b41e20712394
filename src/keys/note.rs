//! Small texts that travel in the open beside sealed rows and may hold values of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use serde::{Deserialize, Serialize};

use super::{Keyring, Purpose, aead};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::spec::DatasetName;

/// A sealed text: AES-256-GCM under the dataset's key of notes, which no reader is given, bound
/// to its dataset and subject.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Note {
    /// Id of the key.
    pub key: String,
    /// Base64 of nonce, ciphertext and tag.
    pub sealed: String,
}

impl Note {
    /// Seals a text about `subject`, with the newest key.
    ///
    /// # Errors
    /// Those of the keyring.
    pub async fn seal(keyring: &Keyring, dataset: &DatasetName, subject: &str, text: &[u8]) -> Result<Self> {
        let key = keyring.current(&Purpose::Notes(dataset.clone())).await?;
        let sealed = aead::seal(key.secret(), &bound_to(dataset, subject), text)?;
        Ok(Self { key: key.id().to_owned(), sealed: STANDARD.encode(sealed) })
    }

    /// Opens what was sealed about `subject`.
    ///
    /// # Errors
    /// Those of the keyring; `Failed` when the note was altered, or is another dataset's or subject's.
    pub async fn open(&self, keyring: &Keyring, dataset: &DatasetName, subject: &str) -> Result<Secret> {
        let altered = || Error::failed(format!("a sealed note of {dataset} was altered, or is not its own"));
        let is_own = self.key.starts_with(&format!("{}@", Purpose::Notes(dataset.clone()).base_id()));
        let sealed = STANDARD.decode(&self.sealed).ok().filter(|_| is_own).ok_or_else(altered)?;
        let key = keyring.by_id(&self.key).await?;
        aead::open(key.secret(), &bound_to(dataset, subject), &sealed).map_err(|_| altered())
    }
}

/// No id of a key begins like this, so a note cannot stand for a wrapped key.
fn bound_to(dataset: &DatasetName, subject: &str) -> Vec<u8> {
    format!("sealift-note:{dataset}\n{subject}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::config;

    #[tokio::test]
    async fn a_note_is_read_by_its_own_dataset_and_subject_only() {
        let folder = tempfile::tempdir().unwrap();
        let settings = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
        let keyring = Keyring::open(&settings, &|_| {}).await.unwrap();
        let (crm, other) = (DatasetName::parse("crm.a").unwrap(), DatasetName::parse("crm.b").unwrap());
        let note = Note::seal(&keyring, &crm, "cursor", b"2024").await.unwrap();
        assert_eq!(note.open(&keyring, &crm, "cursor").await.unwrap().expose(), b"2024");
        assert!(!note.sealed.contains("2024") && !STANDARD.decode(&note.sealed).unwrap().ends_with(b"2024"));
        Note::seal(&keyring, &other, "cursor", b"").await.unwrap();
        assert!(note.open(&keyring, &crm, "window").await.is_err());
        assert!(note.open(&keyring, &other, "cursor").await.is_err());
        let elsewhere = Note { key: "sealift:crm.b#note@1".to_owned(), ..note.clone() };
        assert!(elsewhere.open(&keyring, &crm, "cursor").await.is_err());
        let of_readers = Note { key: "sealift:crm.a/_footer@1".to_owned(), ..note.clone() };
        assert!(of_readers.open(&keyring, &crm, "cursor").await.is_err());
        let cut = Note { sealed: note.sealed[4..].to_owned(), ..note };
        assert!(cut.open(&keyring, &crm, "cursor").await.is_err());
    }

    #[tokio::test]
    async fn what_a_reader_is_given_opens_no_note() {
        let folder = tempfile::tempdir().unwrap();
        let settings = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
        let keyring = Keyring::open(&settings, &|_| {}).await.unwrap();
        let dataset = DatasetName::parse("crm.a").unwrap();
        keyring.current(&Purpose::Footer(dataset.clone())).await.unwrap();
        let note = Note::seal(&keyring, &dataset, "cursor", b"2024").await.unwrap();
        let released = keyring.list(Some(&dataset)).await.unwrap();
        assert_eq!(released, ["sealift:crm.a/_footer@1"]);
        assert!(!released.contains(&note.key));
    }
}
