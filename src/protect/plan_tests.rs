use arrow::datatypes::TimeUnit;

use super::super::fixture::*;
use super::*;
use crate::error::Kind;
use crate::spec::action::Mask;
use crate::spec::policy::Unmatched;
use crate::spec::verdict::{Evidence, Why};

fn actions(plan: &Plan) -> Vec<(&str, &str, &str)> {
    plan.decisions().iter().map(|d| (d.path.as_str(), d.action.word(), d.because.as_str())).collect()
}

fn held(result: Result<Plan>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Held, "{error}");
    error.message().to_owned()
}

fn text(name: &str) -> SchemaRef {
    schema(&[(name, DataType::Utf8)])
}

#[test]
fn trap_every_leaf_column_has_a_decision_nested_ones_too() {
    let policy = policy(Unmatched::Encrypt, &[("public", Action::Allow), ("pii.*", Action::Encrypt)]);
    let street = evidence(Some("address.street"), Why::Named, "public", None, 3);
    let verdicts = [named("id", "public", None), verdict("address", vec![street.clone()])];
    let plan = decide(&policy, &nested(), &verdicts).unwrap();
    assert_eq!(
        actions(&plan),
        [
            ("id", "allow", "policy rule 1 (public)"),
            ("address.street", "allow", "policy rule 1 (public)"),
            ("address.city", "encrypt", "unmatched: encrypt"),
        ]
    );
    let refusing = Policy { unmatched: Unmatched::Refuse, ..policy.clone() };
    assert_eq!(held(decide(&refusing, &nested(), &verdicts)), "column `address.city`: it has no tag");

    // The stated default covers the leaves that nothing names, and only those.
    let default = evidence(None, Why::Default, "pii.address", None, 9);
    let verdicts = [named("id", "public", None), verdict("address", vec![street, default])];
    let plan = decide(&refusing, &nested(), &verdicts).unwrap();
    assert_eq!(
        actions(&plan)[1..],
        [
            ("address.street", "allow", "policy rule 1 (public)"),
            ("address.city", "encrypt", "policy rule 2 (pii.*)"),
        ]
    );
}

#[test]
fn a_column_without_a_verdict_is_not_forgotten() {
    let policy = policy(Unmatched::Refuse, &[("public", Action::Allow)]);
    let schema = schema(&[("id", DataType::Int64), ("ssn", DataType::Utf8)]);
    let message = held(decide(&policy, &schema, &[named("id", "public", None)]));
    assert!(message.contains("column `ssn`"), "{message}");
}

#[test]
fn unmatched_decides_where_no_rule_does() {
    let rules = [("public", Action::Allow)];
    let schema = schema(&[("id", DataType::Int64), ("a", DataType::Utf8), ("b", DataType::Utf8)]);
    let verdicts = [named("id", "public", None), named("a", "odd.tag", None), verdict("b", vec![])];
    assert_eq!(
        held(decide(&policy(Unmatched::Refuse, &rules), &schema, &verdicts)),
        "column `a`: no policy rule covers its tag odd.tag\ncolumn `b`: it has no tag"
    );
    let plan = decide(&policy(Unmatched::Encrypt, &rules), &schema, &verdicts).unwrap();
    assert_eq!(
        actions(&plan)[1..],
        [("a", "encrypt", "unmatched: encrypt"), ("b", "encrypt", "unmatched: encrypt")]
    );
    let plan = decide(&policy(Unmatched::Drop, &rules), &schema, &verdicts).unwrap();
    assert_eq!(plan.output().fields().len(), 1);
    assert_eq!(plan.decisions().len(), 3, "dropped columns are decided too");
}

#[test]
fn under_refuse_a_spec_may_protect_what_no_rule_covers_and_may_not_open_it() {
    let policy = policy(Unmatched::Refuse, &[]);
    let plan = decide(&policy, &text("email"), &[named("email", "", Some(tokenize("")))]).unwrap();
    assert_eq!(actions(&plan), [("email", "tokenize", "spec line 14")]);
    for weak in [Action::Allow, Action::Mask(Mask { keep_last: 2 })] {
        let message = held(decide(&policy, &text("email"), &[named("email", "", Some(weak))]));
        assert_eq!(message, "column `email`: it has no tag");
    }
}

