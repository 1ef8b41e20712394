//! One column of one file: its open page, and the chunk of the row group being written.

use std::sync::Arc;

use arrow::array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow::array::{Array, ArrowPrimitiveType, AsArray as _, OffsetSizeTrait, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;

use super::Fault;
use super::bounds::{self, Bounds};
use super::cipher::Place;
use super::codec::{Codec, Compressor};
use super::levels::{Bits, Levels};
use super::number::{self, gather, low_long, low_word};
use super::numbers::Numbers;
use super::page::{Chunk, Encoding, Seal};
use super::shape::{Kind, Shape};
use super::texts::{self, Texts};

/// Rows taken at a time: what they need fits the processor's caches.
const STEP_ROWS: usize = 4_096;
/// A page ends at this many rows, or bytes.
const PAGE_ROWS: usize = 1 << 16;
const PAGE_BYTES: usize = 1 << 20;

/// What one thread needs for the columns it works on.
pub(super) struct Tools {
    compressor: Compressor,
    body: Vec<u8>,
    words: Vec<i32>,
    longs: Vec<i64>,
    bytes: Vec<u8>,
    offsets: Vec<i64>,
}

impl Tools {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            compressor: Compressor::new(codec),
            body: Vec::new(),
            words: Vec::new(),
            longs: Vec::new(),
            bytes: Vec::new(),
            offsets: Vec::new(),
        }
    }
}

impl Tools {
    /// Gives back what a page with a huge value took.
    fn trim(&mut self) {
        const KEPT_BYTES: usize = 4 * PAGE_BYTES;
        if self.body.capacity() > KEPT_BYTES {
            self.body = Vec::new();
        }
        self.compressor.trim(KEPT_BYTES);
    }
}

enum Values {
    Booleans(Bits),
    Words(Numbers<i32>),
    Longs(Numbers<i64>),
    Texts(Texts),
}

impl Values {
    fn of(shape: &Shape) -> Self {
        let bounded = shape.open;
        match shape.kind {
            Kind::Boolean => Values::Booleans(Bits::default()),
            Kind::Word(order) => Values::Words(Numbers::new(order, bounded)),
            Kind::Long(order) => Values::Longs(Numbers::new(order, bounded)),
            Kind::Text => Values::Texts(Texts::new(false, texts::Order::Bytes, bounded)),
            Kind::Fixed(_, order) => Values::Texts(Texts::new(true, order, bounded)),
        }
    }
}

/// Holds a key where the column is encrypted: no `Debug`.
pub(super) struct Column {
    pub(super) shape: Arc<Shape>,
    place: Place,
    pub(super) seal: Option<Seal>,
    levels: Levels,
    values: Values,
    pub(super) chunk: Chunk,
    /// Bounds of the chunk, when it has ended.
    pub(super) bounds: Option<Bounds>,
}

