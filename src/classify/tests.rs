use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use super::*;
use crate::spec::Tag;
use crate::spec::pipeline::Position;

fn declare(line: u64, tag: &str) -> Column {
    Column { tag: Some(Tag::parse(tag).unwrap()), action: None, position: Position { line, column: 1 } }
}

fn columns(named: &[(&str, &str)], default: Option<&str>) -> Columns {
    Columns {
        named: named.iter().zip(10..).map(|((n, t), line)| ((*n).to_owned(), declare(line, t))).collect(),
        default: default.map(|tag| declare(99, tag)),
    }
}

fn text(names: &[&str]) -> Schema {
    Schema::new(names.iter().map(|n| Field::new(*n, DataType::Utf8, true)).collect::<Vec<_>>())
}

fn from(sources: &[&str]) -> Origin {
    Origin::Columns(sources.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>())
}

/// The tags that reach each column.
fn tags(columns: &Columns, output: &[&str], origins: &[Origin]) -> Vec<Vec<String>> {
    declared(columns, &text(output), origins)
        .into_iter()
        .map(|verdict| verdict.evidence.iter().map(|e| e.tag.as_ref().unwrap().to_string()).collect())
        .collect()
}

#[test]
fn trap_tags_follow_columns() {
    let declared = columns(&[("ssn", "pii.us_ssn"), ("email", "pii.email")], None);
    // substr(ssn, 1, 9) AS id; ssn || email AS both; a UDF nobody can see through; now() AS stamp.
    let seen = tags(
        &declared,
        &["id", "both", "udf", "stamp"],
        &[from(&["ssn"]), from(&["ssn", "email"]), Origin::Unknown, from(&[])],
    );
    let expected: [&[&str]; 4] =
        [&["pii.us_ssn"], &["pii.email", "pii.us_ssn"], &["pii.email", "pii.us_ssn"], &[]];
    assert_eq!(seen, expected);
}

#[test]
fn two_columns_that_swap_names_keep_both_tags() {
    let declared = columns(&[("ssn", "pii.us_ssn"), ("country", "public")], None);
    let seen = tags(&declared, &["country", "ssn"], &[from(&["ssn"]), from(&["country"])]);
    assert_eq!(seen, [["public", "pii.us_ssn"], ["public", "pii.us_ssn"]]);
}

#[test]
fn the_default_reaches_only_what_nothing_else_declares() {
    let declared = columns(&[("ssn", "pii.us_ssn"), ("label", "public")], Some("internal"));
    let seen = tags(
        &declared,
        &["ssn", "country", "tail", "mixed", "label", "opaque"],
        &[
            from(&["ssn"]),
            from(&["country"]),
            from(&["ssn"]),
            from(&["ssn", "country"]),
            from(&["country"]),
            Origin::Unknown,
        ],
    );
    let expected: [&[&str]; 6] = [
        &["pii.us_ssn"],
        &["internal"],
        &["pii.us_ssn"],
        // Half of it comes from a column that the default stands for.
        &["pii.us_ssn", "internal"],
        &["public"],
        &["public", "pii.us_ssn", "internal"],
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_dotted_name_reaches_that_leaf_only_and_follows_it_elsewhere() {
    let declared_columns = columns(&[("address.city", "pii.address")], Some("internal"));
    let address = DataType::Struct(text(&["street", "city"]).fields().clone());
    let output = Schema::new(vec![
        Field::new("address", address, true),
        Field::new("town", DataType::Utf8, true),
        Field::new("id", DataType::Utf8, true),
    ]);
    let verdicts =
        declared(&declared_columns, &output, &[from(&["address"]), from(&["address"]), from(&["id"])]);
    let seen: Vec<Vec<_>> = verdicts
        .iter()
        .map(|v| v.evidence.iter().map(|e| (e.leaf.as_deref(), e.why.clone())).collect())
        .collect();
    let followed = (None, Why::From("address.city".to_owned()));
    assert_eq!(
        seen,
        [
            vec![(Some("address.city"), Why::Named), (None, Why::Default)],
            vec![followed, (None, Why::Default)],
            vec![(None, Why::Default)],
        ]
    );
}

#[test]
fn a_missing_origin_counts_as_unknown() {
    let seen = tags(&columns(&[("ssn", "pii.us_ssn")], None), &["x"], &[]);
    assert_eq!(seen, [["pii.us_ssn"]]);
}

#[test]
fn a_misspelt_name_is_told_with_its_line_and_the_right_one() {
    let (source, output) = (text(&["ssn", "address"]), text(&["customer_id"]));
    let good = columns(&[("ssn", "a"), ("customer_id", "a"), ("address.city", "a")], None);
    check_names(&good, &source, &output).unwrap();
    let error = check_names(&columns(&[("ssnn", "a"), ("zzz", "a")], None), &source, &output).unwrap_err();
    assert_eq!(
        error.message(),
        "line 10: `ssnn` is no column of the source and none of the output; did you mean `ssn`?\n\
         line 11: `zzz` is no column of the source and none of the output"
    );
}
