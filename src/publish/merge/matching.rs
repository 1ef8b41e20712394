//! Which published rows an increment concerns, and which of its own rows it can do without.
//!
//! Keys are held as digests, a bounded part of them at a time; what is found is one bit per row of the files
//! concerned.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{DataType, FieldRef};

use super::digest::{Digests, Seed};
use super::index::{Entry, Index, Part};
use super::ranges::Ranges;
use super::rows::Rows;
use super::side::Side;
use super::{Merge, Present, pruning};
use crate::error::{Error, Result};
use crate::protect::lifetime::{DELETED_AT, Lifetime};
use crate::publish::Table;

/// What becomes of rows.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Incoming rows that are not added, by file: they are deleted, or there already.
    pub(super) spare: BTreeMap<usize, Rows>,
    /// Published rows that change, by file.
    pub(super) touched: BTreeMap<usize, Touched>,
}

/// Published rows of one file.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// They go; where history is kept, they are no longer current.
    pub(super) over: Rows,
    /// They are missing from the source.
    pub(super) missing: Rows,
    /// They were missing, and are no longer.
    pub(super) back: Rows,
}

impl Found {
    fn is_spare(&self, entry: &Entry) -> bool {
        self.spare.get(&(entry.file as usize)).is_some_and(|rows| rows.contains(entry.row))
    }

    fn spare(&mut self, file: u32, row: u32) {
        self.spare.entry(file as usize).or_default().insert(row);
    }
}

/// Files in which a part of the keys was found on both sides.
#[derive(Debug, Default)]
struct Concerned {
    incoming: BTreeSet<usize>,
    live: BTreeSet<usize>,
}

impl Touched {
    fn is_empty(&self) -> bool {
        self.over.is_empty() && self.missing.is_empty() && self.back.is_empty()
    }
}

