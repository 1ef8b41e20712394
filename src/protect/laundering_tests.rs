//! From the SQL to the decision: no way of writing a query gets a column out of its tag.

use super::super::fixture::*;
use super::*;
use crate::classify;
use crate::error::Kind;
use crate::spec::action::Mask;
use crate::spec::pipeline::{Column as Declared, Columns, Position};
use crate::spec::policy::Unmatched;
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
            position: Position { line, column: 1 },
        };
        if *name == "*" {
            columns.default = Some(declared);
        } else {
            columns.named.insert((*name).to_owned(), declared);
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
