//! Thrift's compact protocol, as far as Parquet's metadata needs it written.

/// Types as the compact protocol numbers them.
#[derive(Clone, Copy)]
pub(super) enum Element {
    Int32 = 5,
    Int64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// A structure being written; fields come in the order of their ids.
#[derive(Default)]
pub(super) struct Thrift {
    out: Vec<u8>,
    last: i16,
    outer: Vec<i16>,
}

impl Thrift {
    /// The bytes, with the structure ended.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }

    fn field(&mut self, id: i16, kind: u8) {
        match u8::try_from(id - self.last) {
            Ok(step @ 1..=15) => self.out.push(step << 4 | kind),
            _ => {
                self.out.push(kind);
                varint(zigzag(id.into()), &mut self.out);
            }
        }
        self.last = id;
    }

    pub(super) fn bool(&mut self, id: i16, value: bool) {
        self.field(id, if value { 1 } else { 2 });
    }

    /// An `i8`.
    pub(super) fn byte(&mut self, id: i16, value: u8) {
        self.field(id, 3);
        self.out.push(value);
    }

    /// An `i16`.
    pub(super) fn short(&mut self, id: i16, value: i16) {
        self.field(id, 4);
        varint(zigzag(value.into()), &mut self.out);
    }

    /// An `i32`.
    pub(super) fn int(&mut self, id: i16, value: i32) {
        self.field(id, Element::Int32 as u8);
        varint(zigzag(value.into()), &mut self.out);
    }

    /// An `i64`.
    pub(super) fn long(&mut self, id: i16, value: i64) {
        self.field(id, Element::Int64 as u8);
        varint(zigzag(value), &mut self.out);
    }

    pub(super) fn binary(&mut self, id: i16, value: &[u8]) {
        self.field(id, Element::Binary as u8);
        self.item_binary(value);
    }

    /// Begins a structure as a field; [`Self::end`] ends it.
    pub(super) fn begin(&mut self, id: i16) {
        self.field(id, Element::Struct as u8);
        self.item_begin();
    }

    /// Begins a structure as an item of a list.
    pub(super) fn item_begin(&mut self) {
        self.outer.push(self.last);
        self.last = 0;
    }

    pub(super) fn end(&mut self) {
        self.out.push(0);
        self.last = self.outer.pop().unwrap_or_default();
    }

    /// An empty structure: a choice without content in Parquet's unions.
    pub(super) fn unit(&mut self, id: i16) {
        self.begin(id);
        self.end();
    }

    /// The head of a list; the items follow.
    pub(super) fn list(&mut self, id: i16, element: Element, items: usize) {
        self.field(id, Element::List as u8);
        match u8::try_from(items) {
            Ok(few @ 0..=14) => self.out.push(few << 4 | element as u8),
            _ => {
                self.out.push(0xf0 | element as u8);
                varint(items as u64, &mut self.out);
            }
        }
    }

    pub(super) fn item_int(&mut self, value: i32) {
        varint(zigzag(value.into()), &mut self.out);
    }

    pub(super) fn item_binary(&mut self, value: &[u8]) {
        varint(value.len() as u64, &mut self.out);
        self.out.extend_from_slice(value);
    }

    /// Items that are written already.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A structure that is written already, its end included, as a field.
    pub(super) fn nested(&mut self, id: i16, bytes: &[u8]) {
        self.field(id, Element::Struct as u8);
        self.out.extend_from_slice(bytes);
    }
}

/// Small numbers of either sign as small unsigned ones.
#[expect(clippy::cast_sign_loss, reason = "the bits are what is meant")]
pub(super) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Seven bits a byte, the lowest first.
#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are what is meant")]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
