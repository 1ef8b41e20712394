//! From the SQL to the decision: no way of writing a query gets a column out of its tag.

use super::super::fixture::*;
use super::*;
use crate::classify;
use crate::error::Kind;
use crate::spec::action::Mask;
use crate::spec::classification::Aggregate;
use crate::spec::pipeline::{Column as Declared, Columns, Position};
use crate::spec::policy::{TagGlob, Unmatched};
use crate::transform::Transform;

/// A declaration: name, tag (may be empty), action.
type Line<'a> = (&'a str, &'a str, Option<Action>);

fn columns(lines: &[Line]) -> Columns {
    let mut columns = Columns::default();
    for ((name, tag, action), line) in lines.iter().zip(10..) {
        let tag = (!tag.is_empty()).then(|| Tag::parse(tag).unwrap());
        let declared = Declared {
            tag,
            action: action.clone(),
            conversion: None,
            companion: None,
            position: Position { line, column: 1 },
        };
        if *name == "*" {
            columns.default = Some(declared);
        } else {
            columns.named.insert((*name).to_owned(), Box::new(declared));
        }
    }
    columns
}

/// The plan for a query over `id`, `card`, `ssn` and `address` (city, ssn).
async fn planned(policy: &Policy, lines: &[Line<'_>], sql: &str) -> Result<Plan> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let address = DataType::Struct(vec![text("city"), text("ssn")].into());
    let source = Arc::new(Schema::new(vec![
        text("id"),
        text("card"),
        text("ssn"),
        Field::new("address", address, true),
    ]));
    let transform = Transform::plan(Some(sql), source.clone(), 64 << 20).await.unwrap();
    let verdicts = classify::declared(
        &columns(lines),
        &source,
        transform.output(),
        transform.origins(),
        transform.copies(),
    );
    let mut verdicts = verdicts;
    classify::lower(&mut verdicts, transform.aggregates(), &policy.classification);
    decide(policy, transform.output(), &verdicts)
}

async fn actions(policy: &Policy, lines: &[Line<'_>], sql: &str) -> Vec<String> {
    let plan = planned(policy, lines, sql).await.unwrap();
    plan.decisions().iter().map(|d| format!("{} {}", d.path, d.action)).collect()
}

async fn held(policy: &Policy, lines: &[Line<'_>], sql: &str) -> String {
    let error = planned(policy, lines, sql).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Held, "{error}");
    error.message().to_owned()
}

fn encrypting() -> Policy {
    policy(Unmatched::Refuse, &[("public", Action::Allow), ("pii.*", Action::Encrypt)])
}

fn masking() -> Policy {
    policy(Unmatched::Refuse, &[("public", Action::Allow), ("pii.card", Action::Mask(Mask::default()))])
}

#[tokio::test]
async fn trap_a_rebuilt_struct_does_not_swap_its_leaves() {
    let lines = [("address.ssn", "pii.us_ssn", None), ("*", "public", None)];
    let swapped =
        "SELECT named_struct('city', address['ssn'], 'ssn', address['city']) AS address FROM source";
    assert_eq!(
        actions(&encrypting(), &lines, swapped).await,
        ["address.city encrypt", "address.ssn encrypt"]
    );
    let copied = "SELECT address, address AS addr FROM source";
    assert_eq!(
        actions(&encrypting(), &lines, copied).await,
        ["address.city allow", "address.ssn encrypt", "addr.city allow", "addr.ssn encrypt"]
    );
}

#[tokio::test]
async fn trap_a_mask_is_not_defeated_by_slicing() {
    let sliced = "SELECT lpad(substr(card, 1, 4), 8, 'x') AS a, lpad(substr(card, 5, 4), 8, 'x') AS b, \
                  lower(card) AS card FROM source";
    let mask = || Some(Action::Mask(Mask { keep_last: 1 }));
    let asked_by: [(&str, Vec<Line>); 4] = [
        ("policy rule 2", vec![("card", "pii.card", None)]),
        // A stricter mask of the spec's still shows the end of each piece.
        ("policy rule 2", vec![("card", "pii.card", None), ("a", "", mask()), ("b", "", mask())]),
        ("spec line 10", vec![("card", "public", mask())]),
        ("spec line 10", vec![("*", "public", mask())]),
    ];
    for (asked_by, lines) in asked_by {
        let message = held(&masking(), &lines, sliced).await;
        for column in ["a", "b"] {
            let told = |line: &str| line.starts_with(&format!("column `{column}`: `mask` ({asked_by}"));
            assert!(message.lines().any(told), "{message}");
        }
        assert!(message.contains("declare `action: encrypt` or stronger"), "{message}");
    }
    let same_name = "SELECT substr(card, 1, 4) AS card FROM source";
    held(&masking(), &[("card", "pii.card", None)], same_name).await;
}

#[tokio::test]
async fn a_mask_acts_on_copies_and_where_the_spec_alone_asks_for_it() {
    let card = ("card", "pii.card", None);
    let copied = actions(&masking(), std::slice::from_ref(&card), "SELECT card, card AS a FROM source").await;
    assert_eq!(copied, ["card mask", "a mask"]);
    // The remedy.
    let sliced = "SELECT substr(card, 1, 4) AS a FROM source";
    let stronger = [card, ("a", "", Some(Action::Encrypt))];
    assert_eq!(actions(&masking(), &stronger, sliced).await, ["a encrypt"]);
    let own = [("card", "public", None), ("a", "public", Some(Action::Mask(Mask::default())))];
    assert_eq!(actions(&masking(), &own, sliced).await, ["a mask"]);
}

#[tokio::test]
async fn trap_a_public_name_does_not_open_what_nobody_declared() {
    let (renamed, hidden) =
        ("SELECT ssn AS id FROM source", "SELECT (SELECT 'x') || substr(ssn, 1, 9) AS id FROM source");
    let with_default = [("id", "public", None), ("*", "pii.generic", None)];
    let without = [("id", "public", None)];
    for sql in [renamed, hidden] {
        assert_eq!(actions(&encrypting(), &with_default, sql).await, ["id encrypt"]);
        let message = held(&encrypting(), &without, sql).await;
        assert!(message.contains("`ssn`"), "{message}");
        assert!(message.contains("under `columns`"), "{message}");
    }
    // What is declared needs no more, and an output speaks for the source column of its name.
    let lines = [("id", "public", None), ("ssn", "public", None), ("both", "public", None)];
    let both = "SELECT lower(id) AS id, ssn || id AS both FROM source";
    assert_eq!(actions(&encrypting(), &lines, both).await, ["id allow", "both allow"]);
    for unmatched in [Unmatched::Encrypt, Unmatched::Drop] {
        let policy = Policy { unmatched, ..encrypting() };
        let plan = planned(&policy, &without, "SELECT ssn AS id, id AS b FROM source").await.unwrap();
        assert_ne!(plan.decisions()[0].action, Action::Allow);
        assert_eq!(plan.decisions()[1].action, Action::Allow);
    }
}

/// Ways to hide a value in a column `x`: none of them gets out of its tag.
const HIDING: [&str; 76] = [
    "substr(ssn, 1, 9)",
    "left(ssn, 5)",
    "right(ssn, 4)",
    "concat(ssn, '')",
    "ssn || ''",
    "concat_ws('-', id, ssn)",
    "upper(ssn)",
    "lower(ssn)",
    "initcap(ssn)",
    "reverse(ssn)",
    "lpad(ssn, 20, '0')",
    "rpad(ssn, 20, '0')",
    "trim(ssn)",
    "btrim(ssn, 'x')",
    "replace(ssn, '-', '')",
    "translate(ssn, '0123456789', 'abcdefghij')",
    "repeat(ssn, 2)",
    "split_part(ssn, '-', 1)",
    "regexp_replace(ssn, '-', '')",
    "regexp_match(ssn, '[0-9]+')",
    "to_hex(CAST(replace(ssn, '-', '') AS BIGINT))",
    "CAST(ssn AS BIGINT)",
    "CAST(ssn AS DATE)",
    "TRY_CAST(ssn AS DOUBLE)",
    "CAST(CAST(ssn AS BIGINT) + 1 AS VARCHAR)",
    "encode(ssn, 'hex')",
    "encode(ssn, 'base64')",
    "ascii(ssn)",
    "chr(ascii(ssn))",
    "length(ssn)",
    "strpos(ssn, '1')",
    "starts_with(ssn, '1')",
    "levenshtein(ssn, '123-45-6789')",
    "CASE WHEN ssn = '1' THEN 'a' ELSE 'b' END",
    "CASE ssn WHEN '1' THEN 1 ELSE 0 END",
    "CASE WHEN true THEN ssn ELSE id END",
    "coalesce(NULL, ssn)",
    "nullif(ssn, '')",
    "nvl(ssn, 'x')",
    "ssn = '123'",
    "ssn IN ('1', '2')",
    "ssn LIKE '1%'",
    "ssn BETWEEN '1' AND '2'",
    "ssn IS NULL",
    "make_array(ssn)",
    "make_array(id, ssn)[2]",
    "array_to_string(make_array(ssn, id), ',')",
    "named_struct('id', ssn)",
    "named_struct('id', ssn)['id']",
    "greatest(ssn, id)",
    "SELECT y AS x FROM (SELECT ssn AS y FROM source) AS t",
    "WITH t AS (SELECT ssn AS id FROM source) SELECT id AS x FROM t",
    "WITH t AS (SELECT ssn AS id FROM source), u AS (SELECT upper(id) AS card FROM t) SELECT card AS x FROM u",
    "lag(ssn) OVER (ORDER BY id)",
    "first_value(ssn) OVER (PARTITION BY id ORDER BY card)",
    "row_number() OVER (ORDER BY ssn)",
    "rank() OVER (PARTITION BY ssn ORDER BY id)",
    "max(ssn)",
    "string_agg(ssn, ',')",
    "array_agg(ssn)",
    "sum(CASE WHEN ssn = '1' THEN 1 ELSE 0 END)",
    "SELECT count(*) AS x FROM source WHERE ssn LIKE '1%'",
    "SELECT DISTINCT ssn AS x FROM source",
    "SELECT substr(ssn, 1, 3) AS x, count(*) AS n FROM source GROUP BY 1",
    "SELECT a.d AS x FROM source JOIN (VALUES ('0'), ('1')) AS a(d) ON substr(ssn, 1, 1) = a.d",
    "SELECT ssn AS x FROM source UNION ALL SELECT 'none' AS x",
    "SELECT unnest(make_array(ssn)) AS x FROM source",
    "SELECT CASE WHEN a.d IS NULL THEN 0 ELSE 1 END AS x FROM source LEFT JOIN (VALUES ('0')) AS a(d) ON a.d = ssn",
    r#"'{"s":"' || ssn || '"}'"#,
    r#"concat('{"s":"', ssn, '"}')"#,
    "map_values(map(make_array('s'), make_array(ssn)))[1]",
    "array_element(make_array(ssn), 1)",
    "array_append(make_array(id), ssn)",
    "array_has(make_array(ssn), '1')",
    "SELECT count(*) AS x FROM source WHERE ssn IN (SELECT d FROM (VALUES ('1')) AS v(d))",
    "SELECT count(*) AS x FROM source WHERE CASE WHEN ssn IN (SELECT d FROM (VALUES ('1')) AS v(d)) THEN true ELSE false END",
];

#[tokio::test]
async fn trap_no_way_of_writing_sql_hides_a_column_from_its_tag() {
    let lines = [("ssn", "pii.us_ssn", None), ("*", "public", None)];
    for hiding in HIDING {
        let sql = match hiding.starts_with("SELECT") || hiding.starts_with("WITH") {
            true => hiding.to_owned(),
            false => format!("SELECT {hiding} AS x FROM source"),
        };
        let actions = actions(&encrypting(), &lines, &sql).await;
        let of_x: Vec<_> = actions.iter().filter(|one| one.starts_with('x')).collect();
        assert!(!of_x.is_empty() && of_x.iter().all(|one| one.ends_with(" encrypt")), "{sql}: {actions:?}");
        // The same with nothing hidden in it stays open, where that can be told.
        let open = sql.replace("ssn", "card");
        let is_open =
            self::actions(&encrypting(), &lines, &open).await.iter().all(|one| one.ends_with(" allow"));
        assert!(is_open, "{open}");
    }
}

#[tokio::test]
async fn trap_a_subquery_does_not_hide_what_it_takes_from_the_query_around_it() {
    let lines = [("ssn", "pii.us_ssn", None), ("*", "public", None)];
    for sql in [
        "SELECT count(*) AS x FROM source WHERE EXISTS (SELECT 1 FROM (VALUES ('1')) AS v(d) WHERE v.d = ssn)",
        "SELECT count(*) AS x FROM source WHERE NOT EXISTS (SELECT 1 FROM (VALUES ('1')) AS v(d) WHERE v.d = ssn)",
        "SELECT count(*) AS x FROM source \
         WHERE CASE WHEN EXISTS (SELECT 1 FROM (VALUES ('1')) AS v(d) WHERE v.d = ssn) THEN true ELSE false END",
    ] {
        assert_eq!(actions(&encrypting(), &lines, sql).await, ["x encrypt"], "{sql}");
    }
}

#[tokio::test]
async fn only_plain_aggregates_over_as_many_rows_as_the_policy_asks_for_lower_a_tag() {
    let rule = Aggregate {
        tags: vec![TagGlob::of("pii.*")],
        functions: vec!["count".to_owned(), "approx_distinct".to_owned()],
        min_rows: 20,
        tag: Tag::parse("public").unwrap(),
    };
    let mut policy = encrypting();
    policy.classification.aggregates.push(rule);
    let lines = [("ssn", "pii.us_ssn", None), ("*", "public", None)];
    let of = |sql: &'static str| {
        let policy = &policy;
        let lines = &lines;
        async move { actions(policy, lines, sql).await }
    };
    let lowered = [
        "SELECT id, count(ssn) AS n FROM source GROUP BY id HAVING count(*) >= 20",
        "SELECT id, count(ssn) AS n FROM source GROUP BY id HAVING count(*) > 19 AND id > '0'",
        "SELECT count(DISTINCT ssn) AS n FROM source HAVING 20 <= count(*)",
        "SELECT n FROM (SELECT id, approx_distinct(ssn) AS n FROM source GROUP BY id HAVING count(*) >= 500) AS t",
    ];
    for sql in lowered {
        let actions = of(sql).await;
        assert!(actions.iter().all(|one| one.ends_with(" allow")), "{sql}: {actions:?}");
    }
    let kept = [
        "SELECT id, count(ssn) AS n FROM source GROUP BY id",
        "SELECT id, count(ssn) AS n FROM source GROUP BY id HAVING count(*) >= 19",
        "SELECT id, count(ssn) AS n FROM source GROUP BY id HAVING count(*) >= 20 OR id = '7'",
        "SELECT id, count(ssn) AS n FROM source GROUP BY id HAVING count(card) >= 20",
        "SELECT id, max(ssn) AS n FROM source GROUP BY id HAVING count(*) >= 20",
        "SELECT id, count(CASE WHEN ssn = '1' THEN 1 END) AS n FROM source GROUP BY id HAVING count(*) >= 20",
        "SELECT id, count(ssn) FILTER (WHERE id = '7') AS n FROM source GROUP BY id HAVING count(*) >= 20",
        "SELECT id, count(ssn) AS n FROM source WHERE ssn LIKE '1%' GROUP BY id HAVING count(*) >= 20",
        "SELECT id, count(y) AS n FROM (SELECT id, nullif(ssn, '1') AS y FROM source) AS t GROUP BY id \
         HAVING count(*) >= 20",
        "SELECT count(ssn) AS n FROM source GROUP BY ssn HAVING count(*) >= 20",
    ];
    for sql in kept {
        let actions = of(sql).await;
        assert!(actions.iter().any(|one| one == "n encrypt"), "{sql}: {actions:?}");
    }
}
