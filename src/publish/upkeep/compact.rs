//! Small files of one folder are joined; the rows stay.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{ATTEMPTS, Upkeep, cluster};
use crate::Batches;
use crate::error::Result;
use crate::publish::commit::{Deed, Replacement, Rewrite};
use crate::publish::table::LiveFile;
use crate::publish::{Reading, Table, Written};
use crate::spec::pipeline::Parquet;

/// Groups of files whose successors one commit makes visible: what is lost where others are first.
const GROUPS_PER_COMMIT: usize = 16;
/// Footers that are read at once.
const REQUESTS: usize = 8;

/// How files are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Files are to be of about this size.
    pub target_bytes: u64,
    /// Columns that rows are brought together by; none leaves the rows in the order they are in.
    pub cluster_by: Vec<String>,
    /// Most bytes of rows that are sorted at once.
    pub sort_bytes: u64,
}

/// Files and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The versions that were made.
    pub versions: Vec<u64>,
    /// The files that went.
    pub before: Files,
    /// The files that came.
    pub after: Files,
}

/// Files of one folder, sealed alike, that are written anew together.
struct Group {
    encrypted: BTreeSet<String>,
    files: Vec<LiveFile>,
}

/// A folder's values, and the leaves that are encrypted in a file.
type Alike = (Vec<(String, Option<String>)>, BTreeSet<String>);

