//! Whole columns through sample and tally: what must be seen, and what must not.
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

use super::chance_test::Draw;
use super::{Checksum, Custom, Detectors, Limits, Sample, Tally, Test};

fn tally_of(column: &ArrayRef) -> Tally {
    let mut sample = Sample::new(Limits { per_batch: 2048, ..Limits::default() });
    sample.observe(column);
    Detectors::builtin().tally(&sample)
}

fn texts<S: AsRef<str>>(values: &[S]) -> Tally {
    tally_of(&(Arc::new(StringArray::from_iter_values(values)) as ArrayRef))
}

fn drawn(form: &str) -> Vec<String> {
    let mut draw = Draw(11);
    (0..1000).map(|_| draw.of(form)).collect()
}

fn share(tally: &Tally, detector: &str) -> f64 {
    let hit = tally.hits.iter().find(|hit| hit.detector == detector);
    hit.map_or(0.0, |hit| hit.passed as f64 / tally.shape.sampled as f64)
}

#[test]
fn integers_can_be_identifiers_and_floats_cannot() {
    let mut draw = Draw(3);
    let ssns: Vec<i64> = (0..1000)
        .map(|_| {
            let ssn =
                (1 + draw.below(665)) * 1_000_000 + (1 + draw.below(99)) * 10_000 + 1 + draw.below(9999);
            i64::try_from(ssn).unwrap()
        })
        .collect();
    let tally = tally_of(&(Arc::new(Int64Array::from(ssns.clone())) as ArrayRef));
    assert!(share(&tally, "us_ssn") > 0.99, "lost zeros are put back");
    let floats: Vec<f64> = ssns.iter().map(|n| *n as f64).collect();
    let tally = tally_of(&(Arc::new(Float64Array::from(floats)) as ArrayRef));
    assert_eq!((tally.hits.len(), tally.shape.numeric), (0, tally.shape.sampled));
}

#[test]
fn dirty_columns_are_added_up_by_name() {
    let mut values = drawn("1##-4#-5###");
    values.extend(drawn("1##4#5###"));
    values.extend(drawn("n/a #"));
    let tally = texts(&values);
    let hits: Vec<_> = tally.hits.iter().filter(|hit| hit.detector == "us_ssn").collect();
    assert_eq!(hits.len(), 1);
    assert!(
        hits[0].passed + 10 >= tally.shape.sampled && hits[0].distinctive,
        "{:?} {:?}",
        hits[0],
        tally.shape
    );
}

#[test]
fn forms_of_ordinary_data_are_recognised() {
    let opaque = |form: &str| {
        let tally = texts(&drawn(form));
        (tally.shape.opaque as f64 / tally.shape.sampled as f64, tally)
    };
    for form in [
        "~~~~~~~~-~~~~-4~~~-8~~~-~~~~~~~~~~~~",
        "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
        "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
    ] {
        let (share_opaque, tally) = opaque(form);
        assert!(share_opaque > 0.99, "{form}");
        assert!(
            tally.hits.iter().all(|hit| hit.passed * 50 < tally.shape.sampled),
            "{form} {:?}",
            tally.hits
        );
    }
    let times = texts(&drawn("20##-10-1# 1#:##:##"));
    assert_eq!(times.shape.temporal, times.shape.sampled);
    assert!(texts(&drawn("17########")).hits.iter().all(|hit| !hit.distinctive), "epoch seconds");
    let notes = texts(&["the parcel came late and was damaged", "please send the invoice again by post"]);
    assert_eq!((notes.shape.words, share(&notes, "free_text")), (2, 0.0));
}

#[test]
fn hard_negatives_do_not_pass_what_has_a_check() {
    for (form, detectors) in [
        ("#########", &["us_aba_routing", "nl_bsn", "ca_sin", "au_tfn", "pt_nif"][..]),
        ("################", &["card_number"]),
        ("1#########", &["us_npi", "uk_nhs", "se_personnummer", "bg_egn"]),
        ("###########", &["de_steuer_id", "pl_pesel", "br_cpf", "tr_kimlik"]),
        ("##.# kg", &["email", "phone_us", "street_address", "person_name"]),
        ("1.#.#.#", &["ipv4", "phone_grouped"]),
        ("SKU-####-##", &["uk_nino", "es_dni", "icd10", "passport_form"]),
        ("##.##.##", &["phone_grouped", "phone_national"]),
    ] {
        let tally = texts(&drawn(form));
        for detector in detectors {
            assert!(share(&tally, detector) < 0.2, "{form} {detector} {}", share(&tally, detector));
        }
    }
}

