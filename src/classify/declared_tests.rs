use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use super::*;
use crate::spec::Tag;
use crate::spec::pipeline::Position;

fn declare(line: u64, tag: &str) -> Column {
    Column {
        tag: Some(Tag::parse(tag).unwrap()),
        action: None,
        conversion: None,
        companion: None,
        position: Position { line, column: 1 },
    }
}

fn columns(named: &[(&str, &str)], default: Option<&str>) -> Columns {
    Columns {
        named: named
            .iter()
            .zip(10..)
            .map(|((n, t), line)| ((*n).to_owned(), Box::new(declare(line, t))))
            .collect(),
        default: default.map(|tag| declare(99, tag)),
    }
}

fn text(names: &[&str]) -> Schema {
    Schema::new(names.iter().map(|n| Field::new(*n, DataType::Utf8, true)).collect::<Vec<_>>())
}

fn from(sources: &[&str]) -> Origin {
    Origin::Columns(sources.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>())
}

/// The tags that reach each column, computed from a source of these four.
fn tags(columns: &Columns, output: &[&str], origins: &[Origin]) -> Vec<Vec<String>> {
    let source = text(&["ssn", "email", "country", "label"]);
    declared(columns, &source, &text(output), origins, &[])
        .into_iter()
        .map(|verdict| verdict.evidence.iter().map(|e| e.tag.as_ref().unwrap().to_string()).collect())
        .collect()
}

/// A source and an output with `address` (street, city) first, and how `declared` sees the output.
fn address_declared(columns: &Columns, names: &[&str], origins: &[Origin], copies: &[&str]) -> Vec<Verdict> {
    let address = || DataType::Struct(text(&["street", "city"]).fields().clone());
    let source =
        Schema::new(vec![Field::new("address", address(), true), Field::new("id", DataType::Utf8, true)]);
    let is_nested = |name: &str| name.starts_with("addr");
    let field =
        |name: &&str| Field::new(*name, if is_nested(name) { address() } else { DataType::Utf8 }, true);
    let output = Schema::new(names.iter().map(field).collect::<Vec<_>>());
    let copies: Vec<_> = copies.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect();
    declared(columns, &source, &output, origins, &copies)
}

