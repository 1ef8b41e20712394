//! Places of a document that must not be shown: a secret written where a reference belongs, or
//! where it belongs nowhere.
//!
//! A problem shows the line it is in, and a secret may stand on that line for an unrelated reason.
//! So every value under a key that names a secret, and every text that holds credentials, is
//! hidden from all excerpts and messages unless it is a reference.

use super::faults::{nearest, quoted};
use super::text::{Span, Text};
use super::tree::{Node, Value};

/// What is shown instead.
pub(crate) const MASK: &str = "********";

/// Keys whose values are secrets. Others that contain or come near one count as well.
const SECRET_KEYS: [&str; 9] = [
    "password",
    "passphrase",
    "passwd",
    "pwd",
    "secret",
    "secret_access_key",
    "session_token",
    "credentials",
    "api_key",
];
/// A key that contains one of these names a secret, whatever else it says.
const SECRET_PARTS: [&str; 9] =
    ["pass", "pwd", "secret", "token", "credential", "apikey", "api_key", "access_key", "private_key"];
/// A secret as a word of its own only: `shipping` is none.
const PIN: &str = "pin";
/// Keys whose children are named by the writer: a column `password_hash` is no secret.
const NAMING_KEYS: [&str; 6] = ["streams", "columns", "schema", "stores", "connections", "roles"];

/// One place that must not be shown, with what stands there.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// Whether text is a reference (`env:NAME`, `file:PATH`) and so may be shown.
pub(crate) fn is_reference(text: &str) -> bool {
    match text.split_once(':') {
        Some(("env", name)) => {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        }
        Some(("file", path)) => !path.is_empty(),
        _ => false,
    }
}

/// The places of a document's tree that must not be shown.
pub(crate) fn in_tree(root: &Node, text: &Text) -> Vec<Hidden> {
    let mut hidden = Vec::new();
    search(root, false, text, &mut hidden);
    hidden
}

/// Walks the tree, whose depth the parser bounds; `under_secret` when a key above names a secret.
fn search(node: &Node, under_secret: bool, document: &Text, hidden: &mut Vec<Hidden>) {
    match &node.value {
        Value::Scalar { text, .. } => {
            if !is_reference(text) && (under_secret || holds_credentials(text)) {
                hidden.push(Hidden { span: node.span, text: text.clone() });
            }
        }
        Value::Sequence(items) => {
            for item in items {
                search(item, under_secret, document, hidden);
            }
        }
        Value::Mapping(entries) => {
            for (key, value) in entries {
                let secret = names_a_secret(key.text());
                if under_secret {
                    search(key, true, document, hidden);
                } else if secret {
                    hidden.extend(whole_value(key, value, document));
                }
                if NAMING_KEYS.contains(&key.text()) && !under_secret {
                    search_named(value, document, hidden);
                } else {
                    search(value, under_secret || secret, document, hidden);
                }
            }
        }
        Value::Nothing | Value::Wrong => {}
    }
}

/// Everything behind a secret's key, with the anchor, tag or alias that a secret beginning with
/// `&`, `!` or `*` is read as. Nothing for a plain reference.
fn whole_value(key: &Node, value: &Node, document: &Text) -> Option<Hidden> {
    let behind = document.after(key.span.end);
    let written = behind.trim_start_matches([':', '"', '\'', ' ', '\t', '\r', '\n']);
    let start = key.span.end + (behind.len() - written.len());
    let odd = written.starts_with(['&', '!', '*']);
    let end = match &value.value {
        Value::Nothing if !odd => return None,
        Value::Nothing => document.line(document.position(start).0).end,
        _ => value.span.end,
    };
    if is_reference(value.text()) && !odd || end <= start {
        return None;
    }
    Some(hidden(document, Span { start, end }))
}

/// As [`search`], for a mapping whose keys are names: only their values are looked at.
fn search_named(node: &Node, document: &Text, hidden: &mut Vec<Hidden>) {
    match &node.value {
        Value::Mapping(entries) => {
            for (_, value) in entries {
                search(value, false, document, hidden);
            }
        }
        _ => search(node, false, document, hidden),
    }
}

/// The action `tokenize` is no token. Keeps every offset.
fn without_actions(lower: &str) -> String {
    lower.replace("tokeniz", "_______").replace("tokenis", "_______")
}

fn names_a_secret(key: &str) -> bool {
    let key = without_actions(&key.to_lowercase().replace('-', "_"));
    // A misspelling keeps its first letter, or the decoder finds it: this runs for every key there is.
    let may_be = |known: &&str| known.len() >= 6 && known.as_bytes().first() == key.as_bytes().first();
    let near = || {
        let known: Vec<_> = SECRET_KEYS.iter().copied().filter(may_be).collect();
        key.len() >= 5 && nearest(&key, &known).is_some()
    };
    SECRET_PARTS.iter().any(|part| key.contains(part)) || key.split('_').any(|word| word == PIN) || near()
}

/// Whether a text holds credentials by its form: `scheme://user:secret@host`, `password=…`, `PWD=…`.
fn holds_credentials(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    // A password may itself hold a slash, so an `@` anywhere behind the scheme counts.
    let in_url = authority.is_some_and(|a| a.contains('@'))
        || text.split_once("://").is_some_and(|(_, rest)| rest.contains('@') && rest.contains(':'));
    let squeezed = text.to_lowercase().replace(' ', "");
    let names_one = squeezed.contains("password=") || squeezed.contains("pwd=");
    in_url || (names_one && !squeezed.contains("select"))
}

