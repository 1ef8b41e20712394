//! Threads that encode the columns of a batch side by side.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow::array::ArrayRef;

use super::Fault;
use super::codec::Codec;
use super::column::{Column, Tools};

/// What is to be done with a column.
pub(super) enum Work {
    Append(Vec<ArrayRef>),
    EndChunk,
}

struct Task {
    /// The column's index in its file.
    index: usize,
    column: Box<Column>,
    work: Work,
}

/// A column that was worked on.
pub(super) type Done = (usize, Box<Column>, Result<(), Fault>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    /// Taken by a thread and not yet done.
    running: usize,
    done: Vec<Done>,
    ended: bool,
    /// A thread has broken off in the middle of a column.
    broken: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads, of which the caller's is one: all that is asked for gets done even when no other
/// ever starts. They end when the crew is dropped.
pub(in super::super) struct Crew {
    shared: Arc<Shared>,
    helpers: usize,
    tools: Tools,
}

impl Crew {
    /// Columns side by side pay when there is this much to do: values.
    const WORTH: usize = 8_192;

    /// A crew of the caller and `helpers` more, each started with `spawn`.
    pub(in super::super) fn new(
        codec: Codec,
        helpers: usize,
        spawn: impl Fn(Box<dyn FnOnce() + Send>),
    ) -> Self {
        let shared = Arc::new(Shared::default());
        for _ in 0..helpers {
            let shared = Arc::clone(&shared);
            spawn(Box::new(move || help(&shared, &mut Tools::new(codec))));
        }
        Self { shared, helpers, tools: Tools::new(codec) }
    }

    /// The caller's thread only, for files that need no crew.
    pub(in super::super) fn alone() -> Self {
        Self::new(Codec::Uncompressed, 0, drop)
    }

    pub(super) const fn has_helpers(&self) -> bool {
        self.helpers > 0
    }

    /// Works on columns; each comes back, whatever happens to it.
    pub(super) fn run(
        &mut self,
        tasks: Vec<(usize, Box<Column>, Work)>,
        rows: usize,
    ) -> Result<Vec<Done>, Fault> {
        if self.helpers == 0 || tasks.len() < 2 || rows * tasks.len() < Self::WORTH {
            let tools = &mut self.tools;
            return Ok(tasks
                .into_iter()
                .map(|(index, column, work)| Task { index, column, work }.run(tools))
                .collect());
        }
        let mut state = self.shared.state();
        state.waiting.extend(tasks.into_iter().map(|(index, column, work)| Task { index, column, work }));
        self.shared.work.notify_all();
        while let Some(task) = state.waiting.pop_front() {
            drop(state);
            let done = task.run(&mut self.tools);
            state = self.shared.state();
            state.done.push(done);
        }
        while state.running > 0 && !state.broken {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.broken {
            return Err(Fault("a thread that encodes stopped in mid-work"));
        }
        Ok(std::mem::take(&mut state.done))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.work.notify_all();
    }
}

impl Task {
    fn run(mut self, tools: &mut Tools) -> Done {
        let result = match &self.work {
            Work::Append(arrays) => arrays.iter().try_for_each(|array| self.column.append(array, tools)),
            Work::EndChunk => self.column.end_chunk(tools),
        };
        (self.index, self.column, result)
    }
}

/// Marks the crew broken unless it is told that all went well.
struct Alarm<'a>(&'a Shared, bool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.state().broken = true;
            self.0.done.notify_all();
        }
    }
}

/// A helper's life.
fn help(shared: &Shared, tools: &mut Tools) {
    let mut alarm = Alarm(shared, true);
    let mut state = shared.state();
    while !state.ended {
        let Some(task) = state.waiting.pop_front() else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.running += 1;
        drop(state);
        let done = task.run(tools);
        state = shared.state();
        state.running -= 1;
        state.done.push(done);
        if state.running == 0 {
            shared.done.notify_all();
        }
    }
    alarm.1 = false;
}
