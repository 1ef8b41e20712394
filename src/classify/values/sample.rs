//! A bounded pick of the distinct values of one column.
//!
//! Each batch gives a few short runs of neighbouring rows, spread over it. When the sample is full every second value
//! is dropped and later batches give half as many, so that what is kept stays spread over all that was seen: a
//! table's chunks, however they come, count by their batches. A column that brings nothing new rests more and more.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array, make_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use zeroize::{Zeroize, Zeroizing};

/// Rows of one run: enough to see whether numbers count up.
const RUN: usize = 8;
/// After so many looks that brought nothing new a column is looked at half as often.
const IDLE_STEP: u32 = 8;
/// The most that count: then every 32nd batch is looked at.
const MOST_IDLE: u32 = 5 * IDLE_STEP;

/// What type the column's values have, as far as detectors care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Text, and booleans as text.
    #[default]
    Text,
    /// Whole numbers of any width, decimals of scale 0 among them.
    Integer,
    /// Decimals with a fraction.
    Decimal,
    /// Binary floating point.
    Float,
    /// Dates, times and timestamps.
    Temporal,
    /// Anything else: nothing is told about it.
    Other,
}

impl Kind {
    /// The kind of a type.
    #[must_use]
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => Self::Text,
            DataType::Decimal32(_, s)
            | DataType::Decimal64(_, s)
            | DataType::Decimal128(_, s)
            | DataType::Decimal256(_, s) => {
                if *s <= 0 {
                    Self::Integer
                } else {
                    Self::Decimal
                }
            }
            DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(..)
            | DataType::Time32(_)
            | DataType::Time64(_) => Self::Temporal,
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::RunEndEncoded(_, values) => Self::of(values.data_type()),
            other if other.is_integer() => Self::Integer,
            other if other.is_floating() => Self::Float,
            _ => Self::Other,
        }
    }
}

/// Bounds of a sample.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Values picked from one batch.
    pub per_batch: usize,
    /// Distinct values kept.
    pub per_column: usize,
    /// Bytes kept of one value.
    pub value_bytes: usize,
    /// Bytes kept in all.
    pub total_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_batch: 128, per_column: 2048, value_bytes: 4096, total_bytes: 1 << 20 }
    }
}

/// A bounded pick of the distinct values of one column. It has no `Debug`: it holds values.
#[derive(Default)]
pub struct Sample {
    limits: Limits,
    kind: Option<Kind>,
    /// Kept values, one after the other, and where each ends.
    bytes: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
    seen: HashSet<u64>,
    offered: u64,
    /// Neighbouring rows that were both integers, and how many of these differed by one upwards.
    steps: u64,
    unit_steps: u64,
    batches: u64,
    /// How often the sample was halved.
    halved: u32,
    /// Looks at batches that brought nothing new: one more for each, half as many after one that did.
    idle: u32,
}

impl Sample {
    /// An empty sample with these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Picks from one more batch of the column. Types that hold no text, number or time are passed over.
    pub fn observe(&mut self, values: &dyn Array) {
        let kind = Kind::of(values.data_type());
        if *values.data_type() == DataType::Null {
            return;
        }
        if *self.kind.get_or_insert(kind) != kind {
            self.kind = Some(Kind::Text);
        }
        self.batches += 1;
        if kind == Kind::Other || values.is_empty() {
            return;
        }
        if self.rests() {
            return;
        }
        let rows = self.rows(values.len());
        let Some(picked) = pick(values, &rows) else { return };
        let is_new = self.keep_all(&picked, &rows);
        self.idle = if is_new { self.idle / 2 } else { (self.idle + 1).min(MOST_IDLE) };
    }