#[test]
fn a_source_column_without_a_tag_is_not_laundered_by_its_neighbour() {
    let policy = policy(Unmatched::Refuse, &[("public", Action::Allow)]);
    let mixed = Verdict {
        column: "both".to_owned(),
        evidence: vec![evidence(None, Why::From("country".to_owned()), "public", None, 3)],
        origin: Origin::Columns(["country".to_owned(), "ssn".to_owned()].into()),
        copy_of: None,
        undeclared: vec!["ssn".to_owned()],
    };
    assert_eq!(
        held(decide(&policy, &text("both"), std::slice::from_ref(&mixed))),
        "column `both`: it comes from `ssn`, which has no tag; declare it under `columns`"
    );
    // Nor by a tag of the output column's own, unless that is the source column of its name.
    let own = |column: &str| Verdict {
        column: column.to_owned(),
        evidence: vec![evidence(None, Why::Named, "public", None, 4)],
        ..mixed.clone()
    };
    let laundered = held(decide(&policy, &text("both"), &[own("both")]));
    assert!(laundered.contains("it comes from `ssn`, which has no tag"), "{laundered}");
    let unknown = Verdict { origin: Origin::Unknown, ..own("both") };
    let laundered = held(decide(&policy, &text("both"), &[unknown]));
    assert!(laundered.contains("it may come from `ssn`, which has no tag"), "{laundered}");
    let unknown = Verdict { origin: Origin::Unknown, ..mixed };
    let message = held(decide(&policy, &text("both"), &[unknown]));
    assert!(message.contains("cannot be told"), "{message}");
}

#[test]
fn the_strictest_action_wins_whatever_the_order_of_rules() {
    let rules =
        [("pii.*", Action::Encrypt), ("*", Action::Allow), ("pii.ssn", Action::Nullify), ("p*", hash(""))];
    for turn in 0..rules.len() {
        let mut rules = rules.clone();
        rules.rotate_left(turn);
        let plan = decide(&policy(Unmatched::Refuse, &rules), &text("ssn"), &[named("ssn", "pii.ssn", None)])
            .unwrap();
        assert_eq!(plan.decisions()[0].action, Action::Nullify);
    }
    // And over the tags of one column.
    let policy = policy(Unmatched::Refuse, &[("a", Action::Encrypt), ("b", hash("")), ("c", Action::Allow)]);
    for tags in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        let from: Vec<Evidence> =
            tags.iter().map(|t| evidence(None, Why::From((*t).to_owned()), t, None, 1)).collect();
        let origin = Origin::Columns(tags.iter().map(|t| (*t).to_owned()).collect());
        let verdict =
            Verdict { column: "x".to_owned(), evidence: from, origin, copy_of: None, undeclared: vec![] };
        let plan = decide(&policy, &text("x"), &[verdict]).unwrap();
        assert_eq!(plan.decisions()[0].action, hash(""));
        assert_eq!(plan.decisions()[0].tag.as_ref().unwrap().as_str(), "b");
    }
}

#[test]
fn a_spec_may_only_strengthen() {
    let policy = policy(Unmatched::Refuse, &[("public", Action::Allow), ("pii.*", Action::Encrypt)]);
    let message = held(decide(&policy, &text("ssn"), &[named("ssn", "pii.us_ssn", Some(Action::Allow))]));
    assert_eq!(
        message,
        "column `ssn`: the spec asks `allow` (line 14), the policy asks `encrypt` for pii.us_ssn (rule 2 (pii.*))"
    );
    let stronger =
        decide(&policy, &text("ssn"), &[named("ssn", "pii.us_ssn", Some(Action::Redact))]).unwrap();
    assert_eq!(actions(&stronger), [("ssn", "redact", "spec line 14")]);
    let equal = decide(&policy, &text("ssn"), &[named("ssn", "pii.us_ssn", Some(Action::Encrypt))]).unwrap();
    assert_eq!(actions(&equal), [("ssn", "encrypt", "policy rule 2 (pii.*)")]);

    // What the SQL brings along counts as well: `ssn AS id` with `id: {tag: public, action: allow}`.
    let own = evidence(None, Why::Named, "public", Some(Action::Allow), 20);
    let brought = evidence(None, Why::From("ssn".to_owned()), "pii.us_ssn", None, 21);
    let renamed = Verdict {
        column: "id".to_owned(),
        evidence: vec![own, brought],
        origin: Origin::Columns(["ssn".to_owned()].into()),
        copy_of: Some("ssn".to_owned()),
        undeclared: vec![],
    };
    let message = held(decide(&policy, &text("id"), &[renamed]));
    assert!(message.contains("`id`: the spec asks `allow` (line 20)"), "{message}");

    let floor = Policy { unmatched: Unmatched::Drop, ..policy };
    let message = held(decide(&floor, &text("x"), &[named("x", "", Some(Action::Encrypt))]));
    assert!(message.ends_with("the policy asks `drop` (unmatched: drop)"), "{message}");
}