/// Leaf and reason of everything that reaches each column.
fn reached(verdicts: &[Verdict]) -> Vec<Vec<(Option<&str>, Why)>> {
    verdicts.iter().map(|v| v.evidence.iter().map(|e| (e.leaf.as_deref(), e.why.clone())).collect()).collect()
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
fn trap_naming_an_output_does_not_declare_what_it_comes_from() {
    let declared = columns(&[("ssn", "pii.us_ssn"), ("label", "public")], Some("internal"));
    let seen = tags(
        &declared,
        &["ssn", "country", "tail", "mixed", "label", "opaque", "stamp"],
        &[
            from(&["ssn"]),
            from(&["country"]),
            from(&["ssn"]),
            from(&["ssn", "country"]),
            from(&["country"]),
            Origin::Unknown,
            from(&[]),
        ],
    );
    let expected: [&[&str]; 7] = [
        &["pii.us_ssn"],
        &["internal"],
        &["pii.us_ssn"],
        // Half of it comes from a column that the default stands for.
        &["pii.us_ssn", "internal"],
        // `country AS label`: the name covers `label`, not `country`.
        &["public", "internal"],
        &["public", "pii.us_ssn", "internal"],
        &["internal"],
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_nothing_declares_is_told_whatever_the_output_is_called() {
    let named = columns(&[("ssn", "pii.us_ssn"), ("out", "public"), ("country", "public")], None);
    let source = text(&["ssn", "email", "country"]);
    let origins = [from(&["email"]), from(&["ssn", "country"]), from(&["country"]), Origin::Unknown];
    let verdicts = declared(&named, &source, &text(&["out", "total", "country", "opaque"]), &origins, &[]);
    let undeclared: Vec<_> = verdicts.iter().map(|v| v.undeclared.join(" ")).collect();
    assert_eq!(undeclared, ["email", "", "", "email"]);
    // A nested column is declared once each of its parts is.
    let part = columns(&[("address.city", "pii.address"), ("town", "public")], Some("internal"));
    let whole = columns(
        &[("address.city", "pii.address"), ("address.street", "public"), ("town", "public")],
        Some("internal"),
    );
    for (columns, expected) in [(part, "address"), (whole, "")] {
        let verdicts = address_declared(&columns, &["town"], &[from(&["address"])], &[""]);
        assert_eq!(verdicts[0].undeclared.join(" "), expected);
        assert_eq!(verdicts[0].evidence.iter().any(|e| e.why == Why::Default), !expected.is_empty());
    }
}

#[test]
fn a_dotted_name_reaches_that_leaf_of_an_unchanged_copy_and_all_of_what_is_computed() {
    let declared_columns = columns(&[("address.city", "pii.address")], Some("internal"));
    // address, address AS addr, upper(address['city']) AS town, id
    let verdicts = address_declared(
        &declared_columns,
        &["address", "addr", "town", "id"],
        &[from(&["address"]), from(&["address"]), from(&["address"]), from(&["id"])],
        &["address", "address", "", "id"],
    );
    let followed = || Why::From("address.city".to_owned());
    let default = || (None, Why::Default);
    assert_eq!(
        reached(&verdicts),
        [
            vec![(Some("address.city"), Why::Named), default()],
            vec![(Some("addr.city"), followed()), default()],
            vec![(None, followed()), default()],
            vec![default()],
        ]
    );
}

#[test]
fn trap_a_rebuilt_column_of_the_same_name_cannot_swap_its_leaves() {
    // named_struct('street', address['city'], 'city', address['street']) AS address
    let named = columns(&[("address.city", "pii.address"), ("address.street", "public")], None);
    let whole =
        || vec![(None, Why::From("address.city".to_owned())), (None, Why::From("address.street".to_owned()))];
    for origin in [from(&["address"]), from(&["address", "id"]), Origin::Unknown] {
        let verdicts = address_declared(&named, &["address"], &[origin], &[""]);
        assert_eq!(reached(&verdicts), [whole()]);
        assert_eq!(verdicts[0].copy_of, None);
    }
    // A nested column made of plain ones has leaves of its own.
    let verdicts = address_declared(&named, &["address"], &[from(&["id"])], &[""]);
    let own = |leaf| (Some(leaf), Why::Named);
    assert_eq!(reached(&verdicts), [[own("address.city"), own("address.street")]]);
}

#[test]
fn a_source_column_with_a_dot_in_its_name_is_no_leaf() {
    let named = columns(&[("address.city", "pii.address")], None);
    let verdicts = address_declared(&named, &["address"], &[from(&["address.city"])], &[""]);
    assert_eq!(reached(&verdicts), [[(None, Why::From("address.city".to_owned()))]]);
}

#[test]
fn a_missing_origin_counts_as_unknown() {
    let seen = tags(&columns(&[("ssn", "pii.us_ssn")], None), &["x"], &[]);
    assert_eq!(seen, [["pii.us_ssn"]]);
}

#[test]
fn trap_a_decision_on_a_type_declares_nothing() {
    use crate::spec::pipeline::{ColumnType, Conversion, OnOverflow};
    let conversion = Some(Conversion { to: ColumnType::Text, on_overflow: OnOverflow::Fail });
    let as_text = || Column {
        tag: None,
        action: None,
        conversion,
        companion: None,
        position: Position { line: 5, column: 1 },
    };
    for default in [None, Some("internal")] {
        let mut declared_columns = columns(&[("country", "public")], default);
        declared_columns.named.insert("ssn".to_owned(), Box::new(as_text()));
        // `ssn` as it is, under another name, and cut up; `label` is an output that only `as` names.
        declared_columns.named.insert("label".to_owned(), Box::new(as_text()));
        let source = text(&["ssn", "country"]);
        let origins = [from(&["ssn"]), from(&["ssn"]), from(&["ssn", "country"]), from(&[])];
        let verdicts =
            declared(&declared_columns, &source, &text(&["ssn", "id", "mix", "label"]), &origins, &[]);
        let undeclared: Vec<_> = verdicts.iter().map(|v| v.undeclared.join(" ")).collect();
        assert_eq!(undeclared, ["ssn", "ssn", "ssn", ""]);
        for verdict in &verdicts {
            let tags: Vec<_> =
                verdict.evidence.iter().map(|e| e.tag.as_ref().map(ToString::to_string)).collect();
            let mut expected: Vec<_> = default.iter().map(|tag| Some((*tag).to_owned())).collect();
            if verdict.column == "mix" {
                expected.insert(0, Some("public".to_owned()));
            }
            assert_eq!(tags, expected, "{}", verdict.column);
        }
    }
    // A part of a nested column likewise.
    let mut part = columns(&[("address.city", "pii.address")], None);
    part.named.insert("address.street".to_owned(), Box::new(as_text()));
    let verdicts = address_declared(&part, &["address"], &[from(&["address"])], &["address"]);
    assert_eq!(verdicts[0].undeclared, ["address"]);
    // Beside a tag it changes nothing.
    let mut tagged = columns(&[("ssn", "pii.us_ssn")], None);
    tagged.named.get_mut("ssn").unwrap().conversion = conversion;
    assert_eq!(tags(&tagged, &["ssn"], &[from(&["ssn"])]), [["pii.us_ssn"]]);
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
