//! The text of one document, and places in it.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Most bytes of a document.
const MAX_BYTES: u64 = 1 << 20;

/// A range of byte offsets in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const START: Self = Self { start: 0, end: 0 };
}

/// One document as it was read.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) path: PathBuf,
    /// SHA-256 of the bytes, lower-case hex.
    pub(crate) digest: String,
    content: String,
    line_starts: Vec<usize>,
}

impl Text {
    /// Reads a document file: a regular file of UTF-8, of bounded size.
    ///
    /// The error says why not, at the file; a path in a document is reported at that path instead.
    pub(crate) fn read(path: &Path) -> Result<Self, Box<Problem>> {
        let refused =
            |message: String, help: &str| Box::new(Problem::of_file(path, message, Some(help.to_owned())));
        let unreadable = |error: &std::io::Error| {
            refused(format!("cannot read the file ({})", error.kind()), "check the path and its permissions")
        };
        let is_file = std::fs::metadata(path).map_err(|e| unreadable(&e))?.is_file();
        if !is_file {
            return Err(refused("this is not a file".to_owned(), "name a YAML document"));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|e| unreadable(&e))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
        Self::from_bytes(path, bytes)
    }

    /// A document of bounded size that is to be written to `path`, or was read from it.
    pub(crate) fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, Box<Problem>> {
        if bytes.len() as u64 > MAX_BYTES {
            let help = "split the pipeline; a document of this size is rarely meant to be one".to_owned();
            let message = "the document is larger than 1 MiB".to_owned();
            return Err(Box::new(Problem::of_file(path, message, Some(help))));
        }
        let digest = hex::encode(Sha256::digest(&bytes));
        let mut content = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let valid = String::from_utf8_lossy(valid);
            let line = 1 + valid.matches('\n').count();
            let column = 1 + valid.rsplit('\n').next().unwrap_or_default().chars().count();
            let help = "save the file with UTF-8 encoding".to_owned();
            let problem = Problem::of_file(path, "the document is not UTF-8 text".to_owned(), Some(help));
            Box::new(Problem { line, column, ..problem })
        })?;
        if content.starts_with('\u{feff}') {
            content.drain(..'\u{feff}'.len_utf8());
        }
        Ok(Self::new(path, digest, content))
    }

    fn new(path: &Path, digest: String, content: String) -> Self {
        let line_starts =
            std::iter::once(0).chain(content.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), digest, content, line_starts }
    }

    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// What stands at a place. A character that the place cuts is there as a whole, so that what
    /// must be hidden is hidden.
    pub(crate) fn at(&self, span: Span) -> &str {
        let start = self.content.floor_char_boundary(span.start);
        let end = self.content.ceil_char_boundary(span.end);
        self.content.get(start..end).unwrap_or_default()
    }

    /// What stands behind an offset, to the end of the document.
    pub(crate) fn after(&self, offset: usize) -> &str {
        self.at(Span { start: offset, end: self.content.len() })
    }

    /// The folder that relative paths of the document resolve against.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// A path that the document names, as seen from its folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        without_dots(&self.folder().join(path))
    }

    /// Line and column of an offset, both from 1; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.content.floor_char_boundary(offset);
        let line = self.line_of(offset);
        let before = self.at(Span { start: self.line_starts[line - 1], end: offset });
        (line, 1 + before.chars().count())
    }

    /// The bytes of a line (from 1), without its line break.
    pub(crate) fn line(&self, line: usize) -> Span {
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(self.content.len());
        let end = self.line_starts.get(line).copied().unwrap_or(self.content.len());
        let kept = self.at(Span { start, end }).trim_end_matches(['\n', '\r']);
        Span { start, end: start + kept.len() }
    }

    fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }
}

/// The same path with every `x/..` and `.` taken out, so that it reads well in messages.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

#[cfg(test)]
impl Text {
    /// A document that was never a file.
    pub(crate) fn of(content: &str) -> Self {
        Self::new(Path::new("test.yaml"), String::new(), content.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_lose_their_breaks() {
        let text = Text::of("é: x\r\nü: y");
        assert_eq!(text.position("é: x\r\nü".len()), (2, 2));
        assert_eq!(text.at(text.line(1)), "é: x");
        assert_eq!(text.position(9999), (2, 5));
    }

    #[test]
    fn a_place_that_cuts_a_character_shows_it_whole() {
        let text = Text::of("aéb");
        assert_eq!(text.at(Span { start: 2, end: 2 }), "é");
        assert_eq!(text.at(Span { start: 0, end: 2 }), "aé");
        assert_eq!(text.after(2), "éb");
        assert_eq!(text.at(Span { start: 9, end: 99 }), "");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_placed() {
        let problem = Text::from_bytes(Path::new("x"), b"a: b\nc: \xff".to_vec()).unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 4));
    }

    #[test]
    fn the_digest_is_of_the_bytes() {
        let text = Text::from_bytes(Path::new("x"), b"\xef\xbb\xbfabc".to_vec()).unwrap();
        assert_eq!(text.content(), "abc");
        assert_eq!(text.digest, hex::encode(Sha256::digest(b"\xef\xbb\xbfabc")));
    }
}