#[test]
fn people_and_places_are_seen() {
    let people = [
        "Jennifer Lopez",
        "Dr. Hans Müller",
        "SMITH, JOHN",
        "María José García",
        "Ludwig van Beethoven",
        "Anna-Lena Schmidt",
        "Wei Chen",
    ];
    assert!(share(&texts(&people), "person_name") > 0.99);
    let firms = [
        "Acme Widgets Inc",
        "Global Data Systems",
        "Grace Period",
        "Smith and Sons",
        "Red Oak Furniture",
        "Quality Software Group",
    ];
    assert!(share(&texts(&firms), "person_name") < 0.2, "{:?}", texts(&firms).hits);
    let addresses = [
        "123 Main Street",
        "Hauptstraße 5",
        "12 rue de la Paix",
        "Via Roma 12",
        "ul. Długa 5/7",
        "Kerkstraat 12",
        "742 Evergreen Terrace, Springfield, OR 97403",
        "Calle Mayor 3",
    ];
    assert!(share(&texts(&addresses), "street_address") > 0.99, "{:?}", texts(&addresses).hits);
    let goods = [
        "Galaxy S21 View",
        "iPhone 12 Pro Max",
        "Steel Chair 40 cm",
        "Red Wine 2019 Reserve",
        "SSD Drive 512GB",
    ];
    assert!(share(&texts(&goods), "street_address") < 0.21, "{:?}", texts(&goods).hits);
    let users = ["jsmith", "john.doe", "maria_garcia", "williamsjohn", "david94", "smithj"];
    assert!(share(&texts(&users), "username") > 0.9);
    assert!(share(&texts(&["male", "female", "other"]), "gender") > 0.99);
    assert!(share(&texts(&["Berlin", "New York", "São Paulo", "Kraków"]), "city") > 0.99);
}

#[test]
fn ordinary_words_are_seldom_names() {
    let words: Vec<&str> = include_str!("dictionary/common_words.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect();
    let capital: Vec<String> = words
        .iter()
        .map(|w| {
            let mut letters = w.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
        })
        .collect();
    let tally = texts(&capital);
    for detector in ["first_name", "last_name", "city", "country", "gender"] {
        let stated = tally.hits.iter().find(|h| h.detector == detector).map_or(0.0, |h| h.chance);
        assert!(
            share(&tally, detector) <= stated + 0.005,
            "{detector} {} of {stated}",
            share(&tally, detector)
        );
    }
}

#[test]
fn telephones_and_networks_are_seen() {
    let phones = [
        "+44 20 7946 0958",
        "(212) 555-0143",
        "212-555-0143",
        "+1-212-555-0143",
        "030 901820 12",
        "+49 (0)30 901820",
        "0151 23456789",
        "06 12 34 56 78",
        "001-212-555-0143x4321",
        "(212)555-0143 ext. 12",
        "012345678",
    ];
    let tally = texts(&phones);
    let passed: u64 = tally.hits.iter().filter(|h| h.tag == "pii.phone").map(|h| h.passed).sum();
    assert_eq!(passed, phones.len() as u64, "{:?}", tally.hits);
    assert!(share(&texts(&["2001:db8::1", "fe80::1", "2001:0db8:85a3::8a2e:0370:7334"]), "ipv6") > 0.99);
    assert!(
        share(&texts(&["00:1B:44:11:3A:B7", "00-1b-44-11-3a-b7", "001b.4411.3ab7"]), "mac_address") > 0.99
    );
    assert!(share(&texts(&["SW1A 1AA", "M1 1AE", "EC1A1BB"]), "postal_uk") > 0.99);
    assert!(share(&texts(&["47.3769, 8.5417", "-33.8688,151.2093"]), "geo_pair") > 0.99);
    assert!(share(&texts(&["GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000"]), "iban") > 0.99);
}

#[test]
fn the_policy_adds_detectors() {
    let custom = [
        Custom {
            name: "branch".into(),
            tag: "internal.branch".into(),
            regex: Some("BR[0-9]{4}".into()),
            test: Test::Form,
        },
        Custom {
            name: "loyalty".into(),
            tag: "pii.loyalty".into(),
            regex: None,
            test: Test::Checksum(Checksum::Luhn),
        },
        Custom {
            name: "tier".into(),
            tag: "internal.tier".into(),
            regex: None,
            test: Test::Words(vec!["Gold".into(), "Été".into()]),
        },
    ];
    let detectors = Detectors::with(&custom).unwrap();
    let mut sample = Sample::default();
    sample.observe(&StringArray::from(vec!["BR1234", "79927398713", "GOLD", "été", "BR12345"]));
    let tally = detectors.tally(&sample);
    let passed = |name: &str| tally.hits.iter().find(|h| h.detector == name).map_or(0, |h| h.passed);
    assert_eq!((passed("branch"), passed("loyalty"), passed("tier")), (1, 1, 2));
    let bad = Custom { name: "bad".into(), tag: "x".into(), regex: Some("(".into()), test: Test::Form };
    assert!(Detectors::with(&[bad]).is_err());
    let huge = Custom {
        name: "huge".into(),
        tag: "x".into(),
        regex: Some("(?:[a-z]{1000}){1000}".into()),
        test: Test::Form,
    };
    assert!(Detectors::with(&[huge]).is_err());
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,200}", lines in "[A-Z0-9 .,:@+()/$é-]{0,80}") {
        for value in [&text, &lines] {
            let spans = super::find(value);
            let mut end = 0;
            for span in spans {
                proptest::prop_assert!(span.range.start >= end && span.range.end > span.range.start);
                proptest::prop_assert!(value.get(span.range.clone()).is_some());
                end = span.range.end;
            }
            texts(&[value]);
        }
    }

    #[test]
    fn bytes_do_not_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut board = super::detector::Board::new();
        super::judge::judge(&super::form::Form::of(&bytes), super::Kind::Text, &mut board);
        let _ = super::scan::first(&bytes);
    }
}
