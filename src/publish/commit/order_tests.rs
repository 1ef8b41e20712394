//! What a commit may not come after: runs that began before, and rows that were not looked at.

use super::*;
use crate::error::Kind;
use crate::publish::fixture::*;
use crate::publish::scripted::Scripted;
use crate::publish::{Recorded, Table};

/// Commits rows of people, or none.
async fn commit_rows(
    store: &Store,
    ids: std::ops::Range<i64>,
    effect: Effect<'_>,
    order: Order,
) -> Result<Outcome> {
    let batch = people(ids.clone());
    let schema = batch.schema();
    let files = if ids.is_empty() { Written::default() } else { written(store, batch).await };
    let (dataset, open, told) = (dataset(), ["id".to_owned()], provenance("run-x"));
    let change = Change {
        dataset: &dataset,
        schema: &schema,
        open: &open,
        partition_by: &[],
        effect,
        order,
        evolution: &Evolution::default(),
        provenance: &told,
        signer: &Signer::for_tests(),
    };
    commit(store, files, &change).await
}

async fn txn(store: &Store) -> Option<i64> {
    let history = Table::history(store, &dataset(), "crm/public.people", |_| true).await.unwrap();
    history.and_then(|history| history.txn)
}

#[tokio::test]
async fn rows_are_not_added_beside_others_whose_keys_were_not_seen() {
    let store = Scripted::new([]).store();
    let append = |unseen| Effect::Append { withdrawn: &[], unseen: Some(unseen) };
    commit_rows(&store, 0..5, append(0), Order::Any).await.unwrap();
    let error = commit_rows(&store, 5..9, append(0), Order::Any).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.message().contains("added rows"), "{error}");
    commit_rows(&store, 5..9, append(1), Order::Any).await.unwrap();

    // Files that are only written again bring no rows.
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    let replaced = table.files.iter().map(|file| file.path.clone()).collect();
    let rewrite = Rewrite { read_version: Some(1), replaced, changes_rows: false, carried: 0 };
    commit_rows(&store, 0..9, Effect::Rewrite(&rewrite), Order::Any).await.unwrap();
    commit_rows(&store, 9..12, append(2), Order::Any).await.unwrap();
}

#[tokio::test]
async fn behind_a_fence_no_run_publishes_that_began_before_it() {
    let store = Scripted::new([]).store();
    let append = Effect::Append { withdrawn: &[], unseen: None };
    // It makes a table where there is none, which says nothing of the run.
    commit_rows(&store, 0..0, Effect::Fence, Order::After(None)).await.unwrap();
    let error = commit_rows(&store, 0..5, append, Order::After(None)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    commit_rows(&store, 0..5, append, Order::After(Some(0))).await.unwrap();
    let seen = txn(&store).await;
    commit_rows(&store, 0..0, Effect::Fence, Order::After(seen)).await.unwrap();
    let error = commit_rows(&store, 5..9, append, Order::After(seen)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);

    let history = Table::recent(&store, &dataset()).await.unwrap().unwrap();
    assert_eq!(history.publications.iter().map(|one| one.outcome.version).collect::<Vec<_>>(), [1]);
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!((table.version, table.files.len()), (2, 1));
    // What the columns were is still found, whatever is asked besides.
    for stream in [None, Some("crm/public.people")] {
        let recorded = Recorded::load(&store, &dataset(), 2, stream).await.unwrap();
        assert_eq!(recorded.columns["id"].action, "allow");
    }
}
