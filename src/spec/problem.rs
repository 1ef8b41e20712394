//! Problems of documents, as people and programs read them.
#![expect(
    clippy::string_slice,
    reason = "offsets come from the parser or a search and lie between characters"
)]

use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::hidden::{self, Hidden, MASK};
use super::text::{Span, Text, floor};
use crate::error::Error;

/// One thing that is wrong in a document.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The document.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    pub(crate) excerpt: Option<Excerpt>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(crate) fn of_file(file: &Path, message: String, help: Option<String>) -> Self {
        Self { file: file.to_owned(), line: 1, column: 1, message, help, excerpt: None }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let path = self.file.to_string_lossy();
        let origin = || Origin::path(path.clone()).line(self.line).char_column(self.column);
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match &self.excerpt {
            None => title.element(origin()),
            Some(excerpt) => {
                let caret = AnnotationKind::Primary.span(excerpt.start..excerpt.end);
                let line = Snippet::source(excerpt.line.as_str()).line_start(self.line).annotation(caret);
                if excerpt.shifted {
                    title.element(origin()).element(line)
                } else {
                    title.element(line.path(path.clone()))
                }
            }
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(annotate_snippets::normalize_untrusted_str(help)));
        }
        let rendered = renderer.render(&[group]);
        match &self.excerpt {
            Some(excerpt) if excerpt.shifted => without_separator(&rendered),
            _ => rendered,
        }
    }
}

/// Drops the `:::` that the renderer puts between an origin and its snippet.
fn without_separator(rendered: &str) -> String {
    let separates = |line: &str| line.contains(":::") && !line.contains(['|', '=']);
    let (title, rest) = rendered.split_once('\n').unwrap_or((rendered, ""));
    let kept = std::iter::once(title).chain(rest.lines().filter(|line| !separates(line)));
    kept.collect::<Vec<_>>().join("\n")
}

/// The line a problem is in, as it may be shown, and the part of it that is meant.
#[derive(Clone, Debug)]
pub(crate) struct Excerpt {
    line: String,
    start: usize,
    end: usize,
    /// Something before the caret is masked or cut, so that its column is not the document's.
    shifted: bool,
}

impl Excerpt {
    pub(crate) fn new(text: &Text, span: Span, hidden: &[Hidden]) -> Self {
        let line = text.line(text.position(span.start).0);
        let mut masked: Vec<Span> = hidden
            .iter()
            .map(|hidden| hidden.span)
            .chain(hidden::in_comment(text, line).map(|hidden| hidden.span))
            .filter(|masked| masked.start < line.end && masked.end > line.start)
            .collect();
        masked.sort_by_key(|masked| masked.start);
        let mut excerpt = Self { line: String::new(), start: 0, end: 0, shifted: false };
        let caret_end = span.end.min(line.end);
        let mut at = line.start;
        for masked in masked {
            let (start, end) = (masked.start.max(at), masked.end.min(line.end));
            if start < end {
                excerpt.copy(text, Span { start: at, end: start }, span.start, caret_end);
                excerpt.mask(Span { start, end }, span.start, caret_end);
                at = end;
            }
        }
        excerpt.copy(text, Span { start: at, end: line.end }, span.start, caret_end);
        excerpt.close(span.start >= line.end);
        excerpt.crop();
        excerpt
    }

    /// Appends a part of the line as it is, and moves the caret along.
    fn copy(&mut self, text: &Text, part: Span, caret_start: usize, caret_end: usize) {
        let base = self.line.len();
        self.line.push_str(&text.content()[part.start..part.end]);
        if (part.start..part.end).contains(&caret_start) {
            self.start = base + caret_start - part.start;
        }
        if part.start < caret_end && caret_end <= part.end {
            self.end = base + caret_end - part.start;
        }
    }

    /// Appends the mask in place of a part of the line; a caret in it covers the mask.
    fn mask(&mut self, part: Span, caret_start: usize, caret_end: usize) {
        let base = self.line.len();
        self.line.push_str(MASK);
        self.shifted |= part.start < caret_start;
        if (part.start..part.end).contains(&caret_start) {
            self.start = base;
        }
        if part.start < caret_end && caret_end <= part.end {
            self.end = self.line.len();
        }
    }

    /// Makes the caret at least one character wide and no wider than what is written.
    fn close(&mut self, at_line_end: bool) {
        if at_line_end {
            self.start = self.line.len();
        }
        self.end = self.end.max(self.start);
        let written = self.line[self.start..self.end].trim_end().len();
        self.end = self.start + written;
        if self.end == self.start {
            self.end += self.line[self.start..].chars().next().map_or(0, char::len_utf8);
        }
    }

    /// Keeps a readable stretch around the caret of a line that is too long to show.
    fn crop(&mut self) {
        const AROUND: usize = 100;
        const CARET: usize = 60;
        self.end = floor(&self.line, self.end.min(self.start + CARET)).max(self.start);
        let last = floor(&self.line, self.end + AROUND);
        if last < self.line.len() {
            self.line.truncate(last);
            self.line.push('…');
        }
        let first = floor(&self.line, self.start.saturating_sub(AROUND));
        if first > 0 {
            self.line.replace_range(..first, "…");
            self.shifted = true;
            self.start = self.start - first + '…'.len_utf8();
            self.end = self.end - first + '…'.len_utf8();
        }
    }
}

/// Every problem of one or several documents. Never empty.
#[derive(Clone, Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` with the problems, if there are any.
    pub(crate) fn none(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// Problems that are known to be there.
    pub(crate) const fn of(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// The problems, document by document, in document order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them for people: what is wrong, where, the line with a caret, and what to do.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let rendered: Vec<_> = self.0.iter().map(|problem| problem.render(&renderer)).collect();
        rendered.join("\n\n")
    }

    /// All of them for programs: `{"problems":[{"file","line","column","message","help"}]}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let problems: Vec<_> = self
            .0
            .iter()
            .map(|problem| {
                serde_json::json!({
                    "file": problem.file.to_string_lossy(),
                    "line": problem.line,
                    "column": problem.column,
                    "message": problem.message,
                    "help": problem.help,
                })
            })
            .collect();
        serde_json::json!({ "problems": problems })
    }

    /// `1 problem`, `3 problems`.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.count() {
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::invalid(format!("{} in what is written\n\n{problems}", problems.summary()))
    }
}