#[test]
fn join_domains_must_agree() {
    let with = |action: Action| policy(Unmatched::Refuse, &[("pii.email", action)]);
    let plan = |policy: &Policy, spec: Action| {
        decide(policy, &text("email"), &[named("email", "pii.email", Some(spec))])
    };
    let domain = |plan: Plan| plan.decisions()[0].action.clone();
    let customer = tokenize("customer");
    assert_eq!(domain(plan(&with(customer.clone()), customer.clone()).unwrap()), customer);
    assert_eq!(domain(plan(&with(customer.clone()), tokenize("")).unwrap()), customer, "the policy's stands");
    let message = held(plan(&with(customer.clone()), tokenize("other")));
    assert_eq!(
        message,
        "column `email`: two join domains, `customer` (policy rule 1 (pii.email)) and `other` (spec line 14)"
    );
    let wider = held(plan(&with(tokenize("")), customer.clone()));
    assert!(wider.contains("two join domains, none (policy rule 1"), "{wider}");
    assert_eq!(domain(plan(&with(Action::Encrypt), customer.clone()).unwrap()), customer);
}

#[test]
fn every_problem_is_told_at_once_one_line_each() {
    let policy = policy(
        Unmatched::Refuse,
        &[("public", Action::Allow), ("pii.*", tokenize("")), ("gone", Action::Drop)],
    );
    let schema = schema(&[
        ("price", DataType::Float64),
        ("ok", DataType::Utf8),
        ("untagged", DataType::Utf8),
        ("weak", DataType::Utf8),
        ("flag", DataType::Boolean),
    ]);
    let verdicts = [
        named("price", "pii.price", None),
        named("ok", "public", None),
        verdict("untagged", vec![]),
        named("weak", "pii.ssn", Some(Action::Allow)),
        named("flag", "pii.flag", None),
    ];
    let message = held(decide(&policy, &schema, &verdicts));
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 4, "{message}");
    assert_eq!(
        lines[0],
        "column `price`: `tokenize` (policy rule 2 (pii.*)) cannot act on a floating-point column; \
         `generalize: {width: …}`, `encrypt`, `nullify` and `drop` can"
    );
    for (line, column) in lines.iter().zip(["price", "untagged", "weak", "flag"]) {
        assert!(line.starts_with(&format!("column `{column}`: ")), "{line}");
    }
}

#[test]
fn each_type_takes_the_actions_that_fit_it() {
    use DataType as T;
    let timestamp = T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let all = [
        Action::Mask(Mask::default()),
        Action::Redact,
        hash(""),
        tokenize(""),
        Action::Encrypt,
        Action::Nullify,
    ];
    let pseudonyms: &[&str] = &["hash", "tokenize", "encrypt", "nullify"];
    let cases: [(DataType, &[&str]); 9] = [
        (T::Utf8, &["mask", "redact", "hash", "tokenize", "encrypt", "nullify"]),
        (T::Utf8View, &["mask", "redact", "hash", "tokenize", "encrypt", "nullify"]),
        (T::Int64, pseudonyms),
        (T::Decimal128(12, 2), pseudonyms),
        (T::Date32, pseudonyms),
        (timestamp, pseudonyms),
        (T::Binary, pseudonyms),
        (T::Boolean, &["encrypt", "nullify"]),
        (T::Float32, &["encrypt", "nullify"]),
    ];
    for (data_type, expected) in cases {
        let fits = |action: &&Action| {
            let policy = policy(Unmatched::Refuse, &[("t", (*action).clone())]);
            decide(&policy, &schema(&[("x", data_type.clone())]), &[named("x", "t", None)]).is_ok()
        };
        let taken: Vec<_> = all.iter().filter(fits).map(Action::word).collect();
        assert_eq!(taken, expected, "{data_type}");
    }
}

