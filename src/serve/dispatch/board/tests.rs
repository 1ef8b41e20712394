use super::*;
use crate::serve::fixture::pipeline;
use crate::spec::schedule::Priority;

fn board(at_once: usize, connections: &[(&str, usize)]) -> Board {
    let connections =
        connections.iter().map(|(name, most)| (ConnectionName::parse(name).unwrap(), *most)).collect();
    Board::new(Limits { runs: Runs { at_once, waiting: 100 }, connections })
}

fn waiting(name: &str, connection: &str, priority: Priority, asked_ms: i64) -> Waiting {
    let mut pipeline = pipeline(name, None);
    pipeline.connection = ConnectionName::parse(connection).unwrap();
    pipeline.priority = priority;
    Waiting {
        run_id: RunId::draw(),
        pipeline: Arc::new(pipeline),
        asked_ms,
        attempt: 1,
        not_before: None,
        cancel: CancellationToken::new(),
        asker: tracing::Span::none(),
    }
}

fn next(board: &mut Board) -> Option<String> {
    board.begin_next(Instant::now()).map(|run| run.pipeline.name.to_string())
}

fn name(text: &str) -> PipelineName {
    PipelineName::parse(text).unwrap()
}

#[test]
fn priority_comes_first_and_age_makes_up_for_it() {
    let mut board = board(10, &[]);
    board.wait(waiting("low", "c", Priority::Low, 0));
    board.wait(waiting("early", "c", Priority::Normal, 1));
    board.wait(waiting("late", "c", Priority::Normal, 2));
    board.wait(waiting("high", "c", Priority::High, 3));
    board.wait(waiting("much-later", "c", Priority::High, 2 * STEP_MS + 4));
    let order: Vec<_> = std::iter::from_fn(|| next(&mut board)).collect();
    assert_eq!(order, ["high", "early", "late", "low", "much-later"]);
}

#[test]
fn a_busy_connection_holds_up_nobody_else() {
    let mut board = board(3, &[("slow", 1)]);
    for (index, run) in (0..).zip(["a", "b", "c"]) {
        board.wait(waiting(run, "slow", Priority::High, index));
    }
    board.wait(waiting("d", "fast", Priority::Low, 10));
    assert_eq!(next(&mut board).as_deref(), Some("a"));
    assert_eq!(next(&mut board).as_deref(), Some("d"));
    assert_eq!(next(&mut board), None);
    board.end(&name("a"));
    assert_eq!(next(&mut board).as_deref(), Some("b"));
    board.end(&name("b"));
    board.end(&name("d"));
    assert_eq!(next(&mut board).as_deref(), Some("c"));
    assert_eq!(board.count(), 1);
}

#[test]
fn no_more_go_at_once_than_may_and_no_pipeline_twice() {
    let mut board = board(2, &[]);
    board.wait(waiting("a", "c", Priority::Normal, 0));
    assert!(!board.wait(waiting("a", "c", Priority::Normal, 1)), "one waits");
    assert_eq!(next(&mut board).as_deref(), Some("a"));
    assert!(board.wait(waiting("a", "c", Priority::Normal, 1)), "one is under way");
    assert_eq!(next(&mut board), None);
    board.wait(waiting("b", "c", Priority::Normal, 2));
    board.wait(waiting("d", "c", Priority::Normal, 3));
    assert_eq!(next(&mut board).as_deref(), Some("b"));
    assert_eq!(next(&mut board), None);
    board.end(&name("a"));
    assert_eq!(next(&mut board).as_deref(), Some("a"));
}

#[test]
fn a_pipeline_that_fails_again_and_again_stands_behind_others() {
    let mut board = board(1, &[]);
    for _ in 0..3 {
        board.came_out(&name("poisoned"), false);
    }
    board.wait(waiting("poisoned", "c", Priority::Normal, 0));
    board.wait(waiting("sound", "c", Priority::Low, STEP_MS));
    assert_eq!(next(&mut board).as_deref(), Some("sound"));
    board.end(&name("sound"));
    assert_eq!(next(&mut board).as_deref(), Some("poisoned"));
    board.end(&name("poisoned"));
    board.came_out(&name("poisoned"), true);
    board.wait(waiting("sound", "c", Priority::Normal, 1));
    board.wait(waiting("poisoned", "c", Priority::Normal, 0));
    assert_eq!(next(&mut board).as_deref(), Some("poisoned"));
}

#[test]
fn what_waits_for_its_next_attempt_is_woken_and_passed_by() {
    let mut board = board(2, &[]);
    let now = Instant::now();
    let later = now + Duration::from_secs(60);
    board.wait(Waiting { not_before: Some(later), ..waiting("a", "c", Priority::High, 0) });
    board.wait(waiting("b", "c", Priority::Low, 1));
    assert_eq!(board.begin_next(now).unwrap().pipeline.name, name("b"));
    assert!(board.begin_next(now).is_none());
    assert_eq!(board.next_wake(), Some(later));
    assert_eq!(board.begin_next(later).unwrap().pipeline.name, name("a"));
    assert_eq!(board.next_wake(), None);

    for waits in ["d", "e"] {
        board.wait(Waiting { not_before: Some(later), ..waiting(waits, "c", Priority::High, 0) });
    }
    board.remove(&name("d"));
    assert_eq!(board.next_wake(), Some(later), "another one begins then");
    board.remove(&name("e"));
    assert_eq!(board.next_wake(), None);
}

#[test]
fn other_limits_hold_at_once_and_end_nothing() {
    let mut board = board(1, &[]);
    for (index, run) in (0..).zip(["a", "b", "c"]) {
        board.wait(waiting(run, "slow", Priority::Normal, index));
    }
    assert_eq!((next(&mut board).as_deref(), next(&mut board)), (Some("a"), None));
    let limits = |at_once, most| Limits {
        runs: Runs { at_once, waiting: 100 },
        connections: [(ConnectionName::parse("slow").unwrap(), most)].into(),
    };
    assert!(board.limit(limits(5, 2)) && !board.limit(limits(5, 2)));
    assert_eq!((next(&mut board).as_deref(), next(&mut board)), (Some("b"), None));
    board.limit(limits(5, 1));
    board.end(&name("a"));
    assert_eq!(next(&mut board), None, "the other one is under way still");
    board.end(&name("b"));
    assert_eq!(next(&mut board).as_deref(), Some("c"));
}

#[test]
fn a_cancelled_run_no_longer_waits() {
    let mut board = board(1, &[]);
    let (first, second) = (waiting("a", "c", Priority::Normal, 0), waiting("b", "c", Priority::Normal, 1));
    let (one, two) = (first.run_id, second.run_id);
    let cancel = first.cancel.clone();
    board.wait(first);
    board.wait(second);
    next(&mut board);
    assert!(board.has(&name("a"), &one) && board.has(&name("b"), &two) && !board.has(&name("a"), &two));
    assert!(board.stop(&one) && cancel.is_cancelled());
    assert!(!board.stop(&two), "it is not under way");
    assert!(board.take(&name("b"), &one).is_none());
    assert_eq!(board.take(&name("b"), &two).unwrap().run_id, two);
    assert!(board.take(&name("b"), &two).is_none());
    board.end(&name("a"));
    assert_eq!(next(&mut board), None);
    assert_eq!(board.count(), 0);
}
