//! Keeps the house as easy to read as its map: who may know whom, how long a file may be, what a
//! module may be called, what may lie at the top. Each rule is a function over text, tried below
//! on a text that breaks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may name through `crate::`; the map of docs/architecture.md as a table.
/// A module not listed here may know nobody.
const MAY_KNOW: &[(&str, &str)] = &[
    ("error", ""),
    ("secret", "error"),
    ("spec", "error secret"),
    ("source", "error secret spec"),
    ("transform", "error secret spec"),
    ("classify", "error secret spec"),
    ("keys", "error secret spec"),
    ("protect", "error secret spec classify keys"),
    ("publish", "error secret spec keys protect"),
    ("govern", "error secret spec"),
    ("run", "error secret spec source transform classify keys protect publish govern"),
    ("query", "error secret spec keys protect publish govern"),
    ("serve", "error secret spec source transform classify keys protect publish govern run query"),
    ("cli", "error secret spec source transform classify keys protect publish govern run query serve"),
];

const MOST_LINES: usize = 500;
const BANNED_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const MACHINE_FOLDERS: &[&str] = &["home", "root", "Users", "work"];
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clients",
    "clippy.toml",
    "config",
    "deny.toml",
    "docs",
    "pipelines",
    "rustfmt.toml",
    "src",
    "tests",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder whose name ends in one of `endings`, sorted.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<PathBuf> {
    ["src", "tests", "benches"].iter().flat_map(|folder| files(&root().join(folder), &[".rs"])).collect()
}

/// The path as people write it, relative to the repository.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// Rust code without comments and without what stands inside quotes; lines stay lines.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let end = if starts(at, "//") {
            (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            end_of_block(&chars, at)
        } else if let Some(end) = end_of_raw_string(&chars, at).filter(|_| !word_before) {
            end
        } else if chars[at] == '"' || opens_character(&chars[at..]) {
            end_of_quoted(&chars, at)
        } else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        out.push(' ');
        out.extend(chars[at..end].iter().filter(|c| **c == '\n'));
        at = end;
    }
    out
}

/// A character in quotes, and not a lifetime.
fn opens_character(chars: &[char]) -> bool {
    chars[0] == '\'' && (chars.get(1) == Some(&'\\') || chars.get(2) == Some(&'\''))
}