#[test]
fn a_part_of_a_nested_column_is_encrypted_or_the_whole_goes() {
    let rules = |action| policy(Unmatched::Refuse, &[("public", Action::Allow), ("pii", action)]);
    let part = |action| {
        let city = evidence(Some("address.city"), Why::Named, "pii", None, 3);
        let street = evidence(Some("address.street"), Why::Named, "public", None, 4);
        let verdicts = [named("id", "public", None), verdict("address", vec![city, street])];
        decide(&rules(action), &nested(), &verdicts)
    };
    let whole = |action| {
        decide(&rules(action), &nested(), &[named("id", "public", None), named("address", "pii", None)])
    };
    assert!(part(Action::Encrypt).is_ok());
    for refused in [Action::Drop, Action::Nullify, Action::Redact, hash("")] {
        let message = held(part(refused.clone()));
        assert!(message.starts_with(&format!("column `address.city`: `{refused}`")), "{message}");
    }
    assert_eq!(whole(Action::Drop).unwrap().output().fields().len(), 1);
    assert!(whole(Action::Nullify).is_ok());
    let unknown = evidence(Some("address.zip"), Why::Named, "pii", None, 8);
    let verdicts = [named("id", "public", None), verdict("address", vec![unknown])];
    let message = held(decide(&rules(Action::Encrypt), &nested(), &verdicts));
    assert!(message.contains("column `address`: it has no part `address.zip` (spec line 8)"), "{message}");
}

#[test]
fn the_output_schema_is_what_will_come_out() {
    let policy = policy(
        Unmatched::Refuse,
        &[("open", Action::Allow), ("hash", hash("")), ("null", Action::Nullify), ("drop", Action::Drop)],
    );
    let secretive = std::collections::HashMap::from([("comment".to_owned(), "123-45-6789".to_owned())]);
    let field = |name: &str, data_type| Field::new(name, data_type, false).with_metadata(secretive.clone());
    let fields = vec![
        field("open", DataType::Utf8View),
        field("hash", DataType::Int64),
        field("null", DataType::Date32),
        field("drop", DataType::Int64),
    ];
    let input = Arc::new(Schema::new(fields).with_metadata(secretive));
    let verdicts = ["open", "hash", "null", "drop"].map(|name| named(name, name, None));
    let plan = decide(&policy, &input, &verdicts).unwrap();
    let expected = Schema::new(vec![
        Field::new("open", DataType::Utf8, false),
        Field::new("hash", DataType::Utf8, false),
        Field::new("null", DataType::Date32, true),
    ]);
    assert_eq!(**plan.output(), expected, "and no metadata");
    assert_eq!(plan.decisions()[1].key.as_deref(), Some("sealift:crm.customers/hash#hash"));
}

#[test]
fn partition_columns_must_be_open_plain_and_there() {
    let policy = policy(Unmatched::Refuse, &[("public", Action::Allow), ("pii", Action::Encrypt)]);
    let verdicts = [named("id", "public", None), named("address", "pii", None)];
    let by = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        Plan::decide(&dataset(), &policy, nested(), &verdicts, &names)
    };
    assert!(by(&["id"]).is_ok());
    assert!(held(by(&["address"])).contains("no such plain column"));
    assert!(held(by(&["nope"])).contains("no such plain column"));
    let schema = schema(&[("ssn", DataType::Utf8), ("id", DataType::Int64)]);
    let verdicts = [named("ssn", "pii", None), named("id", "public", None)];
    let protected = Plan::decide(&dataset(), &policy, schema.clone(), &verdicts, &["ssn".to_owned()]);
    assert!(held(protected).contains("partition folder names are readable by anyone"));
    let both = ["id".to_owned(), "ssn".to_owned()];
    let open = [named("ssn", "public", None), named("id", "public", None)];
    assert!(held(Plan::decide(&dataset(), &policy, schema, &open, &both)).contains("no column is left"));
}

#[test]
fn nothing_left_to_publish_is_held() {
    let policy = policy(Unmatched::Drop, &[]);
    assert_eq!(held(decide(&policy, &text("x"), &[verdict("x", vec![])])), "no column is left to publish");
}

#[test]
fn what_cannot_be_published_or_told_apart_is_held() {
    let policy = policy(Unmatched::Encrypt, &[]);
    let unsigned = schema(&[("n", DataType::UInt64)]);
    let message = held(decide(&policy, &unsigned, &[verdict("n", vec![])]));
    assert_eq!(message, "column `n`: type UInt64 cannot be published; cast it to BIGINT in the transform");
    let twice = schema(&[("SSN", DataType::Utf8), ("ssn", DataType::Utf8)]);
    let message = held(decide(&policy, &twice, &[verdict("SSN", vec![]), verdict("ssn", vec![])]));
    assert!(message.contains("two columns of this name"), "{message}");
    // A plain column and a part that Parquet would call the same.
    let inner = DataType::Struct(vec![Field::new("b", DataType::Utf8, true)].into());
    let same = schema(&[("a.b", DataType::Utf8), ("a", inner)]);
    let message = held(decide(&policy, &same, &[verdict("a.b", vec![]), verdict("a", vec![])]));
    assert!(message.contains("column `a.b`: there are two columns"), "{message}");
}
