//! Rows take the place of those that have the same key, in one commit.
//!
//! The incoming rows are written first, as in every mode. Then the live files are searched for their keys,
//! and those that hold any are written again without them: copy-on-write, since not every reader of Delta
//! tables knows deletion vectors. What others publish meanwhile is a conflict, after which the same incoming
//! files are compared with the newer version.

mod digest;
mod index;
mod matching;
mod pruning;
mod ranges;
mod rewriting;
mod rows;
mod side;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

pub use self::matching::is_set;
use self::matching::{Found, Matching};
use self::rewriting::{Edit, again};
use super::commit::{End, attempt, overtaken};
use super::table::LiveFile;
use super::{Change, Effect, Outcome, Rewrite, Store, Table, Written, receipt};
use crate::error::{At as _, Error, Kind, Result};
use crate::keys::Keyring;
use crate::protect::Lifetime;
use crate::spec::pipeline::Parquet;
use crate::spec::sync::Missing;

/// Versions that incoming rows are compared with before giving up.
const ATTEMPTS: u32 = 10;

/// How rows meet those already there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Columns that tell rows apart; published so that the same value always looks the same.
    pub key: Vec<String>,
    /// Column that says a row is deleted: true, or anything but NULL where it is no boolean.
    pub soft_delete: Option<String>,
    /// What becomes of rows whose key the source no longer has. Rows that are kept as history are then no
    /// longer current, whatever this says.
    pub missing: Option<Missing>,
    /// Whether rows that are replaced or gone stay as history.
    pub keeps_history: bool,
}

impl Rules {
    /// The columns of its own that the dataset has under these rules.
    #[must_use]
    pub fn lifetime(&self) -> Option<Lifetime> {
        match (self.keeps_history, self.missing) {
            (true, _) => Some(Lifetime::Valid),
            (false, Some(Missing::Soft)) => Some(Lifetime::Deleted),
            _ => None,
        }
    }
}

/// Which keys the source has.
#[derive(Clone, Copy, Debug)]
pub enum Present<'a> {
    /// That is not known: no row is missing.
    Unknown,
    /// Those of the incoming rows.
    Incoming,
    /// Those of these rows, which were written and are never published: columns of the key, and the one that
    /// says a row is deleted.
    Keys(&'a Table),
}

/// A merge, but for its rows. No `Debug`: it holds keys.
#[derive(Clone, Copy)]
pub struct Merge<'a> {
    /// Where the dataset is.
    pub store: &'a Store,
    /// The keys that its files are read and sealed with.
    pub keyring: &'a Keyring,
    /// How rows meet.
    pub rules: &'a Rules,
    /// How files are written.
    pub parquet: &'a Parquet,
    /// Parquet leaf paths that are encrypted.
    pub encrypted: &'a BTreeSet<String>,
    /// When the source was read, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// Memory for keys; what does not fit is compared part by part.
    pub keys_bytes: u64,
    /// Memory for files that are written again, once the keys are gone.
    pub encode_bytes: u64,
    /// The commit; its effect is what the merge makes of it.
    pub change: Change<'a>,
}

