//! Verdicts over hand-made tallies.
use arrow::datatypes::{DataType, TimeUnit};

use super::{CustomName, Named, weigh};
use crate::classify::finding::{Finding, Seen};
use crate::classify::values::tally::{Hit, Shape, Tally};

fn column(name: &str, data_type: DataType) -> Named {
    Named { name: name.to_owned(), data_type, nullable: true }
}

fn hit(detector: &str, tag: &str, (passed, formed): (u64, u64), chance: f64, distinctive: bool) -> Hit {
    Hit { detector: detector.to_owned(), tag: tag.to_owned(), passed, chance, formed, distinctive }
}

/// `n` distinct values of one length.
fn shape(n: u64, length: u64) -> Shape {
    Shape {
        sampled: n,
        offered: n,
        longest: length,
        shortest: length,
        length_sum: n * length,
        same_length: n,
        ..Shape::default()
    }
}

fn digits(n: u64, length: u64) -> Shape {
    let high = 10_i128.pow(u32::try_from(length).unwrap());
    Shape { digits: n, integers: Some((high / 10, high - 1)), ..shape(n, length) }
}

fn one(column: Named, tally: Option<Tally>) -> Finding {
    weigh(&[column], &[tally], &[]).remove(0)
}

fn emails(passed: u64, n: u64) -> Tally {
    Tally { hits: vec![hit("email", "pii.email", (passed, passed), 1.0, true)], shape: shape(n, 20) }
}

fn luhn(passed: u64, n: u64) -> Tally {
    Tally {
        hits: vec![hit("card_number", "financial.card_number", (passed, n), 0.1, false)],
        shape: digits(n, 16),
    }
}

#[test]
fn one_value_that_looks_like_a_key_does_not_speak_for_a_thousand_that_do_not() {
    let random = |of_a_key: u64| Tally {
        hits: vec![
            hit("secret_random", "credentials.secret", (1_000, 1_000), 0.9, false),
            hit("secret_token", "credentials.secret", (of_a_key, of_a_key), 0.0001, true),
        ],
        shape: Shape { opaque: 1_000 + of_a_key, ..shape(1_000 + of_a_key, 40) },
    };
    assert_eq!(one(column("note", DataType::Utf8), Some(random(1))).tag, "internal");
    assert_eq!(one(column("note", DataType::Utf8), Some(random(900))).tag, "credentials.secret");
}

#[test]
fn values_and_names_are_weighed() {
    let aba = Tally {
        hits: vec![hit("us_aba_routing", "financial.us_aba_routing", (40, 400), 0.04, false)],
        shape: digits(400, 9),
    };
    let cases: Vec<(&str, DataType, Option<Tally>, &str)> = vec![
        ("c17", DataType::Utf8, Some(emails(500, 500)), "pii.email"),
        ("email", DataType::Utf8, Some(emails(450, 500)), "pii.email"),
        ("email", DataType::Utf8, Some(emails(4, 5)), "pii.email"),
        ("contact", DataType::Utf8, Some(emails(5, 5)), "pii.email"),
        ("email", DataType::Utf8, None, "pii.email"),
        ("has_email", DataType::Boolean, None, "internal"),
        ("email_count", DataType::Int64, Some(Tally { hits: vec![], shape: digits(9, 1) }), "internal"),
        ("c1", DataType::Int64, Some(luhn(100, 1000)), "internal"),
        ("c1", DataType::Int64, Some(luhn(1000, 1000)), "financial.card_number"),
        ("card_number", DataType::Int64, Some(luhn(5, 5)), "financial.card_number"),
        ("card_number", DataType::Utf8, Some(luhn(880, 1000)), "financial.card_number"),
        ("invoice_no", DataType::Int64, Some(luhn(1000, 1000)), "internal"),
        ("order_number", DataType::Int64, Some(aba.clone()), "internal"),
        ("c3", DataType::Int64, Some(aba), "internal"),
        ("amount", DataType::Float64, None, "financial.amount"),
        ("birth_date", DataType::Date32, None, "pii.birth_date"),
        ("created_at", DataType::Timestamp(TimeUnit::Microsecond, None), None, "internal"),
        ("phone", DataType::Int64, None, "pii.phone"),
        ("phone", DataType::Float64, None, "internal"),
        ("c9", DataType::Utf8, None, "unknown"),
        ("c9", DataType::Utf8, Some(Tally::default()), "unknown"),
        (
            "c9",
            DataType::Utf8,
            Some(Tally { hits: vec![], shape: Shape { words: 300, ..shape(300, 80) } }),
            "unknown",
        ),
        (
            "c9",
            DataType::Utf8,
            Some(Tally { hits: vec![], shape: Shape { opaque: 300, ..shape(300, 36) } }),
            "internal",
        ),
        (
            "c9",
            DataType::Int64,
            Some(Tally { hits: vec![], shape: Shape { is_sequence: true, ..digits(300, 6) } }),
            "internal",
        ),
        (
            "status",
            DataType::Utf8,
            Some(Tally { hits: vec![], shape: Shape { offered: 900, ..shape(5, 6) } }),
            "internal",
        ),
        // A name says something plain, the values say otherwise: nothing but an address has this form.
        ("order_ref", DataType::Utf8, Some(emails(500, 500)), "pii.email"),
        (
            "email_address",
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            None,
            "pii.email",
        ),
    ];
    for (name, data_type, tally, tag) in cases {
        let found = one(column(name, data_type.clone()), tally.clone());
        assert_eq!(found.tag, tag, "{name} {data_type} {tally:?} {found:?}");
        assert!((0.0..=1.0).contains(&found.confidence));
    }
}

