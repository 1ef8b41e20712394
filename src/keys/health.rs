//! What keys there are, and whether they can all be used.

use super::dataset::blocking;
use super::purpose::split_id;
use super::records::{Record, Wrapped};
use super::{Keyring, aead};
use crate::error::{Error, Result};

/// What can be done with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// What is written from now on is sealed with it.
    Current,
    /// It reads what was sealed with it.
    Older,
    /// It is refused, and destroyed after this instant (RFC 3339).
    Pending(String),
    /// It was destroyed at this instant (RFC 3339).
    Destroyed(String),
}

/// A key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// What can be done with it.
    pub state: State,
    /// The id of the root key that wraps it; `None` once it is destroyed.
    pub root: Option<String>,
    /// When it was made (RFC 3339); `None` once it is destroyed.
    pub created: Option<String>,
}

impl Keyring {
    /// Every key that there is or was, sorted by name and version.
    ///
    /// # Errors
    /// `Failed` when a record cannot be read.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let pending = self.pending().await?;
        let records = self.records.clone();
        let records = blocking(move || records.all()).await?;
        let mut entries: Vec<Entry> = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let follower = records.get(index + 1).map(Record::id);
            entries.push(match record {
                Record::Destroyed(gone) => Entry {
                    id: gone.id.clone(),
                    state: State::Destroyed(gone.destroyed.clone()),
                    root: None,
                    created: None,
                },
                Record::Wrapped(key) => Entry {
                    id: key.id.clone(),
                    state: match pending.iter().find(|pending| pending.id == key.id) {
                        Some(pending) => State::Pending(super::records::written(pending.after)),
                        None if follower.is_some_and(|next| base(next) == base(&key.id)) => State::Older,
                        None => State::Current,
                    },
                    root: Some(key.root.clone()),
                    created: Some(key.created.clone()),
                },
            });
        }
        Ok(entries)
    }

    /// Asks the provider to wrap and unwrap a secret, and unwraps every key that is not destroyed. Gives how many
    /// these are, and what is wrong with which, one line each.
    ///
    /// # Errors
    /// Those of the root provider; `Failed` when the records cannot be read.
    pub async fn check(&self) -> Result<(usize, Vec<String>)> {
        let root = self.root();
        let secret = aead::random_secret(aead::KEY_BYTES)?;
        let about = b"sealift: a check of the root key";
        let wrapped = root.wrap(&secret, about).await?;
        if root.unwrap(&wrapped, about).await?.expose() != secret.expose() {
            return Err(Error::failed(format!(
                "the root key {} does not give back what it wrapped",
                root.id()
            )));
        }
        let records = self.records.clone();
        let records = blocking(move || records.all()).await?;
        let keys: Vec<&Wrapped> = records
            .iter()
            .filter_map(|record| match record {
                Record::Wrapped(key) => Some(key),
                Record::Destroyed(_) => None,
            })
            .collect();
        let mut problems = Vec::new();
        for key in &keys {
            match self.unwrap(key).await {
                Ok(secret) if is_of_its_length(&key.id, secret.expose().len()) => {}
                Ok(_) => problems.push(format!("{}: the key has not the length of its kind", key.id)),
                Err(error) if error.kind().meaning().retry => return Err(error),
                Err(error) => problems.push(format!("{}: {}", key.id, error.message())),
            }
        }
        Ok((keys.len(), problems))
    }
}

fn base(id: &str) -> &str {
    split_id(id).map_or(id, |(base, _)| base)
}

/// AES-SIV takes two keys in one (RFC 5297), everything else 32 bytes.
fn is_of_its_length(id: &str, bytes: usize) -> bool {
    bytes == if base(id).ends_with("#tokenize") { 64 } else { 32 }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