impl Upkeep<'_> {
    /// Joins the small files of each folder, those below four fifths of the target; or, to cluster, writes
    /// every file anew. Files in which different columns are encrypted are not mixed. Where other writers
    /// remove one of the files meanwhile, it begins anew with what is left; what they add is no obstacle.
    ///
    /// # Errors
    /// `Invalid` or `Held` for a column that cannot cluster; `Denied` when a key is missing; `Failed` for
    /// files that are damaged; `Temporary` when other writers kept removing files; else as the store
    /// answers. What was joined before an error stays joined.
    pub async fn compact(&self, compaction: &Compaction, run_id: &str) -> Result<Compacted> {
        let signer = self.keyring.signer().await?;
        let mut done = Compacted::default();
        let deed = Deed::Compact { cluster_by: compaction.cluster_by.clone() };
        // A group that was clustered is not to be clustered again because another was overtaken.
        let mut clustered = BTreeSet::new();
        'table: for _ in 0..ATTEMPTS {
            let table = self.table().await?;
            cluster::check(&table, &compaction.cluster_by)?;
            let groups = self.groups(&table, compaction, &clustered).await?;
            for groups in groups.chunks(GROUPS_PER_COMMIT) {
                let replaced: Vec<String> =
                    groups.iter().flat_map(|group| &group.files).map(|file| file.path.clone()).collect();
                let before = Files::of(groups.iter().flat_map(|group| &group.files).map(|file| file.bytes));
                let written = self.anew(&table, groups, compaction).await?;
                let after = Files::of(written.files.iter().map(|file| file.bytes));
                clustered.extend(written.files.iter().map(|file| file.path.clone()));
                let rewrite =
                    Rewrite { read_version: Some(table.version), replaced, changes_rows: false, carried: 0 };
                let replacement =
                    Replacement { dataset: self.dataset, rewrite, deed: &deed, run_id, signer: &signer };
                match self.replace(written, &replacement).await? {
                    Some(outcome) => done.add(outcome.version, before, after),
                    None => continue 'table,
                }
            }
            return Ok(done);
        }
        Err(self.crowded())
    }

    /// What is to be written anew, folder by folder.
    async fn groups(
        &self,
        table: &Table,
        compaction: &Compaction,
        clustered: &BTreeSet<String>,
    ) -> Result<Vec<Group>> {
        let is_cluster = !compaction.cluster_by.is_empty();
        let is_small = |file: &&LiveFile| file.bytes < compaction.target_bytes / 5 * 4;
        let is_due = |file: &&LiveFile| {
            (is_cluster && !clustered.contains(&file.path)) || (!is_cluster && is_small(file))
        };
        let mut files: Vec<LiveFile> = table.files.iter().filter(is_due).cloned().collect();
        // The names of our files sort by age, so rows stay in the order in which they came.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut alike: BTreeMap<Alike, Vec<LiveFile>> = BTreeMap::new();
        let reading = self.whole(table, &files).await?;
        let footers = stream::iter(files).map(|file| {
            let reading = &reading;
            async move { reading.encrypted(&file).await.map(|encrypted| (file, encrypted)) }
        });
        let mut footers = footers.buffered(REQUESTS);
        while let Some((file, encrypted)) = footers.try_next().await? {
            alike.entry((file.partition.clone(), encrypted)).or_default().push(file);
        }
        let groups = alike.into_iter().flat_map(|((_, encrypted), files)| {
            let packed = if is_cluster { vec![files] } else { packed(files, compaction.target_bytes) };
            packed.into_iter().map(move |files| Group { encrypted: encrypted.clone(), files })
        });
        Ok(groups.collect())
    }

    /// Writes groups anew; where one fails, nothing of the others is left behind.
    async fn anew(&self, table: &Table, groups: &[Group], compaction: &Compaction) -> Result<Written> {
        let mut written = Written::default();
        for group in groups {
            match self.group(table, group, compaction).await {
                Ok(more) => written.join(more),
                Err(error) => {
                    written.discard_quietly(self.store, self.dataset).await;
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    async fn group(&self, table: &Table, group: &Group, compaction: &Compaction) -> Result<Written> {
        let reading = self.originals(table, &group.files).await?;
        let rows = one_after_the_other(reading.clone(), group.files.clone());
        let (rows, file_size_bytes) = match compaction.cluster_by.as_slice() {
            // What was packed for one file is to become one, also where it is encoded a little larger.
            [] => (rows, compaction.target_bytes / 4 * 5),
            columns => {
                (cluster::sorted(rows, columns.to_vec(), compaction.sort_bytes), compaction.target_bytes)
            }
        };
        let parquet = Parquet { file_size_bytes, ..self.parquet };
        let written = self.write(table, &reading, &group.encrypted, rows, &parquet).await?;
        self.counted(written, &group.files, 0).await
    }
}

impl Compacted {
    fn add(&mut self, version: u64, before: Files, after: Files) {
        self.versions.push(version);
        self.before = self.before.and(before);
        self.after = self.after.and(after);
    }
}

impl Files {
    fn of(bytes: impl Iterator<Item = u64>) -> Self {
        bytes.fold(Self::default(), |sum, bytes| sum.and(Self { count: 1, bytes }))
    }

    const fn and(self, more: Self) -> Self {
        Self { count: self.count + more.count, bytes: self.bytes + more.bytes }
    }
}

/// Neighbours that fit into one file together; a file that would be alone is left out.
fn packed(files: Vec<LiveFile>, target_bytes: u64) -> Vec<Vec<LiveFile>> {
    let mut groups: Vec<Vec<LiveFile>> = Vec::new();
    let mut free = 0;
    for file in files {
        match groups.last_mut().filter(|_| file.bytes <= free) {
            Some(group) => {
                free -= file.bytes;
                group.push(file);
            }
            None => {
                free = target_bytes.saturating_sub(file.bytes);
                groups.push(vec![file]);
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// The rows of files; one is open at a time.
fn one_after_the_other(reading: Reading, files: Vec<LiveFile>) -> Batches {
    let opened = stream::iter(files).then(move |file| {
        let reading = reading.clone();
        async move { reading.rows(&file).await }
    });
    opened.try_flatten().boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: u64) -> LiveFile {
        LiveFile {
            path: format!("part-{bytes}.parquet"),
            bytes,
            rows: None,
            partition: Vec::new(),
            stats: None,
        }
    }

    #[test]
    fn neighbours_are_packed_up_to_the_target() {
        let sizes = |files: &[u64]| -> Vec<Vec<u64>> {
            let packed = packed(files.iter().map(|bytes| file(*bytes)).collect(), 100);
            packed.iter().map(|group| group.iter().map(|file| file.bytes).collect()).collect()
        };
        assert_eq!(sizes(&[40, 40, 20, 1, 70, 79]), [vec![40, 40, 20], vec![1, 70]]);
        assert_eq!(sizes(&[60, 60, 60]), [[0; 0]; 0]);
        assert_eq!(sizes(&[]), [[0; 0]; 0]);
    }
}