impl Column {
    pub(super) fn new(shape: Arc<Shape>, column: i16, seal: Option<Seal>) -> Self {
        let values = Values::of(&shape);
        Self {
            shape,
            place: Place { row_group: 0, column },
            seal,
            levels: Levels::default(),
            values,
            chunk: Chunk::default(),
            bounds: None,
        }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Encodes the next rows.
    pub(super) fn append(&mut self, array: &dyn Array, tools: &mut Tools) -> Result<(), Fault> {
        const OTHER: Fault = Fault("a batch does not have the planned columns");
        if array.data_type() != &self.shape.data_type {
            // Dictionaries and views, which come seldom. A cast of anything else might lose a value.
            let same = matches!(
                array.data_type(),
                DataType::Dictionary(..) | DataType::Utf8View | DataType::BinaryView
            );
            if !same {
                return Err(OTHER);
            }
            let cast = arrow::compute::cast(array, &self.shape.data_type).map_err(|_| OTHER)?;
            return self.append_plain(&cast, tools);
        }
        self.append_plain(array, tools)
    }

    fn append_plain(&mut self, array: &dyn Array, tools: &mut Tools) -> Result<(), Fault> {
        if let DataType::Decimal128(precision, _) = array.data_type() {
            number::check_digits(array.as_primitive(), *precision)?;
        }
        match (array.data_type(), self.shape.kind) {
            (DataType::Boolean, _) => self.booleans(array, tools),
            (DataType::Int8, _) => self.words::<Int8Type>(array, Into::into, tools),
            (DataType::Int16, _) => self.words::<Int16Type>(array, Into::into, tools),
            (DataType::Int32, _) => self.words::<Int32Type>(array, |v| v, tools),
            (DataType::Date32, _) => self.words::<Date32Type>(array, |v| v, tools),
            (DataType::Float32, _) => self.words::<Float32Type>(array, |v| v.to_bits().cast_signed(), tools),
            (DataType::Int64, _) => self.longs::<Int64Type>(array, |v| v, tools),
            (DataType::Timestamp(..), _) => self.longs::<TimestampMicrosecondType>(array, |v| v, tools),
            (DataType::Float64, _) => self.longs::<Float64Type>(array, |v| v.to_bits().cast_signed(), tools),
            (DataType::Decimal32(..), Kind::Word(_)) => self.words::<Decimal32Type>(array, |v| v, tools),
            (DataType::Decimal64(..), Kind::Word(_)) => self.words::<Decimal64Type>(array, low_word, tools),
            (DataType::Decimal128(..), Kind::Word(_)) => {
                self.words::<Decimal128Type>(array, |v| low_word(low_long(v)), tools)
            }
            (DataType::Decimal32(..), _) => self.longs::<Decimal32Type>(array, Into::into, tools),
            (DataType::Decimal64(..), _) => self.longs::<Decimal64Type>(array, |v| v, tools),
            (DataType::Decimal128(..), Kind::Long(_)) => self.longs::<Decimal128Type>(array, low_long, tools),
            (DataType::Decimal128(..), Kind::Fixed(length, _)) => {
                let decimals = array.as_primitive::<Decimal128Type>().values();
                let value = |row: usize| decimals[row].to_be_bytes();
                self.fixed(array, length, tools, |row, out| out.extend_from_slice(&value(row)[16 - length..]))
            }
            (DataType::FixedSizeBinary(_), Kind::Fixed(length, _)) => {
                let array = array.as_fixed_size_binary();
                self.fixed(array, length, tools, |row, out| out.extend_from_slice(array.value(row)))
            }
            (DataType::Utf8, _) => {
                let texts = array.as_string::<i32>();
                self.texts(texts.offsets(), texts.value_data(), texts.nulls(), tools)
            }
            (DataType::LargeUtf8, _) => {
                let texts = array.as_string::<i64>();
                self.texts(texts.offsets(), texts.value_data(), texts.nulls(), tools)
            }
            (DataType::Binary, _) => {
                let texts = array.as_binary::<i32>();
                self.texts(texts.offsets(), texts.value_data(), texts.nulls(), tools)
            }
            (DataType::LargeBinary, _) => {
                let texts = array.as_binary::<i64>();
                self.texts(texts.offsets(), texts.value_data(), texts.nulls(), tools)
            }
            _ => Err(Fault("a batch does not have the planned columns")),
        }
    }

    fn booleans(&mut self, array: &dyn Array, tools: &mut Tools) -> Result<(), Fault> {
        let all = array.as_boolean().values();
        self.steps(
            array.len(),
            array.nulls(),
            tools,
            |_, most| most,
            |column, start, count, nulls, _| {
                let Values::Booleans(bits) = &mut column.values else { return };
                let step: BooleanBuffer = all.slice(start, count);
                match nulls {
                    None => bits.append(&step),
                    Some(nulls) => nulls.valid_indices().for_each(|row| bits.push(step.value(row))),
                }
            },
        )
    }

    fn words<P: ArrowPrimitiveType>(
        &mut self,
        array: &dyn Array,
        convert: impl Fn(P::Native) -> i32 + Copy,
        tools: &mut Tools,
    ) -> Result<(), Fault> {
        let values: &PrimitiveArray<P> = array.as_primitive();
        self.steps(
            array.len(),
            array.nulls(),
            tools,
            |_, most| most,
            |column, start, count, nulls, tools| {
                let Values::Words(words) = &mut column.values else { return };
                gather(&values.values()[start..start + count], nulls, convert, &mut tools.words);
                words.push(&tools.words, &column.shape.no_dictionary);
            },
        )
    }

    fn longs<P: ArrowPrimitiveType>(
        &mut self,
        array: &dyn Array,
        convert: impl Fn(P::Native) -> i64 + Copy,
        tools: &mut Tools,
    ) -> Result<(), Fault> {
        let values: &PrimitiveArray<P> = array.as_primitive();
        self.steps(
            array.len(),
            array.nulls(),
            tools,
            |_, most| most,
            |column, start, count, nulls, tools| {
                let Values::Longs(longs) = &mut column.values else { return };
                gather(&values.values()[start..start + count], nulls, convert, &mut tools.longs);
                longs.push(&tools.longs, &column.shape.no_dictionary);
            },
        )
    }

    fn texts<O: OffsetSizeTrait>(
        &mut self,
        offsets: &[O],
        data: &[u8],
        nulls: Option<&NullBuffer>,
        tools: &mut Tools,
    ) -> Result<(), Fault> {
        // As many rows as fit a page, and always one.
        let limit = |start: usize, most: usize| {
            let bytes = |row: &O| row.as_usize() - offsets[start].as_usize();
            offsets[start + 1..=start + most].partition_point(|end| bytes(end) <= PAGE_BYTES).max(1)
        };
        self.steps(offsets.len() - 1, nulls, tools, limit, |column, start, count, nulls, _| {
            let Values::Texts(texts) = &mut column.values else { return };
            let hint = &column.shape.no_dictionary;
            let offsets = &offsets[start..=start + count];
            match nulls {
                None => texts.push(offsets, data, hint),
                Some(nulls) => {
                    nulls.valid_slices().for_each(|(from, to)| texts.push(&offsets[from..=to], data, hint));
                }
            }
        })
    }

    fn fixed(
        &mut self,
        array: &dyn Array,
        length: usize,
        tools: &mut Tools,
        append: impl Fn(usize, &mut Vec<u8>),
    ) -> Result<(), Fault> {
        let limit = |_, most: usize| most.min(PAGE_BYTES / length).max(1);
        self.steps(array.len(), array.nulls(), tools, limit, |column, start, count, nulls, tools| {
            let Values::Texts(texts) = &mut column.values else { return };
            tools.bytes.clear();
            tools.offsets.clear();
            tools.offsets.push(0);
            for row in (0..count).filter(|&row| nulls.is_none_or(|nulls| nulls.is_valid(row))) {
                append(start + row, &mut tools.bytes);
                tools.offsets.push(i64::try_from(tools.bytes.len()).unwrap_or(i64::MAX));
            }
            texts.push(&tools.offsets, &tools.bytes, &column.shape.no_dictionary);
        })
    }

    /// Walks over rows in steps that fit a page, and ends the pages.
    fn steps(
        &mut self,
        rows: usize,
        nulls: Option<&NullBuffer>,
        tools: &mut Tools,
        limit: impl Fn(usize, usize) -> usize,
        push: impl Fn(&mut Self, usize, usize, Option<&NullBuffer>, &mut Tools),
    ) -> Result<(), Fault> {
        let mut start = 0;
        while start < rows {
            let most = STEP_ROWS.min(rows - start).min(PAGE_ROWS - self.levels.rows());
            let count = limit(start, most);
            let nulls = nulls.map(|nulls| nulls.slice(start, count)).filter(|nulls| nulls.null_count() > 0);
            if nulls.is_some() && !self.shape.nullable {
                return Err(Fault("a column that cannot be NULL holds NULL"));
            }
            self.levels.append(count, nulls.as_ref());
            push(self, start, count, nulls.as_ref(), tools);
            start += count;
            let (ends, bytes) = match &self.values {
                Values::Booleans(bits) => (false, bits.bytes()),
                Values::Words(words) => (words.page_ends(), words.page_bytes()),
                Values::Longs(longs) => (longs.page_ends(), longs.page_bytes()),
                Values::Texts(texts) => (texts.page_ends(), texts.page_bytes()),
            };
            if ends || bytes >= PAGE_BYTES || self.levels.rows() >= PAGE_ROWS {
                self.end_page(tools)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, tools: &mut Tools) -> Result<(), Fault> {
        let rows = self.levels.rows();
        tools.body.clear();
        self.chunk.nulls += self.levels.end_page(self.shape.nullable, &mut tools.body);
        let hint = &self.shape.no_dictionary;
        let encoding = match &mut self.values {
            Values::Booleans(bits) => {
                bits.end_page(&mut tools.body);
                Encoding::Plain
            }
            Values::Words(words) => words.end_page(&mut tools.body, hint),
            Values::Longs(longs) => longs.end_page(&mut tools.body, hint),
            Values::Texts(texts) => texts.end_page(&mut tools.body, hint),
        };
        let seal = self.seal.as_mut().map(|seal| (seal, self.place));
        self.chunk.data_page(&tools.body, rows, encoding, &mut tools.compressor, seal)?;
        tools.trim();
        Ok(())
    }

    /// Ends the chunk: afterwards it is whole, with its bounds.
    pub(super) fn end_chunk(&mut self, tools: &mut Tools) -> Result<(), Fault> {
        if self.levels.rows() > 0 {
            self.end_page(tools)?;
        }
        tools.body.clear();
        let entries = match &self.values {
            Values::Booleans(_) => 0,
            Values::Words(words) => words.dictionary(&mut tools.body),
            Values::Longs(longs) => longs.dictionary(&mut tools.body),
            Values::Texts(texts) => texts.dictionary(&mut tools.body),
        };
        if self.chunk.pages.iter().any(|(encoding, _)| *encoding == Encoding::Dictionary) {
            let seal = self.seal.as_mut().map(|seal| (seal, self.place));
            self.chunk.dictionary_page(&tools.body, entries, &mut tools.compressor, seal)?;
        }
        let found = match &mut self.values {
            Values::Booleans(bits) => bits.end_chunk().map(|(min, max)| (vec![min.into()], vec![max.into()])),
            Values::Words(words) => {
                words.end_chunk().map(|(min, max)| bounds::numbers(min, max, self.shape.kind))
            }
            Values::Longs(longs) => {
                longs.end_chunk().map(|(min, max)| bounds::numbers(min, max, self.shape.kind))
            }
            Values::Texts(texts) => texts.end_chunk(),
        };
        let found = found.filter(|_| self.shape.open);
        self.bounds = found.and_then(|(min, max)| Bounds::of(min, max, &self.shape));
        Ok(())
    }

    /// Begins the chunk of the next row group.
    pub(super) fn next_chunk(&mut self) -> Result<(), Fault> {
        self.chunk.clear();
        self.bounds = None;
        let next = self.place.row_group.checked_add(1);
        self.place.row_group = next.ok_or(Fault("a file has too many row groups"))?;
        Ok(())
    }

    /// Gives back the memory of the chunk that was ended.
    pub(super) fn release(&mut self) {
        self.values = Values::of(&self.shape);
        self.chunk.release();
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Booleans(bits) => bits.bytes(),
            Values::Words(words) => words.held_bytes(),
            Values::Longs(longs) => longs.held_bytes(),
            Values::Texts(texts) => texts.held_bytes(),
        };
        self.chunk.data.capacity() + self.chunk.dictionary.capacity() + values
    }

    /// About the bytes of the chunk, were it ended now.
    pub(super) fn chunk_bytes(&self) -> usize {
        let open = match &self.values {
            Values::Booleans(bits) => bits.bytes(),
            Values::Words(words) => words.open_bytes(),
            Values::Longs(longs) => longs.open_bytes(),
            Values::Texts(texts) => texts.open_bytes(),
        };
        self.chunk.data.len() + open
    }
}
