//! Columns are protected otherwise: every live file is written again, in one commit.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{ATTEMPTS, Upkeep, log};
use crate::error::{Error, Result};
use crate::protect::plan::resealing::{Published, Resealing, Stands};
use crate::protect::{Decision, Sealed};
use crate::publish::commit::{self, Deed, Replacement, Rewrite};
use crate::publish::recorded;
use crate::publish::table::LiveFile;
use crate::publish::{Decided, Reading, Table, Written, write};
use crate::spec::Action;

/// Footers that are read at once.
const REQUESTS: usize = 8;

/// What is to become of columns.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How the columns are protected that this was decided for, as the table's log records it.
    pub recorded: Vec<Decided>,
    /// What each of these leaf columns is to become.
    pub actions: BTreeMap<String, Action>,
    /// Name of the policy that asks for it.
    pub policy: String,
    /// SHA-256 of the policy document.
    pub policy_digest: String,
}

/// What was sealed otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// The version in which the columns are protected so.
    pub version: u64,
    /// Rows that were written again: all there are.
    pub rows: u64,
    /// Bytes of the new files.
    pub bytes: u64,
    /// The files that went, which older versions still name.
    pub files: Vec<String>,
    /// The oldest and the newest version that can still be read as they were.
    pub older: Option<(u64, u64)>,
}

impl Upkeep<'_> {
    /// Protects columns otherwise, by a commit that `run_id` names: all rows are read back, and written again in
    /// new files, one for each there is. Where other writers change the table meanwhile, it begins anew.
    ///
    /// # Errors
    /// `Held` where what is published cannot be made what is wanted (see [`Resealing::plan`]); `Denied` when the key
    /// of a column is missing; `Failed` for files that are damaged or were altered; `Temporary` when the table is
    /// protected otherwise by now than it was decided for, other writers kept changing it, or it is not known
    /// whether the version landed; else as the store answers.
    pub async fn reseal(&self, wanted: &Wanted, run_id: &str) -> Result<Resealed> {
        let signer = self.keyring.signer().await?;
        for _ in 0..ATTEMPTS {
            let table = self.table().await?;
            let recorded = recorded::decided(self.store, self.dataset, table.version).await?;
            if recorded != wanted.recorded {
                return Err(Error::temporary("its columns are protected otherwise by now")
                    .help("run it again: it then decides by what is published")
                    .at(format!("dataset {}", self.dataset)));
            }
            let reading = self.originals(&table, &table.files).await?;
            let resealing = self.resealing(&table, &reading, wanted).await?;
            let written = self.anew_otherwise(&table, &reading, &resealing).await?;
            let deed = Deed::Reseal(Box::new(self.recorded(&resealing, wanted).await?));
            let replaced: Vec<String> = table.files.iter().map(|file| file.path.clone()).collect();
            let rewrite = Rewrite {
                read_version: Some(table.version),
                replaced: replaced.clone(),
                changes_rows: true,
                carried: 0,
            };
            let replacement =
                Replacement { dataset: self.dataset, rewrite, deed: &deed, run_id, signer: &signer };
            let Some(outcome) = self.replace(written, &replacement).await? else { continue };
            let oldest = log::Listing::of(self.store, self.dataset).await?.oldest_readable();
            let newest = outcome.version.checked_sub(1);
            return Ok(Resealed {
                version: outcome.version,
                rows: outcome.rows,
                bytes: outcome.bytes,
                files: replaced,
                older: oldest.zip(newest).filter(|(oldest, newest)| oldest <= newest),
            });
        }
        Err(self.crowded())
    }

    async fn resealing(&self, table: &Table, reading: &Reading, wanted: &Wanted) -> Result<Resealing> {
        let mut encrypted = BTreeSet::new();
        let footers = stream::iter(&table.files).map(|file| reading.encrypted(file));
        let mut footers = footers.buffered(REQUESTS);
        while let Some(found) = footers.try_next().await? {
            encrypted.extend(found);
        }
        let stands = |decided: &Decided| Stands {
            path: decided.column.clone(),
            action: decided.action.clone(),
            wanted: wanted.actions.get(&decided.column).cloned(),
        };
        let standing: Vec<Stands> = wanted.recorded.iter().map(stands).collect();
        let published = Published {
            dataset: self.dataset,
            schema: reading.schema(),
            partition_by: &table.partition_by,
            open: &table.open,
            encrypted: &encrypted,
        };
        Resealing::plan(published, &standing)
    }

    /// Writes every file again; where one fails, nothing of the others is left behind.
    async fn anew_otherwise(
        &self,
        table: &Table,
        reading: &Reading,
        resealing: &Resealing,
    ) -> Result<Written> {
        let mut written = Written::default();
        for file in &table.files {
            match self.one_otherwise(table, reading, resealing, file).await {
                Ok(more) => written.join(more),
                Err(error) => {
                    written.discard_quietly(self.store, self.dataset).await;
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    async fn one_otherwise(
        &self,
        table: &Table,
        reading: &Reading,
        resealing: &Resealing,
        file: &LiveFile,
    ) -> Result<Written> {
        let sealed = Sealed::otherwise(resealing, reading.rows(file).await?, self.keyring).await?;
        let written =
            write(sealed, self.store, &self.parquet, &table.partition_by, self.memory_bytes).await?;
        self.counted(written, std::slice::from_ref(file), 0).await
    }

    /// What commit and receipt tell of it. The keys are there by now.
    async fn recorded(&self, resealing: &Resealing, wanted: &Wanted) -> Result<commit::Resealed> {
        let mut plan = resealing.plan_of_rows().clone();
        plan.name_keys(self.keyring).await?;
        let key_of = |path: &str| {
            let of_path = |decision: &&Decision| decision.path == path;
            plan.decisions().iter().find(of_path).and_then(|decision| decision.key.clone())
        };
        let (mut changes, mut columns) = (Vec::new(), Vec::new());
        for decided in &wanted.recorded {
            let Some(action) = wanted.actions.get(&decided.column) else {
                columns.push(decided.clone());
                continue;
            };
            let options = action.options();
            let action = action.word().to_owned();
            changes.push((decided.column.clone(), decided.action.clone(), action.clone()));
            columns.push(Decided { action, key: key_of(&decided.column), options, ..decided.clone() });
        }
        Ok(commit::Resealed {
            schema: plan.output().clone(),
            open: resealing.open().iter().cloned().collect(),
            changes,
            columns,
            policy: wanted.policy.clone(),
            policy_digest: wanted.policy_digest.clone(),
        })
    }
}
