//! Pages and the chunk they make up.

use super::Fault;
use super::cipher::{Cipher, FileAad, Module, Place};
use super::codec::{Compressor, Worth};
use super::thrift::Thrift;

/// Encodings of values, as the specification numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    Plain = 0,
    /// Of levels, too.
    Hybrid = 3,
    Delta = 5,
    DeltaLength = 6,
    Dictionary = 8,
}

/// A row group ends before its pages cannot be counted in 16 bits.
const MANY_PAGES: i16 = 30_000;

const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;

/// The key of a column and the file it is in. No `Debug`.
pub(super) struct Seal {
    pub(super) cipher: Cipher,
    pub(super) aad: FileAad,
}

/// The pages of a column in a row group, as they are written.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) dictionary: Vec<u8>,
    pub(super) data: Vec<u8>,
    /// Bytes, were nothing compressed or encrypted.
    pub(super) plain_bytes: usize,
    pub(super) values: usize,
    pub(super) nulls: usize,
    /// Data pages of each encoding, in the order of their first.
    pub(super) pages: Vec<(Encoding, i32)>,
    ordinal: i16,
    worth: Worth,
}

impl Chunk {
    /// Appends a data page of that many rows.
    pub(super) fn data_page(
        &mut self,
        body: &[u8],
        rows: usize,
        encoding: Encoding,
        compressor: &mut Compressor,
        seal: Option<(&mut Seal, Place)>,
    ) -> Result<(), Fault> {
        let head = |thrift: &mut Thrift| {
            thrift.begin(5);
            thrift.int(1, i32::try_from(rows).unwrap_or(i32::MAX));
            thrift.int(2, encoding as i32);
            thrift.int(3, Encoding::Hybrid as i32);
            thrift.int(4, Encoding::Hybrid as i32);
            thrift.end();
        };
        let packed = compressor.compress(body, &mut self.worth)?;
        let modules = (Module::DataPageHeader, Module::DataPage, Some(self.ordinal));
        self.plain_bytes += page(body, packed, DATA_PAGE, head, modules, seal, &mut self.data)?;
        self.ordinal = self.ordinal.checked_add(1).ok_or(Fault("a column chunk has too many pages"))?;
        self.values += rows;
        match self.pages.iter_mut().find(|(of, _)| *of == encoding) {
            Some((_, count)) => *count += 1,
            None => self.pages.push((encoding, 1)),
        }
        Ok(())
    }

    /// Sets the dictionary page. It comes first in the file and is made last.
    pub(super) fn dictionary_page(
        &mut self,
        body: &[u8],
        entries: usize,
        compressor: &mut Compressor,
        seal: Option<(&mut Seal, Place)>,
    ) -> Result<(), Fault> {
        let head = |thrift: &mut Thrift| {
            thrift.begin(7);
            thrift.int(1, i32::try_from(entries).unwrap_or(i32::MAX));
            thrift.int(2, Encoding::Plain as i32);
            thrift.end();
        };
        let packed = compressor.compress(body, &mut Worth::default())?;
        let modules = (Module::DictionaryPageHeader, Module::DictionaryPage, None);
        self.plain_bytes += page(body, packed, DICTIONARY_PAGE, head, modules, seal, &mut self.dictionary)?;
        Ok(())
    }

    /// Whether there are about as many pages as an ordinal can count.
    pub(super) const fn has_many_pages(&self) -> bool {
        self.ordinal >= MANY_PAGES
    }

    /// Gives back the memory of pages that were cleared.
    pub(super) fn release(&mut self) {
        self.dictionary = Vec::new();
        self.data = Vec::new();
    }

    /// Forgets the pages; the memory and what was learnt are kept.
    pub(super) fn clear(&mut self) {
        self.dictionary.clear();
        self.data.clear();
        self.pages.clear();
        (self.plain_bytes, self.values, self.nulls, self.ordinal) = (0, 0, 0, 0);
    }
}

/// Appends a page, header first; answers its bytes, were nothing compressed or encrypted.
fn page(
    body: &[u8],
    packed: &[u8],
    kind: i32,
    head: impl FnOnce(&mut Thrift),
    (header_module, body_module, ordinal): (Module, Module, Option<i16>),
    seal: Option<(&mut Seal, Place)>,
    out: &mut Vec<u8>,
) -> Result<usize, Fault> {
    const LARGE: Fault = Fault("a value is too large for a page");
    let sealed_bytes = packed.len() + if seal.is_some() { super::cipher::ADDED_BYTES } else { 0 };
    let mut thrift = Thrift::default();
    thrift.int(1, kind);
    thrift.int(2, i32::try_from(body.len()).map_err(|_| LARGE)?);
    thrift.int(3, i32::try_from(sealed_bytes).map_err(|_| LARGE)?);
    head(&mut thrift);
    let header = thrift.finish();
    match seal {
        None => {
            out.extend_from_slice(&header);
            out.extend_from_slice(packed);
        }
        Some((Seal { cipher, aad }, place)) => {
            cipher.seal(&header, &aad.at(header_module, place, ordinal), out)?;
            cipher.seal(packed, &aad.at(body_module, place, ordinal), out)?;
        }
    }
    Ok(header.len() + body.len())
}
