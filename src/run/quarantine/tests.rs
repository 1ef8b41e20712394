use super::*;
use crate::publish::{Outcome, Publication};

/// Publications of runs (newest first) with how many rows each; versions count down to zero.
fn history(runs: &[(&str, u64)], is_whole: bool) -> History {
    let version = |index: usize| (runs.len() - 1 - index) as u64;
    let publication = |(index, (run, rows)): (usize, &(&str, u64))| {
        let (run_id, stream) = run.split_once('/').map_or((*run, "p/s"), |(run, other)| (run, other));
        let outcome = Outcome { version: version(index), rows: *rows, bytes: 1, receipt: None };
        Publication {
            run_id: run_id.to_owned(),
            stream: stream.to_owned(),
            outcome,
            cursor: None,
            window: None,
            columns: Vec::new(),
            at_ms: 0,
            overwrites: false,
            withdrawn: Vec::new(),
        }
    };
    let publications = runs.iter().enumerate().map(publication).collect();
    History { publications, is_whole, ..History::default() }
}

fn found(dataset: &[(&str, u64)], is_whole: bool, quarantine: &[(&str, u64)]) -> Vec<u64> {
    orphans("p/s", &history(dataset, is_whole), &history(quarantine, true))
}

#[test]
fn what_a_run_left_that_never_published_its_dataset_is_an_orphan() {
    assert_eq!(found(&[("b", 9), ("a", 9)], true, &[("b", 1), ("a", 1)]), [0_u64; 0]);
    assert_eq!(found(&[("a", 9)], true, &[("b", 1), ("a", 1)]), [1]);
    // Two were killed one after the other, and one in between had nothing to reject.
    assert_eq!(found(&[("a", 9)], true, &[("d", 1), ("c", 0), ("b", 1), ("a", 1)]), [3, 1]);
    // The very first run was killed.
    assert_eq!(found(&[], true, &[("a", 1)]), [0]);
}

#[test]
fn what_was_taken_back_is_not_taken_back_again() {
    let mut quarantine = history(&[("d", 0), ("c", 1), ("b", 1), ("a", 1)], true);
    quarantine.publications[0].withdrawn = vec![1];
    assert_eq!(orphans("p/s", &history(&[("a", 9)], true), &quarantine), [2]);
}

#[test]
fn rows_of_another_stream_are_its_own() {
    assert_eq!(found(&[("a", 9)], true, &[("b/p/other", 1), ("b", 1), ("a", 1)]), [1]);
    // Nor does a run of another stream vouch for this one's.
    assert_eq!(found(&[("b/p/other", 9), ("a", 9)], true, &[("b", 1), ("a", 1)]), [1]);
}

#[test]
fn where_the_dataset_s_history_is_cut_off_rows_stay() {
    // The run may be older than what was looked at.
    assert_eq!(found(&[("z/p/other", 9)], false, &[("b", 1), ("a", 1)]), [0_u64; 0]);
    // But one that is known vouches for all before it, and what is newer than it is in sight.
    assert_eq!(found(&[("a", 9)], false, &[("b", 1), ("a", 1), ("old", 1)]), [2]);
    // Nothing that is known was rejected: what is newer is in sight, and what is older is not.
    assert_eq!(found(&[("h", 9), ("g", 9)], false, &[("i", 1), ("c", 1)]), [1]);
}

#[tokio::test]
async fn rows_beyond_the_bound_are_told_without_their_values() {
    let (rejects, mut queue) = queue();
    let rows = |texts: Vec<&str>| {
        let array: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let reasons = StringArray::from_iter_values(texts.iter().map(|_| "c: not exactly a date"));
        Rejected { rows: RecordBatch::try_from_iter([("c", array)]).unwrap(), reasons }
    };
    rejects.send(rows(vec!["first", "second"])).await.unwrap();
    rejects.send(rows(vec!["third"])).await.unwrap();
    drop(rejects);
    let rejected = stream::poll_fn(move |context| queue.poll_recv(context)).boxed();
    let schema = Schema::new(vec![Field::new("c", arrow::datatypes::DataType::Utf8, false)]);
    let schema = protect::rejected::schema(&schema).unwrap();
    let mut rows = behind_own(rejected, schema, "run-1".to_owned(), 2);
    let first = rows.next().await.unwrap().unwrap();
    let run_ids = first.column_by_name(protect::rejected::RUN_ID).unwrap();
    assert_eq!((first.num_rows(), run_ids.len()), (2, 2));
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.message().contains("than the 2 that may be"), "{error}");
    assert!(error.message().ends_with("c: not exactly a date"), "{error}");
    assert!(!error.to_string().contains("third"), "{error}");
}