/// One comparison of incoming rows with a version.
pub(super) struct Matching<'a> {
    merge: &'a Merge<'a>,
    incoming: &'a Table,
    /// Nothing where no row can be concerned.
    live: Option<&'a Table>,
    present: Present<'a>,
    keys: Digests,
    /// `None` where content cannot be compared: then every incoming row counts as changed.
    content: Option<Digests>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(
        merge: &'a Merge<'a>,
        incoming: &'a Table,
        live: Option<&'a Table>,
        present: Present<'a>,
    ) -> Result<Self> {
        let seed = Seed::draw()?;
        let field = |name: &String| -> Result<FieldRef> {
            let (_, field) = incoming.schema.fields().find(name).ok_or_else(no_key)?;
            Ok(field.clone())
        };
        let key = &merge.rules.key;
        let keys = key.iter().map(field).collect::<Result<Vec<_>>>()?;
        let own = merge.rules.lifetime().map(Lifetime::fields).unwrap_or_default();
        let is_own = |field: &FieldRef| own.iter().any(|own| own.name() == field.name());
        let content = incoming.schema.fields().iter().filter(|field| !is_own(field)).cloned().collect();
        let live = live.filter(|live| key.iter().all(|name| live.schema.index_of(name).is_ok()));
        Ok(Self {
            merge,
            incoming,
            live,
            present,
            keys: Digests::new(keys, &seed)?.ok_or_else(no_key)?,
            content: Digests::new(content, &seed)?,
        })
    }

    /// Compares.
    ///
    /// # Errors
    /// `Data` for incoming rows with the same key, or with none; those of reading files back.
    pub(super) async fn run(self) -> Result<Found> {
        let incoming = rows(self.incoming);
        let others = match self.present {
            Present::Keys(keys) => rows(keys),
            _ => 0,
        };
        let (mut found, mut doubled) = (Found::default(), 0);
        let (mut ranges, mut candidates) = (Ranges::default(), Vec::new());
        for part in Part::all(incoming + others, self.merge.keys_bytes / Index::KEY_BYTES) {
            let is_first = part.number == 0;
            let seen = is_first.then_some(&mut ranges);
            let mut index = self.index(part, part.expected(incoming), &mut found, seen).await?;
            if is_first {
                candidates = self.candidates(&mut ranges);
            }
            doubled += index.doubled;
            if doubled == 0 && !candidates.is_empty() {
                let present = self.present(part, part.expected(others)).await?;
                let concerned = self.scan(part, &candidates, &index, present.as_deref(), &mut found).await?;
                self.compare(part, &mut index, concerned, &mut found).await?;
            }
        }
        if doubled > 0 {
            return Err(self.doubled(doubled));
        }
        found.touched.retain(|_, touched| !touched.is_empty());
        Ok(found)
    }

    /// Looks at the keys of the incoming rows only.
    ///
    /// # Errors
    /// As [`Matching::run`].
    pub(super) async fn check(self) -> Result<()> {
        let (incoming, mut found, mut doubled) = (rows(self.incoming), Found::default(), 0);
        for part in Part::all(incoming, self.merge.keys_bytes / Index::KEY_BYTES) {
            doubled += self.index(part, part.expected(incoming), &mut found, None).await?.doubled;
        }
        if doubled > 0 { Err(self.doubled(doubled)) } else { Ok(()) }
    }

    /// Files of the table that may hold rows concerned.
    fn candidates(&self, ranges: &mut Ranges) -> Vec<usize> {
        ranges.settle();
        match (self.live, self.present) {
            (None, _) => Vec::new(),
            (Some(live), Present::Unknown) => {
                pruning::candidates(live, self.incoming, &self.merge.rules.key, ranges)
            }
            (Some(live), _) => (0..live.files.len()).collect(),
        }
    }

    /// The incoming rows of a part. Those that are deleted take out the row of their key and are not added. The
    /// integers of all parts are added to `ranges`.
    async fn index(
        &self,
        part: Part,
        expected: usize,
        found: &mut Found,
        mut ranges: Option<&mut Ranges>,
    ) -> Result<Index> {
        let integers = pruning::integers(self.incoming, &self.merge.rules.key);
        let soft_delete = self.merge.rules.soft_delete.as_deref();
        let side = Side::open(self.merge, self.incoming, &self.keys, &Vec::from_iter(soft_delete)).await?;
        let mut entries = Vec::with_capacity(expected);
        let mut without_key = 0_u64;
        for file in 0..self.incoming.files.len() {
            let number = u32::try_from(file).map_err(|_| Error::failed("too many files to merge"))?;
            side.each(file, |chunk| {
                let integers = integers.and_then(|name| chunk.batch.column_by_name(name));
                if let (Some(ranges), Some(integers)) = (ranges.as_deref_mut(), integers) {
                    ranges.extend(integers);
                }
                let flag = soft_delete.and_then(|name| chunk.batch.column_by_name(name));
                for (at, row) in chunk.rows()? {
                    let Some(key) = chunk.digested.key(at) else {
                        without_key += 1;
                        continue;
                    };
                    if part.holds(key) {
                        entries.push(Entry { key, content: 0, file: number, row });
                        if flag.is_some_and(|flag| is_set(flag, at)) {
                            found.spare(number, row);
                        }
                    }
                }
                Ok(())
            })
            .await?;
        }
        if without_key > 0 {
            return Err(self.without_key(without_key));
        }
        Ok(Index::of(entries))
    }

    /// The keys of the source in a part, sorted, where they were read by themselves.
    async fn present(&self, part: Part, expected: usize) -> Result<Option<Vec<u128>>> {
        let Present::Keys(table) = self.present else { return Ok(None) };
        let soft_delete = self.merge.rules.soft_delete.as_deref();
        let side = Side::open(self.merge, table, &self.keys, &Vec::from_iter(soft_delete)).await?;
        let mut keys = Vec::with_capacity(expected);
        for file in 0..table.files.len() {
            side.each(file, |chunk| {
                let flag = soft_delete.and_then(|name| chunk.batch.column_by_name(name));
                for (at, _) in chunk.rows()? {
                    let is_deleted = flag.is_some_and(|flag| is_set(flag, at));
                    keys.extend(chunk.digested.key(at).filter(|key| part.holds(*key) && !is_deleted));
                }
                Ok(())
            })
            .await?;
        }
        keys.sort_unstable();
        Ok(Some(keys))
    }

    /// Marks the published rows of a part that are replaced, missing or back. `keys` are the source's, where
    /// they were read by themselves.
    async fn scan(
        &self,
        part: Part,
        candidates: &[usize],
        index: &Index,
        keys: Option<&[u128]>,
        found: &mut Found,
    ) -> Result<Concerned> {
        let mut concerned = Concerned::default();
        let Some(live) = self.live else { return Ok(concerned) };
        let own = self.own_column();
        let side = Side::open(self.merge, live, &self.keys, &Vec::from_iter(own)).await?;
        for &file in candidates {
            let mut touched = found.touched.remove(&file).unwrap_or_default();
            side.each(file, |chunk| {
                let own = own.and_then(|name| chunk.batch.column_by_name(name));
                for (at, row) in chunk.rows()? {
                    let Some(key) = chunk.digested.key(at).filter(|key| part.holds(*key)) else { continue };
                    if self.merge.rules.keeps_history && own.is_some_and(|own| is_false(own, at)) {
                        continue;
                    }
                    let entry = index.find(key);
                    if let Some(entry) = entry {
                        touched.over.insert(row);
                        concerned.incoming.insert(entry.file as usize);
                        concerned.live.insert(file);
                    }
                    let is_present = match (self.present, keys) {
                        (Present::Unknown, _) => continue,
                        (Present::Keys(_), Some(keys)) => keys.binary_search(&key).is_ok(),
                        _ => entry.is_some_and(|entry| !found.is_spare(entry)),
                    };
                    self.judge(row, is_present, own.is_some_and(|own| own.is_valid(at)), &mut touched);
                }
                Ok(())
            })
            .await?;
            found.touched.insert(file, touched);
        }
        Ok(concerned)
    }

    /// What a published row is by its key being among the source's; `is_marked` where it was missing before.
    fn judge(&self, row: u32, is_present: bool, is_marked: bool, touched: &mut Touched) {
        let is_marked_when_missing = self.own_column() == Some(DELETED_AT);
        match (is_present, is_marked_when_missing) {
            (true, true) if is_marked => touched.back.insert(row),
            (false, true) if !is_marked => touched.missing.insert(row),
            (false, false) => touched.over.insert(row),
            _ => {}
        }
    }

    /// The column of the dataset's own that tells how a row stands.
    fn own_column(&self) -> Option<&'static str> {
        self.merge.rules.lifetime().map(Lifetime::mark)
    }

    /// Leaves published rows as they are to which an incoming row is the same, which is then spare.
    async fn compare(
        &self,
        part: Part,
        index: &mut Index,
        concerned: Concerned,
        found: &mut Found,
    ) -> Result<()> {
        let (Some(live), Some(content)) = (self.live, &self.content) else { return Ok(()) };
        if concerned.live.is_empty() {
            return Ok(());
        }
        let side = Side::open(self.merge, self.incoming, content, &[]).await?;
        for file in concerned.incoming {
            side.each(file, |chunk| {
                let keys = self.keys.of(chunk.batch)?;
                for (at, _) in chunk.rows()? {
                    let key = keys.key(at).filter(|key| part.holds(*key));
                    if let Some(entry) = key.and_then(|key| index.find_mut(key)) {
                        entry.content = half(chunk.digested.whole(at));
                    }
                }
                Ok(())
            })
            .await?;
        }
        let side = Side::open(self.merge, live, content, &[]).await?;
        for file in concerned.live {
            let Some(mut touched) = found.touched.remove(&file) else { continue };
            side.each(file, |chunk| {
                let keys = self.keys.of(chunk.batch)?;
                for (at, row) in chunk.rows()? {
                    let key = keys.key(at).filter(|key| touched.over.contains(row) && part.holds(*key));
                    let Some(entry) = key.and_then(|key| index.find(key)) else { continue };
                    if entry.content == half(chunk.digested.whole(at)) && !found.is_spare(entry) {
                        touched.over.remove(row);
                        found.spare(entry.file, entry.row);
                    }
                }
                Ok(())
            })
            .await?;
            found.touched.insert(file, touched);
        }
        Ok(())
    }

    fn doubled(&self, rows: u64) -> Error {
        let key = self.merge.rules.key.join(", ");
        Error::data(format!("{rows} rows have the primary key ({key}) of another row that was read")).help(
            "correct `primary_key`, or leave one row of each key in `transform`, by row_number() over the key",
        )
    }

    fn without_key(&self, rows: u64) -> Error {
        let key = self.merge.rules.key.join(", ");
        Error::data(format!("{rows} rows have NULL in their primary key ({key})"))
            .help("correct `primary_key`, or leave such rows out in `transform`: WHERE … IS NOT NULL")
    }
}

fn rows(table: &Table) -> u64 {
    table.files.iter().filter_map(|file| file.rows).sum()
}

/// Whether a row is deleted: true, or anything but NULL where it is no boolean.
pub fn is_set(flag: &dyn Array, at: usize) -> bool {
    flag.is_valid(at) && (*flag.data_type() != DataType::Boolean || flag.as_boolean().value(at))
}

/// Whether it is false.
fn is_false(flag: &dyn Array, at: usize) -> bool {
    flag.is_valid(at) && *flag.data_type() == DataType::Boolean && !flag.as_boolean().value(at)
}

/// Of content half a digest is enough: it is compared with one other, not with all.
#[expect(clippy::cast_possible_truncation, reason = "half of it is meant")]
const fn half(digest: u128) -> u64 {
    digest as u64
}

fn no_key() -> Error {
    Error::failed("the rows do not have the columns of their primary key")
}
