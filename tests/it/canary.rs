//! Promise 1: no protected value in any byte we write. Unique values are planted in a column for
//! every action and type, in every kind of source; then every byte written is searched for them:
//! objects as they lie and decompressed, what opens without a key, logs at their most talkative,
//! stdout and stderr, the ledger, the key folder, temporary files.

use std::fs;

use crate::house::{Dice, House, connection, copy_csv, script};
use crate::needles::{Finding, Needles};
use crate::servers::postgres::Database;

const ROWS: usize = 300;
/// Rows whose values are searched for: the first, one amid, the last.
const PLANTED: [usize; 3] = [0, 150, ROWS - 1];

/// A column of one action and one type.
struct Column {
    action: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Decimal,
    Date,
}

const KINDS: [Kind; 4] = [Kind::Text, Kind::Number, Kind::Decimal, Kind::Date];
const ACTIONS: [&str; 8] =
    ["encrypt", "tokenize_fpe", "tokenize", "hash", "mask", "redact", "nullify", "drop"];

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Decimal => "decimal",
            Self::Date => "date",
        }
    }

    const fn declared(self) -> &'static str {
        match self {
            Self::Number => "int64",
            other => other.sql(),
        }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "bigint",
            Self::Decimal => "decimal(18,4)",
            Self::Date => "date",
        }
    }
}

impl Column {
    fn all() -> Vec<Self> {
        let takes =
            |action: &str, kind| kind == Kind::Text || !matches!(action, "mask" | "redact" | "tokenize_fpe");
        let pairs = ACTIONS.into_iter().flat_map(|action| KINDS.map(|kind| Self { action, kind }));
        pairs.filter(|column| takes(column.action, column.kind)).collect()
    }

    fn name(&self) -> String {
        format!("{}_{}", self.action, self.kind.word())
    }

    /// A value nothing else will hold, as CSV and SQL write it.
    fn value(&self, dice: &mut Dice) -> String {
        // Each column has years of its own, so that no date can stand in two columns.
        let year = 1_600 + 20 * ACTIONS.iter().position(|action| *action == self.action).unwrap() as u64;
        match self.kind {
            Kind::Text => dice.text(24),
            Kind::Number => (i64::MAX / 2 + dice.below(1 << 60) as i64).to_string(),
            Kind::Decimal => {
                format!("{}.{}", 10_000_000_000_000 + dice.below(1 << 43), 1_000 + dice.below(9_000))
            }
            Kind::Date => format!("{}-0{}-{}", year + dice.below(20), 1 + dice.below(9), 10 + dice.below(18)),
        }
    }

    /// The name under which a find of one of its values is told.
    fn plant(&self, needles: &mut Needles, value: &str) {
        let label = &self.name();
        match self.kind {
            Kind::Text | Kind::Date => needles.text(label, value),
            Kind::Number => needles.number(label, value.parse().unwrap()),
            Kind::Decimal => {
                needles.text(label, value);
                needles.number(label, value.replace('.', "").parse().unwrap());
            }
        }
    }
}

/// The planted table, as CSV, and what to look for in it. `note` is open: finding its values
/// shows that the search can see what is there.
fn planted() -> (String, Needles) {
    let (mut dice, mut needles) = (Dice::fixed(20_261_124), Needles::default());
    let columns = Column::all();
    let mut csv = format!("id,note,{}\n", columns.iter().map(Column::name).collect::<Vec<_>>().join(","));
    for row in 0..ROWS {
        let note = dice.text(24);
        let values: Vec<_> = columns.iter().map(|column| column.value(&mut dice)).collect();
        if PLANTED.contains(&row) {
            needles.text("note", &note);
            for (column, value) in columns.iter().zip(&values) {
                column.plant(&mut needles, value);
            }
        }
        csv += &format!("{row},{note},{}\n", values.join(","));
    }
    (csv, needles)
}

/// A pipeline over the planted table; `transform` is SQL or nothing.
fn pipeline(connection: &str, streams: &[(&str, &str)], transform: &str) -> String {
    let tags: String = Column::all()
        .iter()
        .map(|column| format!("      {}: {{tag: canary.{}}}\n", column.name(), column.action))
        .collect();
    let transform =
        if transform.is_empty() { String::new() } else { format!("    transform: \"{transform}\"\n") };
    let mut yaml = format!("connection: {connection}\ndataset: \"{connection}.{{stream}}\"\nstreams:\n");
    for (stream, reads) in streams {
        yaml += &format!(
            "  {stream}:\n    {reads}\n{transform}    columns:\n{tags}      \"*\": {{tag: public}}\n"
        );
    }
    yaml
}

fn policy(but: Option<(&str, &str)>) -> String {
    let rules = ACTIONS.map(|action| {
        let done = but.filter(|(asked, _)| *asked == action).map_or(action, |(_, done)| done);
        let done = if done == "tokenize_fpe" { "{tokenize_fpe: {alphabet: alphanumeric}}" } else { done };
        format!("- {{tags: [canary.{action}], action: {done}}}\n")
    });
    format!("{}- {{tags: [public], action: allow}}", rules.concat())
}