/// Venues are no routing numbers, codes no addresses, and a ship's name may be Anna's.
#[test]
fn values_overrule_a_name() {
    let cases: Vec<(&str, DataType, Option<Tally>, &str)> = vec![
        (
            "routing_venue",
            DataType::Utf8,
            Some(Tally { hits: vec![], shape: Shape { offered: 900, ..shape(4, 4) } }),
            "internal",
        ),
        (
            "memory_address",
            DataType::Utf8,
            Some(Tally { hits: vec![], shape: Shape { codes: 300, ..shape(300, 10) } }),
            "unknown",
        ),
        (
            "barge_name",
            DataType::Utf8,
            Some(Tally {
                hits: vec![hit("person_name", "pii.person_name", (5, 8), 0.02, true)],
                shape: Shape { offered: 900, words: 8, ..shape(8, 12) },
            }),
            "internal",
        ),
    ];
    for (name, data_type, tally, tag) in cases {
        let found = one(column(name, data_type), tally);
        assert_eq!(found.tag, tag, "{name} {found:?}");
    }
}

#[test]
fn a_checksum_must_beat_chance() {
    let confidence = |passed| one(column("c1", DataType::Int64), Some(luhn(passed, 1000)));
    assert_eq!(confidence(110).tag, "internal");
    assert_eq!(confidence(900).tag, "financial.card_number");
    assert!(confidence(1000).confidence >= confidence(700).confidence);
}

#[test]
fn neighbours_tell_what_an_unclear_name_means() {
    let text = |name: &str| column(name, DataType::Utf8);
    let tags = |names: &[&str]| {
        let columns: Vec<Named> = names.iter().map(|n| text(n)).collect();
        weigh(&columns, &[], &[]).into_iter().map(|f| f.tag).collect::<Vec<_>>()
    };
    assert_eq!(tags(&["name", "ssn", "birth_date"])[0], "pii.person_name");
    assert_ne!(tags(&["name", "price", "sku"])[0], "pii.person_name");
    assert_eq!(tags(&["nom", "prenom"])[0], "pii.person_name");
    assert_eq!(tags(&["account", "bic", "bank_name"])[0], "financial.bank_account");
}

#[test]
fn the_same_columns_are_judged_alike_in_any_order() {
    let columns = vec![
        column("name", DataType::Utf8),
        column("ssn", DataType::Utf8),
        column("c3", DataType::Utf8),
        column("price", DataType::Float64),
    ];
    let tallies = vec![None, None, Some(emails(99, 100)), None];
    let there = weigh(&columns, &tallies, &[]);
    assert_eq!(there, weigh(&columns, &tallies, &[]));
    let turned: Vec<Named> = columns.iter().rev().cloned().collect();
    let turned_tallies: Vec<_> = tallies.iter().rev().cloned().collect();
    let mut back = weigh(&turned, &turned_tallies, &[]);
    back.reverse();
    assert_eq!(there, back);
}

#[test]
fn the_policy_adds_names_and_detectors() {
    let custom = [CustomName { name: "kunden_ref".to_owned(), tag: "acme.customer".to_owned() }];
    let found = weigh(&[column("KundenRef", DataType::Utf8)], &[None], &custom).remove(0);
    assert_eq!(found.tag, "acme.customer");
    let tally = Tally { hits: vec![hit("acme", "acme.badge", (100, 100), 1.0, true)], shape: shape(100, 8) };
    assert_eq!(one(column("c1", DataType::Utf8), Some(tally)).tag, "acme.badge");
}

#[test]
fn evidence_begins_with_what_decides() {
    let found = one(column("email", DataType::Utf8), Some(emails(450, 500)));
    assert!(
        matches!(&found.evidence[0].seen, Seen::Values { detector, passed: 450, sampled: 500 } if detector == "email"),
        "{found:?}"
    );
    assert!(matches!(found.evidence[1].seen, Seen::Name { term: "e-mail" }), "{found:?}");
}