fn end_of_block(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Past the closing quote of a string or character that opens at `start`.
fn end_of_quoted(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != chars[start] {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Past the end of `r"…"`, `r#"…"#`, `br#"…"#`, if one opens at `start`.
fn end_of_raw_string(chars: &[char], start: usize) -> Option<usize> {
    let mut at = start + usize::from(chars[start] == 'b');
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(at)
}

fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            words.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    words
}

/// The top-level modules that code names, through `crate::…`, `crate::{…}` or enough `super::`.
/// `depth` counts the module path of the file (1 for src/spec/mod.rs, 2 for src/spec/load.rs).
fn known(code: &str, depth: usize) -> BTreeSet<String> {
    let words = words(code);
    let mut known = BTreeSet::new();
    let mut at = 0;
    while at < words.len() {
        let mut next = at + 1;
        let reaches_root = match words[at] {
            "crate" => words.get(next) == Some(&"::"),
            "super" => {
                let mut supers = 1;
                while words.get(next) == Some(&"::") && words.get(next + 1) == Some(&"super") {
                    (supers, next) = (supers + 1, next + 2);
                }
                supers >= depth && words.get(next) == Some(&"::")
            }
            _ => false,
        };
        if reaches_root {
            known.extend(heads(&words[next + 1..]));
        }
        at = next;
    }
    known
}

/// The first names after `crate::`: one, or those of a brace group.
fn heads(words: &[&str]) -> Vec<String> {
    if words.first() != Some(&"{") {
        return words.first().map(|w| (*w).to_owned()).into_iter().collect();
    }
    let (mut depth, mut heads, mut expect) = (0, Vec::new(), false);
    for word in words {
        match *word {
            "{" => (depth, expect) = (depth + 1, depth == 0),
            "}" => depth -= 1,
            "," => expect = depth == 1,
            head if expect && depth == 1 => {
                heads.push(head.to_owned());
                expect = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Code without its unit tests: they may build what they need from above. By habit they come last.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests").next().unwrap_or(code)
}

/// What a module names and may not.
fn trespasses(module: &str, code: &str, depth: usize) -> Vec<String> {
    let may = MAY_KNOW.iter().find(|(name, _)| *name == module).map_or("", |(_, may)| may);
    let may: Vec<_> = may.split(' ').collect();
    let is_module = |name: &str| MAY_KNOW.iter().any(|(module, _)| *module == name);
    known(code, depth)
        .into_iter()
        .filter(|name| is_module(name) && name != module && !may.contains(&name.as_str()))
        .collect()
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut faults = Vec::new();
    for path in files(&root().join("src"), &[".rs"]) {
        let relative = path.strip_prefix(root().join("src")).unwrap().with_extension("");
        let mut parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        if parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        if matches!(parts[0].as_ref(), "lib" | "main") {
            continue;
        }
        let code = code_only(&fs::read_to_string(&path).unwrap());
        if parts.last().is_some_and(|name| name.ends_with("tests")) {
            continue;
        }
        for name in trespasses(&parts[0], without_tests(&code), parts.len()) {
            faults.push(format!("{}: `{}` may not know `{name}`", shown(&path), parts[0]));
        }
        if !MAY_KNOW.iter().any(|(module, _)| *module == parts[0]) {
            faults.push(format!("{}: `{}` is not on the map", shown(&path), parts[0]));
        }
        if parts[0] == "spec" && names_datafusion(&code) {
            faults.push(format!("{}: `spec` imports DataFusion", shown(&path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn names_datafusion(code: &str) -> bool {
    words(code).iter().any(|word| *word == "datafusion" || word.starts_with("datafusion_"))
}

#[test]
fn the_direction_rule_can_fail() {
    let stage = "use crate::spec::Tag; use crate::{Batches, error::{Error, Result}};";
    assert_eq!(trespasses("source", stage, 1), Vec::<String>::new());
    assert_eq!(trespasses("source", "use crate::publish::Store;", 1), ["publish"]);
    assert_eq!(trespasses("classify", "use crate::{error::Result, keys::{self, Keyring}};", 1), ["keys"]);
    assert_eq!(trespasses("keys", "fn f() -> crate :: run::Outcome {}", 2), ["run"]);
    assert_eq!(trespasses("query", "use super::super::run::ledger;", 2), ["run"]);
    assert_eq!(trespasses("query", "use super::run;", 2), Vec::<String>::new());
    assert_eq!(trespasses("error", "use crate::secret::Secret;", 1), ["secret"]);
    assert_eq!(trespasses("newcomer", "use crate::spec::Tag;", 1), ["spec"]);
    let tested = "use crate::spec::Tag;\n#[cfg(test)]\nmod tests { use crate::run::Ledger; }";
    assert_eq!(trespasses("govern", without_tests(tested), 1), Vec::<String>::new());
    assert_eq!(trespasses("govern", tested, 1), ["run"]);
    assert!(names_datafusion("use datafusion::sql;"));
    assert!(!names_datafusion(&code_only("// datafusion\nlet a = \"datafusion\";")));
}

#[test]
fn only_code_is_read() {
    assert_eq!(code_only("a // crate::x\nb").split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(code_only("a /* x /* y */ z */ b").split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(code_only(r##"f(r#"crate::"x"#, 'a', "\"q", b'"')"##).replace(' ', ""), "f(,,,b)");
    assert_eq!(code_only("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
}

fn too_long(text: &str) -> bool {
    text.lines().count() > MOST_LINES
}

/// Module names of a path or a declaration that say nothing.
fn banned_names(path: &str, code: &str) -> Vec<String> {
    let in_path =
        Path::new(path).iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned());
    let words = words(code);
    let declared = words.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1].to_owned());
    in_path.chain(declared).filter(|name| BANNED_NAMES.contains(&name.as_str())).collect()
}

#[test]
fn files_are_short_and_named_for_what_they_do() {
    let mut faults = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let code = code_only(&text);
        if too_long(&text) {
            faults.push(format!("{}: more than {MOST_LINES} lines", shown(&path)));
        }
        for name in banned_names(&shown(&path), &code) {
            faults.push(format!("{}: a module called `{name}`", shown(&path)));
        }
        if ignores_a_test(&code) {
            faults.push(format!("{}: an ignored test", shown(&path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn ignores_a_test(code: &str) -> bool {
    words(code).windows(3).any(|w| w == ["#", "[", "ignore"])
        || words(code).windows(2).any(|w| w == [",", "ignore"])
}

#[test]
fn the_file_rules_can_fail() {
    assert!(too_long(&"x\n".repeat(MOST_LINES + 1)));
    assert!(!too_long(&"x\n".repeat(MOST_LINES)));
    assert_eq!(banned_names("src/run/utils.rs", ""), ["utils"]);
    assert_eq!(banned_names("src/common/mod.rs", ""), ["common"]);
    assert_eq!(banned_names("src/run/mod.rs", "pub(crate) mod helpers { }"), ["helpers"]);
    assert_eq!(banned_names("src/run/ledger.rs", "mod retry;"), Vec::<String>::new());
    assert!(ignores_a_test("#[test] #[ignore] fn f() {}"));
    assert!(ignores_a_test("#[ignore = \"slow\"]"));
    assert!(!ignores_a_test("let ignore = 1;"));
}

/// Where files came from that others wrote, as the page beside them says.
const FIXTURES_OF_OTHERS: &[&str] = &["parquet-testing"];

/// What a page beside files of others leaves out.
fn unsaid(page: &str) -> Vec<&'static str> {
    ["https://", "at commit `", "licensed under"].into_iter().filter(|said| !page.contains(said)).collect()
}

#[test]
fn files_of_others_say_their_source_and_licence() {
    for folder in fs::read_dir(root().join("tests/fixtures")).unwrap().map(|entry| entry.unwrap()) {
        let is_of_others = FIXTURES_OF_OTHERS.iter().any(|name| *name == folder.file_name());
        let binaries = files(&folder.path(), &[".encrypted", ".parquet"]);
        assert!(is_of_others || binaries.is_empty(), "{binaries:?}: whose are they?");
        if is_of_others {
            let page = fs::read_to_string(folder.path().join("README.md")).unwrap();
            assert_eq!(unsaid(&page), Vec::<&str>::new(), "{}", shown(&folder.path()));
        }
    }
    assert_eq!(unsaid("https://example.com at commit `1`").len(), 1);
}

/// Words that say the work is unfinished.
fn leftovers(text: &str) -> Vec<&'static str> {
    let words = words(text);
    LEFTOVERS.iter().copied().filter(|leftover| words.contains(leftover)).collect()
}

/// Absolute paths that exist on one machine only.
fn machine_paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for folder in MACHINE_FOLDERS {
        let path = format!("/{folder}/");
        for (at, _) in text.match_indices(&path) {
            let before = text[..at].chars().next_back();
            let belongs_to_longer_path = before
                .is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '~' | '*'));
            if !belongs_to_longer_path {
                found.push(path.clone());
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_over_and_no_machine_is_named() {
    let texts = [
        ".rs", ".md", ".toml", ".yaml", ".yml", ".py", ".sh", ".sql", ".json", ".txt", ".snap", ".java",
        "run",
    ];
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches", "clients", "docs", "config", "pipelines", ".ci"] {
        for path in files(&root().join(folder), &texts) {
            let text = fs::read_to_string(&path).unwrap();
            faults.extend(leftovers(&text).into_iter().map(|word| format!("{}: {word}", shown(&path))));
            if !path.ends_with("tidy.rs") {
                faults
                    .extend(machine_paths(&text).into_iter().map(|word| format!("{}: {word}", shown(&path))));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_leftover_rules_can_fail() {
    assert_eq!(leftovers(concat!("// TO", "DO: later")), [LEFTOVERS[0]]);
    assert!(leftovers("mastodon").is_empty());
    assert_eq!(machine_paths("see /home/ann/x"), ["/home/"]);
    assert_eq!(machine_paths("\"file:/work/x\""), ["/work/"]);
    assert!(machine_paths("docs/work/x, {root}/root/y").is_empty());
}

/// Pages of docs/ that no page links to.
fn unlinked<'a>(pages: &[&'a str], readme: &str, architecture: &str) -> Vec<&'a str> {
    let linked = |page: &str| {
        let from_top = format!("(docs/{page}");
        readme.contains(&from_top)
            || (page != "architecture.md" && architecture.contains(&format!("({page}")))
    };
    pages.iter().copied().filter(|page| !linked(page)).collect()
}

#[test]
fn every_page_of_docs_is_linked() {
    let pages: Vec<String> = files(&root().join("docs"), &[".md"])
        .iter()
        .map(|path| path.strip_prefix(root().join("docs")).unwrap().to_string_lossy().into_owned())
        .collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    assert_eq!(unlinked(&pages, &read("README.md"), &read("docs/architecture.md")), Vec::<&str>::new());
}

#[test]
fn the_link_rule_can_fail() {
    let pages = ["architecture.md", "benchmarks.md", "lost.md"];
    assert_eq!(unlinked(&pages, "[map](docs/architecture.md)", "[b](benchmarks.md#run)"), ["lost.md"]);
    assert_eq!(unlinked(&pages[..1], "", "(architecture.md)"), ["architecture.md"]);
}

/// What lies at the top and should not, then what should and does not.
fn top_level_faults(found: &BTreeSet<String>, ignored: &str) -> Vec<String> {
    let ignored: Vec<_> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let strangers = found.iter().filter(|name| {
        !TOP_LEVEL.contains(&name.as_str()) && !ignored.contains(&name.as_str()) && *name != ".git"
    });
    let missing = TOP_LEVEL.iter().filter(|name| !found.contains(**name));
    strangers
        .map(|name| format!("{name}: not one of ours"))
        .chain(missing.map(|name| format!("{name}: missing")))
        .collect()
}

#[test]
fn the_top_level_is_as_agreed() {
    let found =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    assert_eq!(top_level_faults(&found.collect(), &ignored), Vec::<String>::new());
}

#[test]
fn the_top_level_rule_can_fail() {
    let mut found: BTreeSet<String> = TOP_LEVEL.iter().map(|name| (*name).to_owned()).collect();
    found.extend(["target".to_owned(), ".git".to_owned()]);
    assert!(top_level_faults(&found, "/target\n/lake").is_empty());
    found.insert("scripts".to_owned());
    found.remove("LICENSE");
    assert_eq!(top_level_faults(&found, "/target"), ["scripts: not one of ours", "LICENSE: missing"]);
}
