//! CSV and Parquet files of a folder.
//!
//! [`paths`] finds the files, [`cuts`] says where delimited text may be cut and [`crew`] shares the
//! parts among threads; [`records`] splits the text, [`header`] judges its first line, [`infer`] types
//! its columns and [`decode`] fills Arrow builders, both with [`plain`] for short texts. [`parquet`]
//! reads Parquet and [`carry`] decides how its types travel. `docs/types.md`, part "Files", says the
//! same to the people who write pipelines.
//!
//! Files have no common instant: each is read as it was when it was found, and a file that
//! changes while it is read fails the read as `Temporary`.

mod carry;
mod crew;
mod csv;
mod cuts;
mod decode;
mod header;
mod infer;
mod parquet;
mod paths;
mod plain;
mod records;
mod stream;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use self::cuts::Cuts;
use self::paths::{Input, Pattern};
use super::{Column, Relation, Shape, Snapshot, Source};
use crate::Batches;
use crate::error::{Error, Result};
use crate::spec::pipeline::{FileSet, Format, Selector};

/// A folder of files.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// See [`super::open`].
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

#[async_trait]
impl Source for Files {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let root = self.root.clone();
        let root = stream::blocking("file", move |_| {
            let real = std::fs::canonicalize(&root).map_err(|cause| match cause.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::invalid(format!("the connection's root {} does not exist", root.display()))
                }
                _ => paths::unreadable(&root, &cause),
            })?;
            if real.is_dir() {
                return Ok(real);
            }
            Err(Error::invalid(format!("the connection's root {} is not a folder", root.display())))
        })
        .await?;
        Ok(Box::new(Folder { root, found: BTreeMap::new(), cuts: BTreeMap::new() }))
    }
}

/// The folder, with the files found so far.
struct Folder {
    /// Real path, free of links.
    root: PathBuf,
    /// By path glob: what a glob stands for is fixed when it is first asked.
    found: BTreeMap<String, Arc<[Input]>>,
    /// By path glob and quote: where the files were cut when they were described.
    cuts: BTreeMap<(String, u8), Arc<[Cuts]>>,
}

impl Folder {
    async fn inputs(&mut self, set: &FileSet) -> Result<Arc<[Input]>> {
        if let Some(inputs) = self.found.get(&set.path) {
            return Ok(Arc::clone(inputs));
        }
        let (root, path) = (self.root.clone(), set.path.clone());
        let inputs = stream::blocking("file", move |_| Pattern::parse(&path)?.find(&root)).await?;
        let inputs: Arc<[Input]> = inputs.into();
        self.found.insert(set.path.clone(), Arc::clone(&inputs));
        Ok(inputs)
    }

    fn cuts(&self, set: &FileSet, inputs: &[Input]) -> Arc<[Cuts]> {
        match &set.format {
            Format::Csv(csv) => self
                .cuts
                .get(&(set.path.clone(), csv.quote))
                .map_or_else(|| csv::cuts(inputs, csv), Arc::clone),
            Format::Parquet => Arc::default(),
        }
    }
}

#[async_trait]
impl Snapshot for Folder {
    /// A digest over name, size and time of change of the files found so far.
    fn id(&self) -> Option<String> {
        if self.found.is_empty() {
            return None;
        }
        let mut digest = Sha256::new();
        for input in self.found.values().flat_map(|inputs| inputs.iter()) {
            digest.update(input.fingerprint());
        }
        Some(format!("files-{}", hex::encode(&digest.finalize()[..16])))
    }

    fn consistency(&self) -> String {
        "each file as it was when it was found; a file that changes meanwhile fails the run".to_owned()
    }

    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>> {
        let set = file_set(selector)?;
        self.inputs(set).await?;
        let table = set.name.as_str().to_owned();
        Ok(vec![Relation {
            stream: set.name.clone(),
            schema: None,
            table,
            selector: selector.clone(),
            split_by: None,
            bound: None,
            files: None,
        }])
    }

    async fn describe(&mut self, relation: &Relation) -> Result<Shape> {
        let set = file_set(&relation.selector)?.clone();
        let inputs = self.inputs(&set).await?;
        let Format::Csv(csv) = set.format.clone() else {
            return stream::blocking(file_kind(&set.format), move |_| {
                if set.schema.is_none() {
                    return parquet::describe(&inputs);
                }
                Err(Error::invalid("a schema is declared for Parquet files, which bring their own")
                    .help("leave the stream's `schema` out"))
            })
            .await;
        };
        let key = (set.path.clone(), csv.quote);
        let cuts = self.cuts(&set, &inputs);
        let filled = Arc::clone(&cuts);
        let shape = stream::blocking(file_kind(&set.format), move |stop| {
            csv::Source::new(&inputs, &cuts, &csv, &set).describe(stop)
        })
        .await?;
        // Only now: where a scan failed, they are not complete.
        self.cuts.insert(key, filled);
        Ok(shape)
    }

    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches> {
        let set = file_set(&relation.selector)?.clone();
        let inputs = self.inputs(&set).await?;
        let cuts = self.cuts(&set, &inputs);
        let columns = columns.to_vec();
        let asked = relation.files.clone().unwrap_or(0..inputs.len());
        Ok(stream::batches(file_kind(&set.format), move |outlet| {
            let inputs = inputs.get(asked.clone()).unwrap_or_default();
            match &set.format {
                Format::Csv(csv) => {
                    let cuts = cuts.get(asked).unwrap_or_default();
                    csv::Source::new(inputs, cuts, csv, &set).read(&columns, outlet)
                }
                Format::Parquet => parquet::read(inputs, &columns, outlet),
            }
        }))
    }

    async fn parts(&mut self, relation: &Relation, part_bytes: u64) -> Result<Vec<Relation>> {
        let inputs = self.inputs(file_set(&relation.selector)?).await?;
        let sizes = inputs.iter().map(|input| input.stamp.size_bytes);
        let part = |files| Relation { files: Some(files), ..relation.clone() };
        Ok(parts(sizes, part_bytes).into_iter().map(part).collect())
    }
}

/// Neighbouring files together, until they are large enough.
fn parts(sizes: impl Iterator<Item = u64>, part_bytes: u64) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut held_bytes = u64::MAX;
    for (index, size_bytes) in sizes.enumerate() {
        match parts.last_mut().filter(|_| held_bytes < part_bytes) {
            Some(part) => {
                part.end = index + 1;
                held_bytes += size_bytes;
            }
            None => {
                parts.push(index..index + 1);
                held_bytes = size_bytes;
            }
        }
    }
    parts
}

fn file_kind(format: &Format) -> &'static str {
    match format {
        Format::Csv(_) => "CSV",
        Format::Parquet => "Parquet",
    }
}

fn file_set(selector: &Selector) -> Result<&FileSet> {
    match selector {
        Selector::Files(set) => Ok(set),
        Selector::Table(_) | Selector::Query { .. } => {
            Err(Error::invalid("the connection is a folder of files: it has no tables and runs no queries")
                .help("give the stream a `path` and a `format`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_files_in_order_and_large_enough() {
        let of = |sizes: &[u64]| parts(sizes.iter().copied(), 10);
        assert_eq!(of(&[4, 4, 4, 30, 1, 1]), [0..3, 3..4, 4..6]);
        assert_eq!(of(&[10, 0, 10]), [0..1, 1..3]);
        assert!(of(&[]).is_empty());
    }
}
