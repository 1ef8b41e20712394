use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::*;

const POINT: u32 = 600;
const FIRST_OWN: u32 = 70_000;

fn types(entries: Vec<(u32, Entry)>) -> Types {
    let facts = Facts { money_scale: Some(2), infinite_intervals: false };
    Types { entries: entries.into_iter().collect(), facts }
}

fn composite(oids: &[u32]) -> Entry {
    let attribute = |(i, oid): (usize, &u32)| Attribute { name: format!("f{i}"), oid: *oid, modifier: -1 };
    Entry::Composite(oids.iter().enumerate().map(attribute).collect())
}

#[test]
fn a_domain_within_a_value_brings_its_own_limits() {
    let limits = (10 << 16 | 2) + 4;
    let types = types(vec![
        (FIRST_OWN, Entry::Array { element: FIRST_OWN + 1 }),
        (FIRST_OWN + 1, Entry::Domain { base: FIRST_OWN + 2, modifier: -1 }),
        (FIRST_OWN + 2, Entry::Domain { base: Type::NUMERIC.oid(), modifier: limits }),
    ]);
    let layout = types.layout(FIRST_OWN, -1);
    let numeric = Wire::Numeric { precision: 10, scale: 2 };
    assert_eq!(layout.wire, Wire::List(Box::new(Part { oid: FIRST_OWN + 1, wire: numeric })));
}

#[test]
fn what_holds_a_part_without_known_layout_goes_as_text() {
    let types = types(vec![
        (POINT, Entry::Other),
        (FIRST_OWN, composite(&[Type::INT4.oid(), POINT])),
        (FIRST_OWN + 1, Entry::Array { element: FIRST_OWN }),
        (FIRST_OWN + 2, composite(&[FIRST_OWN])),
        (FIRST_OWN + 3, composite(&[])),
    ]);
    for oid in [POINT, FIRST_OWN, FIRST_OWN + 2, FIRST_OWN + 3, 99_999] {
        assert_eq!(types.layout(oid, -1), Layout { wire: Wire::Output, cast: "::text" });
    }
    let list = types.layout(FIRST_OWN + 1, -1);
    let texts = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    assert_eq!((list.wire.arrow(), list.cast), (texts, "::text[]"));
}

#[test]
fn trap_types_of_types_of_types_are_bounded() {
    // Each holds the one before twice: 2^60 parts.
    let mut entries = vec![(FIRST_OWN, composite(&[Type::INT4.oid(); 2]))];
    for oid in FIRST_OWN + 1..FIRST_OWN + 60 {
        entries.push((oid, composite(&[oid - 1; 2])));
    }
    // And one that holds itself, which the server never makes.
    entries.push((FIRST_OWN + 99, Entry::Array { element: FIRST_OWN + 99 }));
    let types = types(entries);
    assert_eq!(types.layout(FIRST_OWN + 59, -1).carried(), Carried::AsText);
    assert_eq!(types.layout(FIRST_OWN + 99, -1).cast, "::text[]");
    assert!(matches!(types.layout(FIRST_OWN + 5, -1).wire, Wire::Struct(_)));
}

#[test]
fn depth_is_counted_down_a_value_and_not_across_it() {
    let wide = composite(&[FIRST_OWN; 100]);
    let types = types(vec![(FIRST_OWN, composite(&[Type::INT4.oid()])), (FIRST_OWN + 1, wide)]);
    assert!(matches!(types.layout(FIRST_OWN + 1, -1).wire, Wire::Struct(_)));
}

#[test]
fn a_column_is_given_as_described_or_as_text_and_no_other_way() {
    let types = types(vec![
        (1005, Entry::Array { element: Type::INT2.oid() }),
        (POINT, Entry::Other),
        (791, Entry::Array { element: 790 }),
    ]);
    let limits = (10 << 16 | 2) + 4;
    for (oid, modifier, cast) in [
        (Type::INT4.oid(), -1, "::text"),
        (Type::BOOL.oid(), -1, "::text"),
        (Type::BYTEA.oid(), -1, "::text"),
        (Type::DATE.oid(), -1, "::text"),
        (Type::TIMESTAMPTZ.oid(), -1, "::text"),
        (1005, -1, "::text"),
        (POINT, -1, "::text"),
        (Type::MONEY.oid(), -1, "::numeric::text"),
        (791, -1, "::numeric[]::text"),
        // A cast of char(n) would strip its spaces.
        (Type::BPCHAR.oid(), 9, ""),
        (Type::NUMERIC.oid(), limits, ""),
        (Type::INTERVAL.oid(), -1, ""),
    ] {
        let layout = types.layout(oid, modifier);
        assert_eq!(layout.clone().asked(&layout.carried()), Some(layout.clone()));
        let text = layout.clone().asked(&Carried::AsText).unwrap();
        assert_eq!((text.wire.arrow(), text.cast), (DataType::Utf8, cast), "type {oid}");
        assert_eq!(
            layout.asked(&Carried::Exact(DataType::Duration(arrow::datatypes::TimeUnit::Second))),
            None
        );
    }
}

#[test]
fn the_select_list_keeps_the_names() {
    let column = |name: &str| Column {
        name: name.into(),
        source_type: String::new(),
        nullable: true,
        carried: Carried::AsText,
    };
    let layouts = [Layout { wire: Wire::Output, cast: "::text" }, Layout { wire: Wire::Text, cast: "" }];
    let list = select_list(&[column("Odd \"one\""), column("b")], &layouts);
    assert_eq!(list, r#""Odd ""one"""::text AS "Odd ""one""", "b""#);
    assert_eq!(select_list(&[], &[]), "");
}