    /// The kept values, as text, trimmed, distinct.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(start..*end))
    }

    /// The column's kind, text if nothing was seen.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or_default()
    }

    /// Distinct values kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Values picked so far that were neither NULL nor empty, repeats included.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// Whether neighbouring integers mostly count up by one.
    #[must_use]
    pub fn is_sequence(&self) -> bool {
        self.steps >= 4 && self.unit_steps * 10 >= self.steps * 9
    }

    /// Whether this batch is passed over: because a batch would give less than a run, or because the last ones
    /// that were looked at brought nothing new.
    fn rests(&self) -> bool {
        let thinned = self.halved.saturating_sub((self.limits.per_batch / RUN).max(1).ilog2());
        let halvings = thinned.max(self.idle / IDLE_STEP).min(20);
        // Golden-ratio steps: evenly spread, and in step with no turns in which chunks are read side by side.
        let place = self.batches.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.batches > 1 && place.leading_zeros() < halvings
    }

    /// Which rows of a batch to look at: runs at even distances, moved a little from batch to batch so that no period
    /// of the data hides anything.
    fn rows(&self, rows: usize) -> Vec<u64> {
        let quota = (self.limits.per_batch >> self.halved.min(16)).max(RUN);
        if rows <= quota {
            return (0..rows as u64).collect();
        }
        let runs = quota.div_ceil(RUN);
        let stride = rows / runs;
        let shift = (self.batches.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize
            % stride.saturating_sub(RUN).max(1);
        let starts = (0..runs).map(|run| run * stride + shift);
        starts.flat_map(|start| start..(start + RUN.min(quota)).min(rows)).map(|row| row as u64).collect()
    }

    /// Whether any of them is new.
    fn keep_all(&mut self, picked: &ArrayRef, rows: &[u64]) -> bool {
        let mut is_new = false;
        let mut before: Option<(u64, i128)> = None;
        let mut text = Zeroizing::new(String::new());
        let is_text = self.kind == Some(Kind::Text);
        for (at, row) in rows.iter().enumerate() {
            if picked.is_null(at) {
                before = None;
                continue;
            }
            let value = match picked.data_type() {
                DataType::Utf8 => picked.as_string::<i32>().value(at),
                DataType::LargeUtf8 => picked.as_string::<i64>().value(at),
                DataType::Utf8View => picked.as_string_view().value(at),
                _ => {
                    text.clear();
                    write_number(picked, at, &mut text);
                    &text
                }
            };
            let number = (!is_text || value.len() <= 19).then(|| value.parse::<i128>().ok()).flatten();
            if let (Some((last_row, last)), Some(now)) = (before, number)
                && last_row + 1 == *row
            {
                self.steps += 1;
                self.unit_steps += u64::from(now.checked_sub(last) == Some(1));
            }
            before = number.map(|n| (*row, n));
            is_new |= self.keep(value.as_bytes());
        }
        is_new
    }

    /// Whether the value is new.
    fn keep(&mut self, value: &[u8]) -> bool {
        let value = value.get(..cut(value, self.limits.value_bytes)).unwrap_or(value).trim_ascii();
        if value.is_empty() {
            return false;
        }
        self.offered += 1;
        if !self.seen.insert(hash(value)) {
            return false;
        }
        while self.ends.len() >= self.limits.per_column.max(2)
            || (self.bytes.len() + value.len() > self.limits.total_bytes && !self.ends.is_empty())
        {
            self.halve();
        }
        self.append(value);
        true
    }

    /// Adds a value's bytes; a buffer that grows is copied by us, so that what it leaves behind is wiped.
    fn append(&mut self, value: &[u8]) {
        let needed = self.bytes.len() + value.len();
        if needed > self.bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two().max(1024)));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    /// Drops every second value.
    fn halve(&mut self) {
        let kept: Vec<Zeroizing<Vec<u8>>> =
            self.values().step_by(2).map(|value| Zeroizing::new(value.to_vec())).collect();
        let kept = if kept.len() == self.ends.len() { Vec::new() } else { kept };
        self.bytes.zeroize();
        self.ends.clear();
        self.seen.clear();
        self.halved += 1;
        for value in kept {
            self.seen.insert(hash(&value));
            self.append(&value);
        }
    }
}

fn hash(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Where to cut a text so that at most `limit` bytes remain and no character is split.
fn cut(value: &[u8], limit: usize) -> usize {
    let mut end = limit.min(value.len());
    while end > 0 && value.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end -= 1;
    }
    end
}

/// The picked rows as text, whole numbers or floats; dictionaries are unpacked, times written out.
fn pick(values: &dyn Array, rows: &[u64]) -> Option<ArrayRef> {
    let picked = take(values, &UInt64Array::from(rows.to_vec()), None).ok()?;
    plain(picked)
}

fn plain(picked: ArrayRef) -> Option<ArrayRef> {
    let to = match picked.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => return Some(picked),
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::RunEndEncoded(_, values) => values.data_type().clone(),
        DataType::UInt64 | DataType::Int64 | DataType::Float64 => return Some(picked),
        DataType::Timestamp(unit, Some(_)) => {
            // The instant is enough, and a zone's name need not be known here.
            let zoneless =
                picked.to_data().into_builder().data_type(DataType::Timestamp(*unit, None)).build().ok()?;
            return cast(&make_array(zoneless), &DataType::Utf8).ok();
        }
        other if other.is_integer() => DataType::Int64,
        other if other.is_floating() => DataType::Float64,
        _ => DataType::Utf8,
    };
    let is_final = matches!(to, DataType::Utf8 | DataType::Int64 | DataType::Float64);
    let unpacked = cast(&picked, &to).ok()?;
    if is_final { Some(unpacked) } else { plain(unpacked) }
}

fn write_number(picked: &ArrayRef, at: usize, text: &mut String) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = match picked.data_type() {
        DataType::Int64 => write!(text, "{}", picked.as_primitive::<Int64Type>().value(at)),
        DataType::UInt64 => write!(text, "{}", picked.as_primitive::<UInt64Type>().value(at)),
        DataType::Float64 => write!(text, "{}", picked.as_primitive::<Float64Type>().value(at)),
        _ => Ok(()),
    };
}

#[cfg(test)]
mod tests;
