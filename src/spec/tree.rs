//! YAML text as a tree of nodes that know where they stand.

use std::collections::HashMap;

use serde_saphyr::granit_parser as yaml;
use yaml::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput};

use super::faults::{Fault, Faults, quoted};
use super::hidden;
use super::text::Span;

/// Deepest nesting of collections of each notation.
const MAX_DEPTH: usize = 32;

/// A part of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Nothing,
    /// One value; `plain` when it is written without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    /// Entries in document order, keys unique.
    Mapping(Vec<(Node, Node)>),
    /// Something that is reported already.
    Wrong,
}

impl Node {
    /// The text of a scalar; empty for anything else.
    pub(crate) fn text(&self) -> &str {
        match &self.value {
            Value::Scalar { text, .. } => text,
            _ => "",
        }
    }

    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|(k, _)| k.text() == key).map(|(_, v)| v),
            _ => None,
        }
    }
}

/// The document's tree, or `None` where it is no YAML; what is wrong is told to `faults`.
pub(crate) fn parse(faults: &Faults<'_>) -> Option<Node> {
    let mut options = yaml::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let events = Parser::new_from_str_with_options(faults.text.content(), options);
    let root = Builder { events, faults }.document();
    match root {
        Ok(Some(root)) => {
            faults.hide(hidden::in_tree(&root, faults.text));
            Some(root)
        }
        Ok(None) => {
            faults.push(
                Fault::new(Span::START, "the document is empty")
                    .help("begin with `apiVersion: sealift/v1` and `kind:`"),
            );
            None
        }
        Err(error) => {
            let at = error.marker().byte_offset().unwrap_or(0);
            let (line, _) = faults.text.position(at);
            let told = faults.lines();
            // Without a tree, secrets are known by the words before them only.
            let lines = told.iter().copied().chain([line]);
            faults.hide(lines.filter_map(|line| hidden::in_broken_line(faults.text, line)));
            // What is told of this line already is the cause of the rest.
            if !told.contains(&line) {
                faults.push(unreadable(&error, Span { start: at, end: at }));
            }
            None
        }
    }
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    faults: &'a Faults<'a>,
}

