//! What the dataset holds, and what it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::Array as _;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt as _;
use sealift::keys::Keyring;
use sealift::publish::{Store, Table};
use sealift::query::Session;
use sealift::run::Ledger;
use sealift::run::ledger::State;
use sealift::spec::PipelineName;
use sealift::spec::config::{self, Metadata};

use super::Trial;
use super::mode::Holds;

/// A row as one text, in the SQL of both sides.
const PUBLISHED: &str = "CAST(id AS VARCHAR) || '|' || coalesce(name, 'NULL') || '|' || CAST(amount AS VARCHAR) || '|' \
    || CAST(gone AS VARCHAR) || '|' || CAST(stamp AS VARCHAR) || '|' || CAST(CAST(changed_at AS BIGINT) AS VARCHAR)";
const SOURCE: &str = "(r).id || '|' || coalesce((r).name, 'NULL') || '|' || (r).amount || '|' || (r).gone || '|' \
    || (r).stamp || '|' || (extract(epoch FROM (r).changed_at) * 1000000)::bigint";

impl Trial {
    /// Compares what is published with the source, as it was when the run saw it.
    pub(super) fn compare(&self) {
        let session = self.runtime.block_on(self.session());
        match self.mode.holds {
            Holds::Source { of_source, .. } => {
                let seen = self.published(&session, "SELECT seen, '' FROM trial.seen");
                let [(seen, _)] = &seen[..] else { panic!("{}: the run saw {seen:?}", self.place()) };
                self.same(self.rows(&session), self.source_at(seen, of_source));
            }
            Holds::EverySnapshot => {
                let mut by_seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for (row, seen) in
                    self.published(&session, &format!("SELECT {PUBLISHED}, seen FROM trial.items"))
                {
                    by_seen.entry(seen).or_default().push(row);
                }
                assert_eq!(by_seen.len(), self.runs_that_succeeded(), "{}: snapshots appended", self.place());
                for (seen, rows) in by_seen {
                    self.same(rows, self.source_at(&seen, "true"));
                }
            }
        }
    }

    /// Compares with the table itself, now that nothing changes it.
    pub(super) fn compare_with_table(&self) {
        if let Holds::Source { of_source, .. } = self.mode.holds {
            let session = self.runtime.block_on(self.session());
            let sql = format!("SELECT {SOURCE} FROM (SELECT items AS r FROM items) i WHERE {of_source}");
            self.same(self.rows(&session), self.of_source(&sql));
        }
    }

    /// The rows of the dataset that count.
    fn rows(&self, session: &Session) -> Vec<String> {
        let Holds::Source { of_dataset, .. } = self.mode.holds else { return Vec::new() };
        let sql = format!("SELECT {PUBLISHED}, '' FROM trial.items WHERE {of_dataset}");
        self.published(session, &sql).into_iter().map(|(row, _)| row).collect()
    }

    /// No run is in the log twice, with any stream.
    pub(super) fn each_run_published_once(&self) {
        let store = self.store();
        self.runtime.block_on(async {
            for dataset in Table::list(&store).await.unwrap() {
                let history = Table::history(&store, &dataset, "", |_| false).await.unwrap().unwrap();
                let runs: BTreeSet<_> = history.publications.iter().map(|one| &one.run_id).collect();
                assert_eq!(runs.len(), history.publications.len(), "{}: {dataset}", self.place());
            }
        });
    }

    #[track_caller]
    fn same(&self, mut published: Vec<String>, mut source: Vec<String>) {
        published.sort_unstable();
        source.sort_unstable();
        if published == source {
            return;
        }
        let (theirs, ours) =
            (source.iter().collect::<BTreeSet<_>>(), published.iter().collect::<BTreeSet<_>>());
        let lost: Vec<_> = theirs.difference(&ours).take(5).collect();
        let strange: Vec<_> = ours.difference(&theirs).take(5).collect();
        panic!(
            "{}: {} rows are published ({} of them different) and {} are in the source\nlost: {lost:#?}\nstrange: {strange:#?}",
            self.place(),
            published.len(),
            ours.len(),
            source.len(),
        );
    }

    /// The source's rows as a snapshot shows them.
    fn source_at(&self, seen: &str, condition: &str) -> Vec<String> {
        self.of_source(&format!(
            "SELECT {SOURCE} FROM (SELECT DISTINCT ON (id) state AS r FROM history
               WHERE txid_visible_in_snapshot(xid, '{seen}') ORDER BY id, seq DESC) latest
             WHERE (r).id IS NOT NULL AND {condition}"
        ))
    }

    fn of_source(&self, sql: &str) -> Vec<String> {
        let rows = self.runtime.block_on(self.database.client.query(sql, &[])).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn runs_that_succeeded(&self) -> usize {
        let ledger = Metadata::Sqlite(self.house.path("out/var/sealift.db"));
        self.runtime.block_on(async {
            let ledger = Ledger::open(&ledger).await.unwrap();
            let runs = ledger.runs(Some(&PipelineName::parse("trial").unwrap()), 10_000).await.unwrap();
            runs.iter().filter(|run| run.state == State::Succeeded).count()
        })
    }

    /// The lake, not through the bad network.
    fn store(&self) -> Store {
        Store::open(&self.server.store("lake", "test")).unwrap()
    }

    async fn session(&self) -> Session {
        let keys = config::Keys::File { path: self.house.path("out/keys"), passphrase: None };
        let keyring = Arc::new(Keyring::open(&keys, &|_| {}).await.unwrap());
        Session::open(vec![self.store()], keyring, 256 << 20, None, None).await.unwrap()
    }

    /// What a query of two texts finds.
    fn published(&self, session: &Session, sql: &str) -> Vec<(String, String)> {
        let batches: Vec<_> = self
            .runtime
            .block_on(async { session.sql(sql).await?.1.try_collect().await })
            .unwrap_or_else(|e| panic!("{}: {sql}: {e:?}", self.place()));
        let options = FormatOptions::default();
        let mut found = Vec::new();
        for batch in &batches {
            let batch: &arrow::array::RecordBatch = batch;
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
                .collect();
            assert!(batch.columns().iter().all(|column| column.null_count() == 0), "{sql}");
            found.extend(
                (0..batch.num_rows())
                    .map(|row| (columns[0].value(row).to_string(), columns[1].value(row).to_string())),
            );
        }
        found
    }
}
