//! No text makes the loader panic, hang or show a secret.

use proptest::prelude::*;

use super::load::check_text;
use super::problem::{Problem, Problems};
use super::text::Text;

const GOOD: [&str; 4] = [
    include_str!("../../tests/fixtures/good/sealift.yaml"),
    include_str!("../../tests/fixtures/good/policy.yaml"),
    include_str!("../../tests/fixtures/good/pipelines/crm.yaml"),
    include_str!("../../tests/fixtures/good/pipelines/files.yml"),
];

/// Reads a text as every kind of document, and renders what is wrong with it.
fn read(content: &str) -> Vec<Problem> {
    let text = Text::of(content);
    let found: Vec<Problem> = check_text(&text).into_iter().filter_map(Result::err).flatten().collect();
    if !found.is_empty() {
        let problems = Problems::of(found.clone());
        assert!(!problems.render(true).is_empty());
        assert!(!problems.render(false).is_empty());
        assert_eq!(problems.to_json()["problems"].as_array().unwrap().len(), found.len());
    }
    found
}

#[test]
fn hostile_documents_are_problems_and_no_more() {
    let bomb = (1..9).fold("a0: &a0 [x, x]\n".to_owned(), |bomb, n| {
        format!("{bomb}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))
    });
    let wide = (0..60_000).map(|n| format!("k{n}: {n}\n")).collect::<String>();
    let hostile = [
        bomb,
        wide,
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
        (0..2_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        "a".repeat(1 << 20),
        format!("apiVersion: {}", "x".repeat(500_000)),
        format!("{}: x", "k".repeat(900)),
        "a: \"\\ud800\"".to_owned(),
        "? [a, b]\n: c\n? {a: b}\n: d\n: e\n".to_owned(),
        "kind: Config\r\npipelines:\r\n\tx".to_owned(),
        "\u{0}\u{1}\u{1b}[31m: \u{202e}".to_owned(),
        "--- |\n".to_owned(),
        "%YAML 9.9\n---\na: b".to_owned(),
        "<<: {a: b}\n".to_owned(),
        "null: ~\n~: null\n'': ''\n".to_owned(),
        String::new(),
        "\u{feff}".to_owned(),
    ];
    for document in hostile {
        let shown: String = document.chars().take(40).collect();
        let problems = read(&document);
        assert!(problems.len() >= 3, "{shown}");
        assert!(problems.len() <= 3 * 51, "{shown}");
        assert!(Problems::of(problems).render(false).len() < 200_000, "{shown}");
    }
}

#[test]
fn a_size_over_the_bound_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'#'; (1 << 20) + 1]).unwrap();
    let problem = Text::read(file.path()).unwrap_err();
    assert!(problem.message.contains("1 MiB"));
    assert!(Text::read(file.path().parent().unwrap()).unwrap_err().message.contains("not a file"));
}

/// A good document with its secrets' references replaced by values.
fn with_planted_secrets() -> String {
    GOOD[0]
        .replace("env:SEALIFT_PASSPHRASE", "PLANTEDa")
        .replace("env:LAKE_KEY_ID", "PLANTEDb")
        .replace("file:/run/secrets/lake", "PLANTEDc")
        .replace("env:CRM_PASSWORD", "PLANTEDd")
}

#[test]
fn a_tag_that_swallows_the_key_does_not_show_the_secret() {
    let planted = with_planted_secrets().replace("password: \"PLANTEDd", "\n!password: \"PLANTEDd");
    assert!(planted.contains("!password"));
    for problem in read(&planted) {
        let shown = Problems::of(vec![problem]).render(false);
        assert!(!shown.contains("PLANTEDd"), "{shown}");
    }
}

/// A document with pieces cut out, doubled, or replaced.
fn mutated(document: &str, edits: &[(usize, usize, String)]) -> String {
    let mut text: Vec<char> = document.chars().collect();
    for (at, length, put) in edits {
        let start = at % (text.len() + 1);
        let end = (start + length).min(text.len());
        text.splice(start..end, put.chars());
    }
    text.into_iter().collect()
}

fn edits(put: &'static str) -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    prop::collection::vec((any::<usize>(), 0..12_usize, put), 1..6)
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "[ \\t\\n\\r:,{}\\[\\]\\-#&*!|>'\"%@`a-c0-2~?é𝄞\u{0}\\\\]{0,120}") {
        read(&text);
    }

    #[test]
    fn random_keys_and_values_never_panic(
        lines in prop::collection::vec(
            ("[ ]{0,6}", "(- )?(kind|streams|columns|stores|password|tags|action|parquet|'\\*'|a\\.b)", ": ?", ".{0,20}"),
            0..20,
        )
    ) {
        let text: String = lines.iter().map(|(a, b, c, d)| format!("{a}{b}{c}{d}\n")).collect();
        read(&text);
    }

    #[test]
    fn mutations_of_good_documents_never_panic(which in 0..4_usize, edits in edits("[ \\t\\n:,{}\\[\\]\\-#&*!|'\"a-z0-9é]{0,4}")) {
        read(&mutated(GOOD[which], &edits));
    }

    #[test]
    fn mutations_that_leave_the_secret_and_its_key_do_not_show_it(
        edits in edits("[ \\n:,{}\\[\\]\\-#&*!|'\"a-z0-9]{0,3}")
    ) {
        let text = mutated(&with_planted_secrets(), &edits);
        let keys = ["passphrase: \"", "access_key_id: ", "secret_access_key: ", "password: \""];
        let values = ["PLANTEDa", "PLANTEDb", "PLANTEDc", "PLANTEDd"];
        for problem in read(&text) {
            let shown = Problems::of(vec![problem]).render(false);
            for (key, value) in keys.iter().zip(values) {
                // A secret is known by its key: where the edit took that apart, nobody can know.
                if text.contains(&format!("{key}{value}")) {
                    prop_assert!(!shown.contains(value), "{}", shown);
                }
            }
        }
    }
}