impl Merge<'_> {
    /// Makes incoming rows visible in place of those with their keys, whole or not at all. On an error the
    /// files are removed as by [`super::commit()`].
    ///
    /// # Errors
    /// `Data` for rows that have no key, or that of another incoming row; `Temporary` when other writers kept
    /// changing the table; `Cancelled`; else those of [`super::commit()`] and of reading published files.
    pub async fn publish(
        &self,
        incoming: Written,
        present: Present<'_>,
        stop: &CancellationToken,
    ) -> Result<Outcome> {
        let dataset = self.change.dataset;
        let table = incoming.as_table(self.change.schema, self.change.partition_by);
        let mut error = overtaken();
        for _ in 0..ATTEMPTS {
            let draft = tokio::select! {
                biased;
                () = stop.cancelled() => Err(Error::new(Kind::Cancelled(15), "the run was cancelled")),
                draft = self.draft(&incoming, &table, present) => draft,
            };
            let Draft { own, rewritten, rewrite } = match draft {
                Ok(draft) => draft,
                Err(fault) => {
                    error = fault;
                    break;
                }
            };
            let all = own.with(&rewritten);
            let change = Change { effect: Effect::Rewrite(&rewrite), ..self.change };
            match attempt(self.store, &all, &change).await {
                End::Visible(outcome) => {
                    incoming.but(&all.paths()).discard_quietly(self.store, dataset).await;
                    return Ok(outcome);
                }
                End::Unknown(fault) => return Err(fault).at(|| format!("dataset {dataset}")),
                End::NotVisible(fault) => {
                    all.but(&incoming.paths()).discard_quietly(self.store, dataset).await;
                    error = fault;
                    break;
                }
                End::Overtaken => all.but(&incoming.paths()).discard_quietly(self.store, dataset).await,
            }
        }
        incoming.discard_quietly(self.store, dataset).await;
        Err(error).at(|| format!("dataset {dataset}"))
    }

    /// Checks that incoming rows can be told apart, as [`Merge::publish`] does once more.
    ///
    /// # Errors
    /// `Data` for rows that have no key, or that of another incoming row; those of reading the files back.
    pub async fn check_keys(&self, incoming: &Written) -> Result<()> {
        let dataset = self.change.dataset;
        let table = incoming.as_table(self.change.schema, self.change.partition_by);
        let check = Matching::new(self, &table, None, Present::Unknown)?.check().await;
        check.at(|| format!("dataset {dataset}"))
    }

    /// What the newest version makes of the incoming rows.
    async fn draft(&self, incoming: &Written, table: &Table, present: Present<'_>) -> Result<Draft> {
        let live = Table::load(self.store, self.change.dataset, None).await?;
        self.check(live.as_ref())?;
        let found = Matching::new(self, table, live.as_ref(), present)?.run().await?;
        let Found { spare, touched } = found;

        let file = |table: &Table, index: usize| table.files.get(index).cloned();
        let edits: Vec<(LiveFile, Edit)> = spare
            .into_iter()
            .filter_map(|(at, rows)| Some((file(table, at)?, Edit::without(rows))))
            .collect();
        let spared: Vec<LiveFile> = edits.iter().map(|(file, _)| file.clone()).collect();
        let again_incoming = again(self, table, edits).await?;
        let own = incoming.but(&spared.iter().map(|file| file.path.as_str()).collect()).with(&again_incoming);

        let mut replaced = Vec::new();
        let mut rewritten = Written::default();
        if let Some(live) = &live {
            let edit = |touched| Edit::of(touched, self.rules.keeps_history, self.at_us);
            let edits: Vec<(LiveFile, Edit)> =
                touched.into_iter().filter_map(|(at, rows)| Some((file(live, at)?, edit(rows)))).collect();
            replaced = edits.iter().map(|(file, _)| file.path.clone()).collect();
            rewritten = match self.rewritten(live, edits).await {
                Ok(rewritten) => rewritten,
                Err(error) => {
                    again_incoming.discard_quietly(self.store, self.change.dataset).await;
                    return Err(error);
                }
            };
        }
        let rewrite = Rewrite {
            read_version: live.map(|live| live.version),
            replaced,
            changes_rows: true,
            carried: rewritten.rows,
        };
        Ok(Draft { own, rewritten, rewrite })
    }

    /// Published files, written again; none whose rows are not those that were published.
    async fn rewritten(&self, live: &Table, edits: Vec<(LiveFile, Edit)>) -> Result<Written> {
        let read = edits.iter().filter(|(file, edit)| edit.left(file) != Some(0));
        let read: Vec<LiveFile> = read.map(|(file, _)| file.clone()).collect();
        receipt::check_originals(self.store, self.keyring, self.change.dataset, &read).await?;
        again(self, live, edits).await
    }

    /// Rows that were published under other rules may lack what these need, or lie in other folders.
    fn check(&self, live: Option<&Table>) -> Result<()> {
        let Some(live) = live else { return Ok(()) };
        let own = self.rules.lifetime().map(Lifetime::fields).unwrap_or_default();
        let lacking = own.iter().find(|own| live.schema.index_of(own.name()).is_err());
        let what = match lacking {
            Some(own) => format!("the dataset has no column `{}`, which the merge would need", own.name()),
            None if live.partition_by != self.change.partition_by => {
                let by = live.partition_by.join(", ");
                format!("the dataset is partitioned by [{by}], and the stream otherwise")
            }
            None => return Ok(()),
        };
        Err(Error::held(what).help("publish to another dataset, or remove this one so that it begins anew"))
    }
}

/// The files of a version to come.
struct Draft {
    /// Incoming rows.
    own: Written,
    /// Rows that were there.
    rewritten: Written,
    rewrite: Rewrite,
}
