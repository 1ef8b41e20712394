//! Progress on a terminal; silence elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::show;
use crate::run::progress::{Counter, Progress};
use crate::run::{Published, StreamPlan};

/// One line per stream: rows, rows per second, bytes, and percent where the source told how many
/// rows to expect.
pub(super) struct Bars {
    bars: MultiProgress,
}

impl Bars {
    pub(super) fn new(json: bool) -> Self {
        let bars = MultiProgress::new();
        if json || !std::io::stderr().is_terminal() {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bars }
    }
}

impl Progress for Bars {
    fn started(&self, plan: &StreamPlan) -> Counter {
        let known = plan.rows.filter(|rows| *rows > 0);
        let bar = self.bars.add(known.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = if known.is_some() {
            "{prefix:28} {bar:24} {percent:>3}%  {human_pos} rows  {rate}  {msg}"
        } else {
            "{prefix:28} {spinner}  {human_pos} rows  {rate}  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─").with_key("rate", rate));
        }
        bar.set_prefix(plan.relation.stream.to_string());
        bar.enable_steady_tick(Duration::from_millis(100));
        let total_bytes = std::sync::atomic::AtomicU64::new(0);
        let bar = FinishedOnDrop(bar);
        Arc::new(move |rows, bytes| {
            let sum = total_bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed) + bytes;
            bar.0.inc(rows);
            bar.0.set_message(show::bytes(sum));
        })
    }

    fn published(&self, _: &Published) {}
}

/// A line that turns while something is done of which nobody can tell how far it is; gone when dropped.
pub(super) fn turning(json: bool, doing: String) -> impl Drop {
    let line = ProgressBar::new_spinner().with_message(doing);
    if json || !std::io::stderr().is_terminal() {
        line.set_draw_target(ProgressDrawTarget::hidden());
    }
    line.enable_steady_tick(Duration::from_millis(100));
    FinishedOnDrop(line)
}

/// Whole rows per second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
fn rate(state: &ProgressState, out: &mut dyn Write) {
    // A bar that cannot be drawn is no reason to stop.
    let _ = write!(out, "{} rows/s", show::count(state.per_sec() as u64));
}

/// A bar stops ticking when its stream ends, however it ends.
struct FinishedOnDrop(ProgressBar);

impl Drop for FinishedOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