/// A house with the planted table in every kind of source. Hands back what to look for.
async fn furnished(database: &Database) -> (House, Needles) {
    let mut house = House::new();
    let (csv, needles) = planted();
    house.write("in/drops/rows.csv", &csv);
    let types: Vec<_> = ["id bigint".to_owned(), "note text".to_owned()]
        .into_iter()
        .chain(Column::all().iter().map(|column| format!("{} {}", column.name(), column.kind.sql())))
        .collect();
    script(
        "to_parquet.py",
        &[
            house.path("in/drops/rows.csv").to_str().unwrap(),
            house.path("in/drops/rows.parquet").to_str().unwrap(),
            &types.join(";"),
        ],
        &[],
    );
    database.run(&format!("CREATE TABLE rows ({})", types.join(", "))).await;
    copy_csv(&database.client, "rows", csv.split_once('\n').unwrap().1.as_bytes()).await;

    house.config("", &connection(database));
    for variable in ["RUST_LOG", "SEALIFT_LOG"] {
        house.env(variable, "trace");
    }
    let schema: String = Column::all()
        .iter()
        .map(|column| format!(", {}: \"{}\"", column.name(), column.kind.declared()))
        .collect();
    let csv = format!("path: rows.csv\n    format: csv\n    schema: {{id: int64, note: text{schema}}}");
    let files = [("csv", csv.as_str()), ("parquet", "path: rows.parquet\n    format: parquet")];
    house.pipeline("files", &pipeline("drops", &files, ""));
    house.pipeline(
        "tables",
        &pipeline("db", &[("public.rows", "sync_mode: full_refresh")], "")
            .replace("db.{stream}", "db.{table}"),
    );
    let failing = "SELECT id, note, CAST(encrypt_text AS BIGINT) AS encrypt_text FROM source";
    house
        .pipeline("broken", &pipeline("drops", &files, failing).replace("drops.{stream}", "broken.{stream}"));
    house.policy(&policy(None));
    (house, needles)
}

/// Everything a reader without keys can see, written down beside the rest.
fn decode(house: &House) {
    let (lake, decoded) = (house.path("out/lake"), house.path("out/decoded"));
    let count = script("open_pages.py", &[lake.to_str().unwrap(), decoded.to_str().unwrap()], &[]);
    assert!(count["files"].as_u64() >= Some(3), "{count}");
    assert!(count["frames"].as_u64() >= Some(3) && count["columns"].as_u64() >= Some(6), "{count}");
}

fn protected(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.label != "note").collect()
}

#[tokio::test]
async fn no_protected_value_stands_in_any_byte_written() {
    let database = Database::create().await;
    let (house, needles) = furnished(&database).await;

    house.run(&["validate"]).expect(0);
    for pipeline in ["files", "tables"] {
        for json in [&[] as &[&str], &["--json"]] {
            house.run(&[&["plan", pipeline], json].concat()).expect(0);
            house.run(&[&["sync", pipeline], json].concat()).expect(0);
        }
    }
    for command in [&["runs"] as &[&str], &["datasets"], &["doctor"], &["keys", "list"]] {
        house.run(command).expect(0);
        house.json(command, 0);
    }
    for dataset in ["drops.csv", "drops.parquet", "db.rows"] {
        let found =
            house.query(&format!("SELECT count(*) AS n, count(DISTINCT note) AS notes FROM {dataset}"));
        assert_eq!(found[0]["n"], ROWS, "{dataset}");
        assert_eq!(found[0]["notes"], ROWS, "{dataset}");
        house.run(&["query", &format!("SELECT id, note FROM {dataset}")]).expect(0);
    }
    // Bytes that are not a number reach the cast: the engine's own message would quote them.
    let failed = house.run(&["sync", "broken"]);
    assert!(matches!(failed.code, Some(1 | 65)), "{failed:?}");
    assert!(failed.stderr.contains("csv"), "the error does not name the stream: {}", failed.stderr);
    assert_eq!(house.versions("broken.csv"), 0);

    decode(&house);
    let findings = needles.find_below(&house.path("out"));
    assert!(
        findings.iter().any(|finding| finding.label == "note" && finding.place.contains("decoded")),
        "the search does not see even the open column"
    );
    let leaks = protected(findings);
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[tokio::test]
async fn with_one_action_turned_off_the_search_finds_the_values() {
    let database = Database::create().await;
    for off in ["tokenize", "encrypt"] {
        let (house, needles) = furnished(&database).await;
        house.policy(&policy(Some((off, "allow"))));
        house.run(&["sync", "files"]).expect(0);
        house.run(&["sync", "tables"]).expect(0);
        decode(&house);
        let leaks = protected(needles.find_below(&house.path("out")));
        let labels: std::collections::BTreeSet<_> = leaks.iter().map(|leak| leak.label.as_str()).collect();
        let expected: Vec<_> = KINDS.iter().map(|kind| format!("{off}_{}", kind.word())).collect();
        assert!(expected.iter().all(|label| labels.contains(label.as_str())), "{off}: only {labels:?}");
        assert!(labels.iter().all(|label| label.starts_with(off)), "{off}: also {labels:?}");
        database.run("DROP TABLE rows").await;
        fs::remove_dir_all(house.path("out/lake")).unwrap();
    }
}
