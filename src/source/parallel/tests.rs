use std::future::Future;
use std::sync::atomic::AtomicUsize;

use arrow::array::{Int64Array, RecordBatch};
use futures::FutureExt;
use tokio::sync::oneshot;

use super::*;
use crate::error::Kind;
use crate::source::gate::Load;
use crate::spec::config::Limits;

fn batch(number: i64) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![number])) as _)]).unwrap()
}

fn number(batch: &RecordBatch) -> i64 {
    batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
}

fn worker<F>(work: impl FnOnce(Output) -> F + Send + 'static) -> Worker
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Box::new(move |output| work(output).boxed())
}

/// A worker that gives the pieces it takes, one batch each.
fn giving(work: &Work<i64>) -> Worker {
    let work = work.clone();
    worker(move |output| async move {
        while let Some(piece) = work.take() {
            if output.give(batch(piece)).await.is_err() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    })
}

/// A worker that gives batches until the consumer is gone, counts them, and says when it stopped.
fn endless(given: &Arc<AtomicUsize>) -> (Worker, oneshot::Receiver<()>) {
    let (stopped, stop) = oneshot::channel();
    let given = Arc::clone(given);
    let work = worker(move |output| async move {
        while output.give(batch(0)).await.is_ok() {
            given.fetch_add(1, Ordering::SeqCst);
        }
        stopped.send(()).unwrap();
        Ok(())
    });
    (work, stop)
}

fn read(workers: Vec<Worker>) -> (Batches, Reading) {
    gather(workers, &Arc::new(Gate::default()))
}

/// Everything a stream gives, and the error it ends with.
async fn drain(mut batches: Batches) -> (Vec<i64>, Option<Error>) {
    let mut numbers = Vec::new();
    while let Some(item) = batches.next().await {
        match item {
            Ok(batch) => numbers.push(number(&batch)),
            Err(error) => {
                assert!(batches.next().await.is_none(), "the first error ends the stream");
                return (numbers, Some(error));
            }
        }
    }
    (numbers, None)
}

#[tokio::test]
async fn every_piece_is_read_once_and_all_ends_are_the_end() {
    let work = Work::new(0..100);
    let (batches, reading) = read((0..3).map(|_| giving(&work)).collect());
    assert!(reading.is_active());
    let (mut numbers, error) = drain(batches).await;
    numbers.sort_unstable();
    assert_eq!((numbers, error), ((0..100).collect(), None));
    assert!(!reading.is_active());
    reading.settle().await.unwrap();
}

#[tokio::test]
async fn no_workers_are_no_rows() {
    assert_eq!(drain(read(Vec::new()).0).await, (Vec::new(), None));
}

#[tokio::test]
async fn the_stream_does_not_end_before_the_last_worker() {
    let (finish, finished) = oneshot::channel::<()>();
    let slow = worker(|output| async move {
        finished.await.unwrap();
        let _ = output.give(batch(7)).await;
        Ok(())
    });
    let (mut batches, _reading) = read(vec![worker(|_| async { Ok(()) }), slow]);
    for _ in 0..10 {
        assert!(batches.next().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    finish.send(()).unwrap();
    assert_eq!(drain(batches).await, (vec![7], None));
}

#[tokio::test]
async fn trap_a_worker_that_panics_is_not_the_end() {
    // Alone, before the others end, and after them.
    for others in 0..3 {
        let work = Work::new(0..4);
        let mut workers: Vec<Worker> = (0..others).map(|_| giving(&work)).collect();
        workers.insert(0, worker(|_| async { panic!("a worker of the test breaks") }));
        let (batches, reading) = read(workers);
        let (_, error) = drain(batches).await;
        assert_eq!(error.map(|error| error.kind()), Some(Kind::Failed), "{others} others");
        assert_eq!(reading.settle().await.unwrap_err().kind(), Kind::Failed);
    }
}

#[tokio::test]
async fn trap_a_worker_that_is_aborted_is_not_the_end() {
    let stuck = worker(|_| futures::future::pending());
    let work = Work::new(0..4);
    let (batches, reading) = read(vec![giving(&work), stuck]);
    reading.tasks[1].abort();
    let (_, error) = drain(batches).await;
    assert_eq!(error.map(|error| error.kind()), Some(Kind::Failed));
}

#[tokio::test]
async fn a_worker_that_breaks_ends_the_read_while_others_go_on() {
    let given = Arc::default();
    let (work, stopped) = endless(&given);
    let (batches, _reading) = read(vec![work, worker(|_| async { panic!("a worker of the test breaks") })]);
    let (_, error) = drain(batches).await;
    assert_eq!(error.map(|error| error.kind()), Some(Kind::Failed));
    stopped.await.unwrap();
}

#[tokio::test]
async fn the_first_error_ends_the_read_and_stops_the_others() {
    let given = Arc::default();
    let (work, stopped) = endless(&given);
    let fails = worker(|output| async move {
        let _ = output.give(batch(1)).await;
        Err(Error::temporary("the connection is gone"))
    });
    let (batches, reading) = read(vec![work, fails]);
    let (_, error) = drain(batches).await;
    assert_eq!(error.map(|error| error.kind()), Some(Kind::Temporary));
    stopped.await.unwrap();
    reading.settle().await.unwrap();
}

#[tokio::test]
async fn dropping_the_stream_stops_every_worker() {
    let given = Arc::default();
    let (workers, stops): (Vec<_>, Vec<_>) = (0..3).map(|_| endless(&given)).unzip();
    // One that gives nothing hears of it too.
    let (heard, silent) = oneshot::channel();
    let waits = worker(|output| async move {
        output.closed().await;
        heard.send(()).unwrap();
        Ok(())
    });
    let (mut batches, reading) = read(workers.into_iter().chain([waits]).collect());
    batches.next().await.unwrap().unwrap();
    drop(batches);
    for stop in stops.into_iter().chain([silent]) {
        stop.await.unwrap();
    }
    reading.settle().await.unwrap();
}

#[tokio::test]
async fn dropping_the_stream_stops_a_worker_that_the_gate_holds() {
    let standing = Arc::new(Gate::default());
    standing.set_load(Load::Overload);
    let slow = Arc::new(Gate::new(Limits { rows_per_second: Some(1), ..Limits::default() }));
    slow.pass(1_000_000, 1).await;
    for gate in [standing, slow] {
        let given = Arc::default();
        let (work, stopped) = endless(&given);
        let (batches, reading) = gather(vec![work], &gate);
        tokio::task::yield_now().await;
        drop(batches);
        stopped.await.unwrap();
        reading.settle().await.unwrap();
        assert_eq!(given.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn nothing_is_read_ahead_beyond_the_bound() {
    for workers in [1, 3] {
        let given = Arc::default();
        let (all, stops): (Vec<_>, Vec<_>) = (0..workers).map(|_| endless(&given)).unzip();
        let (mut batches, _reading) = read(all);
        let settled = async || {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            given.load(Ordering::SeqCst)
        };
        assert_eq!(settled().await, BATCHES_AHEAD * workers);
        for taken in 1..=5 {
            batches.next().await.unwrap().unwrap();
            assert_eq!(settled().await, BATCHES_AHEAD * workers + taken);
        }
        drop(batches);
        for stop in stops {
            stop.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_read_that_is_not_at_its_end_does_not_settle() {
    let given = Arc::default();
    let (batches, reading) = read(vec![endless(&given).0]);
    assert_eq!(reading.settle().await.unwrap_err().kind(), Kind::Failed);
    drop(batches);
}