impl<'a> Builder<'a> {
    /// The first document of the stream; a second one is reported.
    fn document(mut self) -> Result<Option<Node>, Box<ScanError>> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    let (line, _) = self.faults.text.position(span.start);
                    self.faults.hide(hidden::in_broken_line(self.faults.text, line));
                    self.faults.push(
                        Fault::new(span, "a second document begins here")
                            .help("write one document in a file, without `---` between parts"),
                    );
                    break;
                }
                event => root = Some(self.node(event, span)?),
            }
        }
        // `---` and comments alone give one node that is nothing.
        Ok(root.filter(|root| !matches!(root.value, Value::Nothing)))
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Box<ScanError>> {
        let Some(next) = self.events.next_event() else { return Ok(None) };
        let (event, span) = next.map_err(Box::new)?;
        let range = span.byte_range().unwrap_or(0..0);
        Ok(Some((event, Span { start: range.start, end: range.end.max(range.start) })))
    }

    /// The node that begins with `event`. Its depth is bounded by the parser's nesting limits.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Box<ScanError>> {
        self.refuse_tag(&event, span);
        if event.tag().is_some() || event.anchor_id().is_some() {
            self.faults.hide(hidden::behind_odd_name(self.faults.text, span));
        }
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let nothing = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value =
                    if nothing { Value::Nothing } else { Value::Scalar { text: text.into_owned(), plain } };
                Ok(Node { span, value })
            }
            Event::SequenceStart(..) => self.sequence(span),
            Event::MappingStart(..) => self.mapping(span),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.faults.push(
                    Fault::new(span, "aliases (`*name`) are not used in these documents")
                        .help("write the value out; put quotes around a text that begins with `*`"),
                );
                Ok(Node { span, value: Value::Wrong })
            }
            _ => Ok(Node { span, value: Value::Wrong }),
        }
    }

    fn refuse_tag(&self, event: &Event<'a>, span: Span) {
        if event.tag().is_some() {
            self.faults.push(
                Fault::new(span, "YAML tags (`!name`) are not used in these documents")
                    .help("remove it; put quotes around a text that begins with `!`"),
            );
        }
    }

    fn sequence(&mut self, span: Span) -> Result<Node, Box<ScanError>> {
        let mut items = Vec::new();
        let mut end = span.end;
        while let Some((event, at)) = self.next()? {
            end = end.max(at.end);
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, at)?);
        }
        Ok(Node { span: Span { start: span.start, end }, value: Value::Sequence(items) })
    }

    /// An entry that is reported and kept out of the tree; a secret in it is hidden all the same.
    fn leave_out(&self, key: Node, value: Node) {
        let span = key.span;
        let pair = [key.clone(), value.clone()];
        let nodes = [Value::Mapping(vec![(key, value)]), Value::Sequence(pair.into())];
        for value in nodes {
            self.faults.hide(hidden::in_tree(&Node { span, value }, self.faults.text));
        }
    }

    fn mapping(&mut self, span: Span) -> Result<Node, Box<ScanError>> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut end = span.end;
        while let Some((event, at)) = self.next()? {
            end = end.max(at.end);
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let mut key = self.node(event, at)?;
            let Some((event, at)) = self.next()? else { break };
            let value = self.node(event, at)?;
            match &key.value {
                // `null:` and `~:` are names like any other.
                Value::Nothing if key.span.end > key.span.start => {
                    let text = self.faults.text.at(key.span).to_owned();
                    key.value = Value::Scalar { text, plain: false };
                }
                Value::Scalar { .. } => {}
                Value::Wrong => {
                    self.leave_out(key, value);
                    continue;
                }
                _ => {
                    self.faults.push(
                        Fault::new(key.span, "a key must be one word or a quoted text")
                            .help("put quotes around a text that begins with `{` or `[`, or that is empty"),
                    );
                    self.leave_out(key, value);
                    continue;
                }
            }
            if let Some(first) = seen.get(key.text()) {
                let (line, _) = self.faults.text.position(*first);
                self.faults.push(
                    Fault::new(key.span, format!("{} is given twice", quoted(key.text())))
                        .help(format!("remove one; the first is on line {line}")),
                );
                self.leave_out(key, value);
                continue;
            }
            seen.insert(key.text().to_owned(), key.span.start);
            entries.push((key, value));
        }
        Ok(Node { span: Span { start: span.start, end }, value: Value::Mapping(entries) })
    }
}

/// A syntax error in words for people; it never quotes the document.
fn unreadable(error: &ScanError, span: Span) -> Fault {
    let (message, help) = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab is used for indentation", "indent with spaces"),
        ErrorKind::UnclosedQuotedScalar => ("a quote is opened and not closed", "add the closing quote"),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "text follows a closing quote",
            "put the whole text in quotes; inside single quotes, write a quote twice",
        ),
        ErrorKind::UnknownQuotedScalarEscape => {
            ("a backslash in double quotes begins no known escape", "write it twice, or use single quotes")
        }
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::UnclosedFlowCollection { .. } => {
            ("brackets do not match", "look for a missing `,`, `}` or `]` at or before this place")
        }
        ErrorKind::UnexpectedCharacter { .. } | ErrorKind::MissingAnchorOrAliasName => {
            ("a text cannot begin with this character", "put quotes around the text")
        }
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::MappingKeyNotAllowed => (
            "a `:` stands where none can be",
            "check the indentation; put quotes around a text that holds `: `",
        ),
        ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::BlockSequenceEntryNotAllowed => (
            "the structure breaks here",
            "check the indentation of this line and the one before, and the `:` after each key; \
             put quotes around a text that begins with `{` or `[`",
        ),
        ErrorKind::RecursionLimitExceeded => ("the document is nested too deeply", "no key lies this deep"),
        ErrorKind::ExpectedDocumentStart | ErrorKind::MissingDocumentEndBeforeDirective => {
            ("text follows the end of the document", "check the indentation of this line")
        }
        _ => ("this is not valid YAML", "check the indentation, quotes and brackets around this place"),
    };
    Fault::new(span, message).help(help)
}
