use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::Field;

use super::*;
use crate::spec::action::Options;
use crate::spec::pipeline::{Column, Position};
use crate::spec::policy::{Rule, TagGlob, Unmatched};
use crate::spec::verdict::{Evidence, Origin, Verdict, Why};
use crate::spec::{Action, Policy, Tag};

fn schema(names: &[&str]) -> SchemaRef {
    let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn decided(column: &str, action: &str, tag: &str) -> Decided {
    Decided {
        column: column.to_owned(),
        tag: Some(tag.to_owned()),
        action: action.to_owned(),
        key: None,
        options: Options::new(),
    }
}

/// A published table of open columns; of `unknown` no commit says how they are protected.
fn published(names: &[&str], unknown: &[&str]) -> Predecessor {
    let recorded = names.iter().filter(|name| !unknown.contains(name));
    let allow = |name: &&str| ((*name).to_owned(), decided(name, "allow", "open"));
    Predecessor {
        table: Table {
            version: 3,
            schema: schema(names),
            partition_by: Vec::new(),
            files: Vec::new(),
            open: BTreeSet::new(),
        },
        recorded: Recorded { columns: recorded.map(allow).collect(), facts: None },
        withheld: BTreeSet::new(),
    }
}

/// Open columns, but those that are `dropped`.
fn planned(names: &[&str], dropped: &[&str]) -> protect::Plan {
    let rule = |glob: &str, action| Rule {
        tags: vec![TagGlob::of(glob)],
        action,
        companion: None,
        allow_small_domain: false,
    };
    let policy = Policy {
        name: "test".into(),
        unmatched: Unmatched::Refuse,
        rules: vec![rule("open", Action::Allow), rule("gone", Action::Drop)],
        classification: crate::spec::classification::Classification::default(),
        reveal: Vec::new(),
        digest: "digest".into(),
        path: PathBuf::new(),
    };
    let verdict = |name: &&str| {
        let tag = Tag::parse(if dropped.contains(name) { "gone" } else { "open" }).unwrap();
        let position = Position { line: 1, column: 1 };
        let declared =
            Column { tag: Some(tag.clone()), action: None, conversion: None, companion: None, position };
        Verdict {
            column: (*name).to_owned(),
            evidence: vec![Evidence { leaf: None, why: Why::Named, tag: Some(tag), declared }],
            origin: Origin::Columns(BTreeSet::from([(*name).to_owned()])),
            copy_of: Some((*name).to_owned()),
            undeclared: Vec::new(),
        }
    };
    let verdicts: Vec<_> = names.iter().map(verdict).collect();
    let dataset = DatasetName::parse("crm.people").unwrap();
    protect::Plan::decide(&dataset, &policy, schema(names), &verdicts, &[]).unwrap()
}

fn contract(columns: contract::Change, renamed: &[(&str, &str)]) -> SchemaContract {
    let renamed = renamed.iter().map(|(new, old)| ((*new).to_owned(), (*old).to_owned())).collect();
    SchemaContract { columns, renamed, ..SchemaContract::default() }
}

/// What differs: column, kind and what comes of it.
fn changes(
    before: &Predecessor,
    protection: &protect::Plan,
    mode: Mode,
    contract: &SchemaContract,
) -> Vec<(String, ChangeKind, &'static str)> {
    let planned =
        Planned { protection, partition_by: &[], mode, dropped: &[], left_out: &BTreeSet::new(), fit: None };
    let comparison = compare(Some(before), &planned, contract);
    comparison.changes.into_iter().map(|c| (c.column, c.kind, c.then.word())).collect()
}

#[test]
fn a_name_that_is_published_is_not_taken_by_another_column() {
    let (before, rows) = (published(&["id", "a", "b"], &[]), planned(&["id", "b"], &[]));
    let renamed = contract(contract::Change::Evolve, &[("b", "a")]);
    for mode in [Mode::Append, Mode::Merge] {
        let found = changes(&before, &rows, mode, &renamed);
        assert!(found.contains(&("b".to_owned(), ChangeKind::Renamed, "fails")), "{mode:?}: {found:?}");
    }
    let found = changes(&before, &rows, Mode::Overwrite, &renamed);
    assert_eq!(found, [("a".to_owned(), ChangeKind::Removed, "follows")]);
    // One that has taken place is nothing any more.
    let done = published(&["id", "b"], &[]);
    assert_eq!(changes(&done, &rows, Mode::Append, &renamed), []);
}

#[test]
fn rows_of_which_it_is_not_known_how_they_are_protected_get_no_company() {
    let (before, rows) = (published(&["id", "ssn"], &["ssn"]), planned(&["id", "ssn"], &[]));
    let evolve = SchemaContract::default();
    for mode in [Mode::Append, Mode::Merge] {
        assert_eq!(changes(&before, &rows, mode, &evolve), [("ssn".to_owned(), ChangeKind::Action, "held")]);
    }
    assert_eq!(changes(&before, &rows, Mode::Overwrite, &evolve), []);
    // A column that is new in the table is known.
    assert_eq!(
        changes(&published(&["id"], &[]), &rows, Mode::Append, &evolve),
        [("ssn".to_owned(), ChangeKind::Added, "follows")]
    );
}

#[test]
fn a_column_that_is_no_longer_dropped_is_discarded_like_a_new_one() {
    let mut before = published(&["id"], &[]);
    before.recorded.columns.insert("ssn".to_owned(), decided("ssn", "drop", "gone"));
    let discard = contract(contract::Change::Discard, &[]);
    let output = schema(&["id", "ssn"]);
    // As long as it is dropped it stays in the output, where checks may look at it.
    assert!(!before.withhold(&discard, &planned(&["id", "ssn"], &["ssn"])));
    assert!(before.left_out(&discard, &output).is_empty());
    assert!(!before.withhold(&SchemaContract::default(), &planned(&["id", "ssn"], &[])));
    assert!(before.withhold(&discard, &planned(&["id", "ssn"], &[])));
    assert_eq!(before.left_out(&discard, &output), BTreeSet::from(["ssn".to_owned()]));
    assert!(!before.withhold(&discard, &planned(&["id"], &[])), "it comes to an end");
}

#[test]
fn how_rows_that_stay_were_made_is_told_again() {
    let mut before = published(&["id", "email", "ssn"], &[]);
    let options = Options::from([("keep_last".to_owned(), "4".to_owned())]);
    let masked = Decided { options, ..decided("email", "mask", "open") };
    let key = Some("sealift:crm.people/ssn@1".to_owned());
    let encrypted = Decided { key, ..decided("ssn", "encrypt", "open") };
    before.recorded.columns.insert("email".to_owned(), masked.clone());
    before.recorded.columns.insert("ssn".to_owned(), encrypted.clone());
    let planned = planned(&["id"], &[]);
    let planned = Planned {
        protection: &planned,
        partition_by: &[],
        mode: Mode::Append,
        dropped: &[],
        left_out: &BTreeSet::new(),
        fit: None,
    };
    let comparison = compare(Some(&before), &planned, &SchemaContract::default());
    // Files may be sealed again with a newer key.
    assert_eq!(comparison.stays(), [masked, Decided { key: None, ..encrypted }]);
}