/// The part of a line that must not be shown in a document that does not even parse: what follows
/// a word that names a secret, on that line or as the continuation of the line before.
pub(crate) fn in_broken_line(text: &Text, line: usize) -> Option<Hidden> {
    let content = |line: usize| {
        let span = text.line(line);
        (span, text.at(span))
    };
    let (span, shown) = content(line);
    if let Some(start) = secret_value_start(shown) {
        let start = span.start + start;
        return Some(hidden(text, Span { start, end: span.end }));
    }
    let before = (1..line).rev().take(20).map(|line| content(line).1);
    for earlier in before {
        if secret_value_start(earlier).is_some() {
            return Some(hidden(text, span));
        }
        let ends_a_value = earlier.contains(": ") || earlier.trim_end().ends_with(':');
        if ends_a_value {
            break;
        }
    }
    None
}

/// What follows a tag or an anchor that swallowed the key of a secret (`!password: …`). It may have
/// become a key itself, which messages name, so its bare text is hidden too.
pub(crate) fn behind_odd_name(text: &Text, node: Span) -> Vec<Hidden> {
    let (line, _) = text.position(node.start);
    let before = text.at(Span { start: text.line(line).start, end: node.start });
    if !before.rsplit(['&', '!']).next().is_some_and(names_a_secret) {
        return Vec::new();
    }
    let Some(rest) = in_broken_line(text, line) else { return Vec::new() };
    let bare = rest.text.split([',', '}', ']', '"', '\'']).map(str::trim).find(|part| !part.is_empty());
    let bare = bare.map(|bare| Hidden { span: rest.span, text: bare.to_owned() });
    [Some(rest), bare].into_iter().flatten().collect()
}

/// Hides the credentials in a comment, and everything behind it on the line.
pub(crate) fn in_comment(text: &Text, line: Span) -> Option<Hidden> {
    let shown = text.at(line);
    let at = shown.match_indices('#').map(|(at, _)| at).find(|at| {
        let Some((before, comment)) = shown.split_at_checked(*at) else { return false };
        before.chars().next_back().is_none_or(char::is_whitespace) && {
            let comment = comment.to_lowercase();
            SECRET_PARTS.iter().any(|part| comment.contains(part)) || holds_credentials(&comment)
        }
    })?;
    Some(hidden(text, Span { start: line.start + at, end: line.end }))
}

fn hidden(text: &Text, span: Span) -> Hidden {
    Hidden { span, text: text.at(span).to_owned() }
}

/// Where on a line the value behind a secret's key begins, unless it is a reference.
fn secret_value_start(line: &str) -> Option<usize> {
    let lower = without_actions(&line.to_ascii_lowercase());
    let part = SECRET_PARTS.iter().filter_map(|part| lower.find(part).map(|at| at + part.len())).min();
    let word = part.into_iter().chain(pin_end(&lower)).min()?;
    let separator = word + lower.get(word..)?.find([':', '='])? + 1;
    let value = line.get(separator..)?.trim_start();
    let reference = value.trim_start_matches(['"', '\'']);
    let reference = reference.split([',', '}', '"', '\'', ' ']).next().unwrap_or_default();
    let rest = line.len() - value.len();
    if is_reference(reference) {
        // A second secret may follow the reference.
        let next = rest + value.find(reference).unwrap_or(0) + reference.len();
        return line.get(next..).and_then(secret_value_start).map(|at| next + at);
    }
    Some(rest)
}

/// Where the word `pin` ends on a line.
fn pin_end(line: &str) -> Option<usize> {
    let is_word = |at: usize| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + PIN.len()..).and_then(|after| after.chars().next());
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    };
    line.match_indices(PIN).map(|(at, _)| at).find(|at| is_word(*at)).map(|at| at + PIN.len())
}

/// A message without any hidden text that it quotes.
pub(crate) fn without(message: &str, hidden: &[Hidden]) -> String {
    let mut message = message.to_owned();
    for one in hidden.iter().filter(|one| !one.text.is_empty()) {
        message = message.replace(&quoted(&one.text), &format!("`{MASK}`"));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_key() {
        for key in [
            "password",
            "passwort",
            "pasword",
            "db-password",
            "secret_access_key",
            "api_key",
            "PWD",
            "pin",
            "user-pin",
        ] {
            assert!(names_a_secret(key), "{key}");
        }
        for key in [
            "host",
            "port",
            "path",
            "region",
            "user",
            "description",
            "file",
            "tokenize",
            "tokenise",
            "shipping",
        ] {
            assert!(!names_a_secret(key), "{key}");
        }
    }

    #[test]
    fn a_broken_line_shows_nothing_behind_a_secret_key() {
        let cases = [
            ("  password: \"hunter2", "  password: "),
            ("{host: a, password: hunter2, b: [", "{host: a, password: "),
            ("{passphrase: env:A, password: hunter2", "{passphrase: env:A, password: "),
            ("{pins: no, shipping: b, pin: 1234, [", "{pins: no, shipping: b, pin: "),
        ];
        for (line, shown) in cases {
            let text = Text::of(line);
            let hidden = in_broken_line(&text, 1).unwrap();
            assert_eq!(line.get(..hidden.span.start), Some(shown));
        }
        assert!(in_broken_line(&Text::of("password: env:A"), 1).is_none());
        assert!(in_broken_line(&Text::of("password: |\n  hunter2\n"), 2).is_some());
    }

    #[test]
    fn credentials_are_known_by_their_form() {
        assert!(holds_credentials("postgres://sealift:hunter2@db/crm"));
        assert!(holds_credentials("host=db password=hunter2"));
        assert!(holds_credentials("Driver={x};UID=a;Pwd = hunter2"));
        assert!(!holds_credentials("s3://bucket/prefix"));
        assert!(!holds_credentials("http://127.0.0.1:9000"));
    }
}
