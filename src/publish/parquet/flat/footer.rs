//! The metadata at the end of a file.

use super::bounds::Bounds;
use super::cipher::{Cipher, FileAad, Module};
use super::column::Column;
use super::page::Encoding;
use super::thrift::{Element, Thrift};
use super::{Fault, Plan};

/// Row groups of a file, and what its end will say of them.
#[derive(Default)]
pub(super) struct Groups {
    written: Vec<Vec<u8>>,
    written_bytes: usize,
    rows: u64,
}

/// What the footer says of encryption. Holds a key: no `Debug`.
pub(super) struct Signing {
    pub(super) cipher: Cipher,
    pub(super) aad: FileAad,
    pub(super) key_metadata: Vec<u8>,
}

const fn long(number: u64) -> i64 {
    // Files are far smaller than 2^63 bytes.
    number.cast_signed()
}

impl Groups {
    pub(super) const fn len(&self) -> usize {
        self.written.len()
    }

    /// Bytes of memory.
    pub(super) const fn held_bytes(&self) -> usize {
        self.written_bytes
    }

    /// Notes a row group whose chunks lie from `offset` on, in the order of the columns.
    pub(super) fn note<'a>(
        &mut self,
        columns: impl ExactSizeIterator<Item = (&'a mut Column, Option<&'a [u8]>)>,
        offset: u64,
        rows: usize,
        codec: i32,
    ) -> Result<(), Fault> {
        let mut thrift = Thrift::default();
        thrift.list(1, Element::Struct, columns.len());
        let (mut at, mut plain) = (offset, 0);
        for (column, key_metadata) in columns {
            plain += column.chunk.plain_bytes as u64;
            thrift.raw(&chunk(column, key_metadata, &mut at, codec)?);
        }
        thrift.long(2, long(plain));
        thrift.long(3, long(rows as u64));
        thrift.long(5, long(offset));
        thrift.long(6, long(at - offset));
        thrift.short(
            7,
            i16::try_from(self.written.len()).map_err(|_| Fault("a file has too many row groups"))?,
        );
        let group = thrift.finish();
        self.written_bytes += group.len();
        self.written.push(group);
        self.rows += rows as u64;
        Ok(())
    }

    /// The metadata of the whole file, signed where there is a signature.
    pub(super) fn finish(self, plan: &Plan, signing: Option<Signing>) -> Result<Vec<u8>, Fault> {
        let mut thrift = Thrift::default();
        thrift.int(1, 1);
        thrift.list(2, Element::Struct, plan.shapes.len() + 1);
        let mut root = Thrift::default();
        root.binary(4, b"arrow_schema");
        root.int(5, i32::try_from(plan.shapes.len()).map_err(|_| Fault("a file has too many columns"))?);
        thrift.raw(&root.finish());
        plan.shapes.iter().for_each(|shape| thrift.raw(&shape.element));
        thrift.long(3, long(self.rows));
        thrift.list(4, Element::Struct, self.written.len());
        self.written.iter().for_each(|group| thrift.raw(group));
        thrift.binary(6, plan.created_by.as_bytes());
        // Every column is ordered as its type is.
        thrift.list(7, Element::Struct, plan.shapes.len());
        for _ in &plan.shapes {
            thrift.item_begin();
            thrift.unit(1);
            thrift.end();
        }
        let Some(Signing { mut cipher, aad, key_metadata }) = signing else {
            return Ok(thrift.finish());
        };
        thrift.begin(8);
        thrift.begin(1);
        thrift.binary(1, aad.prefix());
        thrift.binary(2, aad.unique());
        thrift.bool(3, false);
        thrift.end();
        thrift.end();
        thrift.binary(9, &key_metadata);
        let mut footer = thrift.finish();
        let signature = cipher.sign(&footer, &aad.of(Module::Footer))?;
        footer.extend_from_slice(&signature);
        Ok(footer)
    }
}

/// A column chunk at `at`, which moves to its end.
fn chunk(
    column: &mut Column,
    key_metadata: Option<&[u8]>,
    at: &mut u64,
    codec: i32,
) -> Result<Vec<u8>, Fault> {
    let metadata = metadata(column, *at, codec);
    *at += (column.chunk.dictionary.len() + column.chunk.data.len()) as u64;
    let mut thrift = Thrift::default();
    thrift.long(2, 0);
    thrift.nested(3, &metadata);
    let place = column.place();
    if let (Some(seal), Some(key_metadata)) = (&mut column.seal, key_metadata) {
        thrift.begin(8);
        thrift.begin(2);
        thrift.list(1, Element::Binary, 1);
        thrift.item_binary(column.shape.name.as_bytes());
        thrift.binary(2, key_metadata);
        thrift.end();
        thrift.end();
        // The metadata in the clear above is for readers without the key: it tells nothing of the
        // values. This one is bound to its place.
        let mut sealed = Vec::new();
        seal.cipher.seal(&metadata, &seal.aad.at(Module::ColumnMetadata, place, None), &mut sealed)?;
        thrift.binary(9, &sealed);
    }
    Ok(thrift.finish())
}

/// The metadata of a chunk: of an encrypted one, nothing about its values.
fn metadata(column: &Column, at: u64, codec: i32) -> Vec<u8> {
    let (chunk, shape) = (&column.chunk, &column.shape);
    let dictionary = chunk.dictionary.len();
    let mut encodings: Vec<_> = chunk.pages.iter().map(|(encoding, _)| *encoding).collect();
    encodings.push(Encoding::Hybrid);
    if dictionary > 0 {
        encodings.push(Encoding::Plain);
    }
    encodings.sort_unstable();
    encodings.dedup();
    let mut thrift = Thrift::default();
    thrift.int(1, shape.physical);
    thrift.list(2, Element::Int32, encodings.len());
    encodings.iter().for_each(|encoding| thrift.item_int(*encoding as i32));
    thrift.list(3, Element::Binary, 1);
    thrift.item_binary(shape.name.as_bytes());
    thrift.int(4, codec);
    thrift.long(5, long(chunk.values as u64));
    thrift.long(6, long(chunk.plain_bytes as u64));
    thrift.long(7, long((dictionary + chunk.data.len()) as u64));
    thrift.long(9, long(at + dictionary as u64));
    if dictionary > 0 {
        thrift.long(11, long(at));
    }
    if shape.open && column.seal.is_none() {
        thrift.begin(12);
        Bounds::write(column.bounds.as_ref(), chunk.nulls, &mut thrift);
        thrift.end();
        thrift.list(13, Element::Struct, chunk.pages.len() + usize::from(dictionary > 0));
        let mut pages = |kind, encoding: Encoding, count| {
            thrift.item_begin();
            thrift.int(1, kind);
            thrift.int(2, encoding as i32);
            thrift.int(3, count);
            thrift.end();
        };
        if dictionary > 0 {
            pages(2, Encoding::Plain, 1);
        }
        chunk.pages.iter().for_each(|(encoding, count)| pages(0, *encoding, *count));
    }
    thrift.finish()
}
