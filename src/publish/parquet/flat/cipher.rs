//! Parquet's encrypted modules: AES-GCM, each bound to its place in the file.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::Fault;

const NONCE_BYTES: usize = 12;
const LENGTH_BYTES: usize = 4;
/// What encryption adds to a module.
pub(super) const ADDED_BYTES: usize = LENGTH_BYTES + NONCE_BYTES + 16;

/// Modules, as the specification numbers them.
#[derive(Clone, Copy)]
pub(super) enum Module {
    Footer = 0,
    ColumnMetadata = 1,
    DataPage = 2,
    DictionaryPage = 3,
    DataPageHeader = 4,
    DictionaryPageHeader = 5,
}

/// What tells one file from another: the prefix that readers expect, and random bytes.
#[derive(Clone)]
pub(super) struct FileAad {
    all: Vec<u8>,
    prefix_bytes: usize,
}

impl FileAad {
    pub(super) fn new(prefix: &[u8]) -> Result<Self, Fault> {
        let mut unique = [0; 8];
        SystemRandom::new().fill(&mut unique).map_err(|_| Fault("the system gives no randomness"))?;
        Ok(Self { all: [prefix, &unique].concat(), prefix_bytes: prefix.len() })
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.all[..self.prefix_bytes]
    }

    pub(super) fn unique(&self) -> &[u8] {
        &self.all[self.prefix_bytes..]
    }

    /// Additional data of a module outside of columns.
    pub(super) fn of(&self, module: Module) -> Vec<u8> {
        let mut aad = Vec::with_capacity(self.all.len() + 7);
        aad.extend_from_slice(&self.all);
        aad.push(module as u8);
        aad
    }

    /// Additional data of a module of a column; pages are counted in data pages.
    pub(super) fn at(&self, module: Module, place: Place, page: Option<i16>) -> Vec<u8> {
        let mut aad = self.of(module);
        aad.extend_from_slice(&place.row_group.to_le_bytes());
        aad.extend_from_slice(&place.column.to_le_bytes());
        aad.extend(page.into_iter().flat_map(i16::to_le_bytes));
        aad
    }
}

/// A column chunk's place in its file.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row_group: i16,
    pub(super) column: i16,
}

/// One key of one file. Its nonces count from a random start, so none is used twice. No `Debug`.
pub(super) struct Cipher {
    key: LessSafeKey,
    nonce: u128,
}

impl Cipher {
    /// # Errors
    /// For a key that is not of 32 bytes, or a system without randomness.
    pub(super) fn new(key: &[u8]) -> Result<Self, Fault> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Fault("a data key is not of 32 bytes"))?;
        let mut start = [0; 16];
        SystemRandom::new()
            .fill(&mut start[..NONCE_BYTES])
            .map_err(|_| Fault("the system gives no randomness"))?;
        Ok(Self { key: LessSafeKey::new(key), nonce: u128::from_le_bytes(start) })
    }

    fn nonce(&mut self) -> [u8; NONCE_BYTES] {
        // A file has far fewer modules than there are nonces.
        self.nonce = self.nonce.wrapping_add(1);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&self.nonce.to_le_bytes()[..NONCE_BYTES]);
        nonce
    }

    /// Appends a module: length, nonce, ciphertext, tag.
    pub(super) fn seal(&mut self, plain: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let length = u32::try_from(plain.len() + ADDED_BYTES - LENGTH_BYTES)
            .map_err(|_| Fault("a value is too large for a page"))?;
        let nonce = self.nonce();
        out.reserve(plain.len() + ADDED_BYTES);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = self.encrypt(nonce, aad, &mut out[start..])?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// The signature of bytes that stay in the clear: nonce and tag.
    pub(super) fn sign(&mut self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        let nonce = self.nonce();
        let tag = self.encrypt(nonce, aad, &mut plain.to_vec())?;
        Ok([&nonce[..], &tag].concat())
    }

    fn encrypt(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], text: &mut [u8]) -> Result<[u8; 16], Fault> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
        let tag = tag.map_err(|_| Fault("a page cannot be encrypted"))?;
        tag.as_ref().try_into().map_err(|_| Fault("a page cannot be encrypted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a module opens to with other additional data.
    fn opened(key: &[u8], module: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
        let (nonce, sealed) = module[LENGTH_BYTES..].split_first_chunk::<NONCE_BYTES>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        key.open_in_place(nonce, Aad::from(aad), &mut sealed).ok().map(|plain| plain.to_vec())
    }

    #[test]
    fn trap_a_module_under_the_same_key_opens_in_its_own_place_alone() {
        let (key, file) = ([7; 32], FileAad::new(b"crm.people/part-1").unwrap());
        let place = |row_group, column| Place { row_group, column };
        let own = file.at(Module::DataPage, place(0, 1), Some(2));
        let mut module = Vec::new();
        Cipher::new(&key).unwrap().seal(b"123-45-6789", &own, &mut module).unwrap();
        assert_eq!(opened(&key, &module, &own).unwrap(), b"123-45-6789");
        let twin = FileAad::new(b"crm.people/part-1").unwrap();
        for (elsewhere, aad) in [
            ("another column", file.at(Module::DataPage, place(0, 2), Some(2))),
            ("another row group", file.at(Module::DataPage, place(1, 1), Some(2))),
            ("another page", file.at(Module::DataPage, place(0, 1), Some(3))),
            ("another module", file.at(Module::DictionaryPage, place(0, 1), Some(2))),
            ("another file of the same name", twin.at(Module::DataPage, place(0, 1), Some(2))),
            ("no column", file.of(Module::DataPage)),
        ] {
            assert_eq!(opened(&key, &module, &aad), None, "{elsewhere}");
        }
    }
}
