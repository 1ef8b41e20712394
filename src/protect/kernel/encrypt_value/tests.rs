use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, Date32Array, Decimal128Array, Int64Array, StringArray};

use proptest::prelude::*;

use super::super::Kernel as _;
use super::*;
use crate::error::Kind as Fault;
use crate::keys::Purpose;
use crate::spec::DatasetName;

fn purpose(column: &str) -> Purpose {
    let dataset = DatasetName::parse("crm.customers").unwrap();
    Purpose::Subject { dataset, column: column.to_owned() }
}

fn column_key(byte: u8) -> DatasetKey {
    DatasetKey::for_tests("sealift:crm.customers/ssn#value@3", &[byte; 32])
}

fn subjects(column: &str) -> Subjects {
    Subjects::for_tests(&purpose(column), &[5; 32]).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn cells(array: &ArrayRef) -> Vec<Option<String>> {
    array.as_string::<i32>().iter().map(|cell| cell.map(str::to_owned)).collect()
}

fn plain(cell: &str, keys: &Keys) -> Option<String> {
    open(cell, keys).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_column_of_one_key_opens_again_and_equal_values_differ() {
    let values = [Some("123"), None, Some(""), Some("123")];
    let keys = Keys::for_tests(vec![column_key(1)], None);
    let mut kernel = Kernel::of_column(&column_key(1), &DataType::Utf8, "ssn").unwrap();
    let sealed = cells(&kernel.apply(&texts(&values)).unwrap());
    for (cell, value) in sealed.iter().zip(values) {
        assert_eq!(cell.as_deref().map(|cell| plain(cell, &keys).unwrap()), value.map(str::to_owned));
    }
    assert!(sealed.iter().flatten().all(|cell| cell.starts_with("e3:")));
    assert_ne!(sealed[0], sealed[3]);
    // Another writer draws another salt and counts from 0 again.
    let mut other = Kernel::of_column(&column_key(1), &DataType::Utf8, "ssn").unwrap();
    let again = cells(&other.apply(&texts(&values)).unwrap());
    assert_ne!(again[0], sealed[0]);
    assert_eq!(plain(again[0].as_ref().unwrap(), &keys).unwrap(), "123");
    assert!(open(sealed[0].as_ref().unwrap(), &Keys::for_tests(vec![column_key(2)], None)).is_err());
}

proptest! {
    #[test]
    fn cells_come_back_and_no_two_are_alike(values in prop::collection::vec(".{0,40}", 1..20), at in any::<usize>()) {
        let keys = Keys::for_tests(vec![column_key(1)], None);
        let mut kernel = Kernel::of_column(&column_key(1), &DataType::Utf8, "ssn").unwrap();
        let column: ArrayRef = Arc::new(StringArray::from(values.clone()));
        let sealed: Vec<String> = cells(&kernel.apply(&column).unwrap()).into_iter().flatten().collect();
        prop_assert_eq!(sealed.iter().collect::<BTreeSet<_>>().len(), values.len());
        for (cell, value) in sealed.iter().zip(&values) {
            prop_assert_eq!(&plain(cell, &keys).unwrap(), value);
        }
        let mut altered = sealed[0].clone().into_bytes();
        let place = at % altered.len();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        prop_assert!(open(&String::from_utf8(altered).unwrap(), &keys).is_err());
    }
}

#[test]
fn every_type_is_encrypted_in_its_canonical_form() {
    let decimals = Decimal128Array::from(vec![1250]).with_precision_and_scale(10, 2).unwrap();
    let arrays: [(ArrayRef, &str); 3] = [
        (Arc::new(Int64Array::from(vec![-42])), "-42"),
        (Arc::new(decimals), "12.5"),
        (Arc::new(Date32Array::from(vec![0])), "1970-01-01"),
    ];
    let keys = Keys::for_tests(vec![column_key(1)], None);
    for (array, expected) in arrays {
        let mut kernel = Kernel::of_column(&column_key(1), array.data_type(), "ssn").unwrap();
        let sealed = cells(&kernel.apply(&array).unwrap());
        assert_eq!(plain(sealed[0].as_ref().unwrap(), &keys).unwrap(), expected);
    }
    assert!(Kernel::of_column(&column_key(1), &DataType::Float64, "ssn").is_err());
}

#[test]
fn each_subject_has_a_key_that_can_go() {
    let values = texts(&[Some("v1"), Some("v2"), Some("v3"), None, Some("v4")]);
    let by: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(8), Some(7), None, Some(8)]));
    let mut kernel = Kernel::by_subject(subjects("ssn"), &DataType::Utf8, "ssn", "id").unwrap();
    let sealed: Vec<_> = cells(&kernel.apply_by(&values, &by).unwrap()).into_iter().flatten().collect();
    let whole = Keys::for_tests(Vec::new(), Some(subjects("ssn")));
    let read = |keys: &Keys| sealed.iter().map(|cell| plain(cell, keys)).collect::<Vec<_>>();
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(read(&whole), [some("v1"), some("v2"), some("v3"), some("v4")]);

    let mut less = subjects("ssn");
    less.forget(less.digest(b"7"));
    assert_eq!(read(&Keys::for_tests(Vec::new(), Some(less))), [None, some("v2"), None, some("v4")]);
    let of = |subject: &[u8]| Some(subjects("ssn").digest(subject));
    let about: Vec<_> = sealed.iter().map(|cell| subject_of(cell, &whole)).collect();
    assert_eq!(about, [of(b"7"), of(b"8"), of(b"7"), of(b"8")]);
    let other = Keys::for_tests(vec![column_key(1)], Some(subjects("email")));
    assert!(sealed.iter().all(|cell| open(cell, &other).is_err()), "another column");
}

#[test]
fn rows_of_nobody_and_of_the_shredded_are_refused_unless_there_is_no_value() {
    let kernel = |shredded: &[u8]| {
        let mut subjects = subjects("ssn");
        subjects.forget(subjects.digest(shredded));
        Kernel::by_subject(subjects, &DataType::Utf8, "ssn", "id").unwrap()
    };
    let by = texts(&[Some("anna"), None]);
    let refused = kernel(b"ben").apply_by(&texts(&[Some("x"), Some("y")]), &by).unwrap_err();
    assert_eq!(refused.kind(), Fault::Data);
    let held = kernel(b"anna").apply_by(&texts(&[Some("x"), None]), &by).unwrap_err();
    assert_eq!(held.kind(), Fault::Held);
    assert!(!held.to_string().contains("anna"), "{held}");
    assert!(kernel(b"anna").apply_by(&texts(&[None, None]), &by).is_ok());
    assert!(kernel(b"ben").apply(&texts(&[Some("x")])).is_err(), "nobody says who it is about");
}

#[test]
fn every_altered_character_is_refused_in_the_same_words() {
    let keys = Keys::for_tests(vec![column_key(1)], Some(subjects("ssn")));
    let values = texts(&[Some("123-45-6789")]);
    let column = Kernel::of_column(&column_key(1), &DataType::Utf8, "ssn").unwrap().apply(&values).unwrap();
    let mut by_subject = Kernel::by_subject(subjects("ssn"), &DataType::Utf8, "ssn", "id").unwrap();
    let by_subject = by_subject.apply_by(&values, &texts(&[Some("anna")])).unwrap();
    let mut words = BTreeSet::new();
    for cell in [&column, &by_subject].into_iter().flat_map(cells).flatten() {
        assert_eq!(plain(&cell, &keys).unwrap(), "123-45-6789");
        for at in 0..cell.len() {
            let mut altered = cell.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            words.insert(open(&altered, &keys).unwrap_err().to_string());
            words.insert(open(&cell[..at], &keys).unwrap_err().to_string());
        }
        words.insert(open(&format!("{cell}A"), &keys).unwrap_err().to_string());
    }
    words.insert(open("t1:abcd", &keys).unwrap_err().to_string());
    assert_eq!(words.len(), 1, "{words:?}");
}

#[test]
fn nonces_count_and_digests_are_hidden() {
    let subject = texts(&[Some("anna"); 300]);
    let values = texts(&[Some("x"); 300]);
    let mut kernel = Kernel::by_subject(subjects("ssn"), &DataType::Utf8, "ssn", "id").unwrap();
    let sealed = cells(&kernel.apply_by(&values, &subject).unwrap());
    let digest = subjects("ssn").digest(b"anna");
    let (mut nonces, mut masked) = (BTreeSet::new(), BTreeSet::new());
    for cell in sealed.iter().flatten() {
        let bytes = URL_SAFE_NO_PAD.decode(cell.strip_prefix("e1:").unwrap()).unwrap();
        assert_eq!((bytes[0], bytes.len()), (0x81, 1 + 16 + 12 + 12 + 1 + 16));
        nonces.insert(bytes[17..29].to_vec());
        masked.insert(bytes[29..41].to_vec());
    }
    assert_eq!((nonces.len(), masked.len()), (300, 300));
    assert_eq!(nonces.last().unwrap()[..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 43]);
    assert!(!masked.contains(&digest.bytes()[..]));
    kernel.cells = MOST_CELLS;
    assert_eq!(kernel.apply_by(&values, &subject).unwrap_err().kind(), Fault::Failed);
}

#[test]
fn a_cell_is_what_its_layout_says() {
    let digest = subjects("ssn").digest(b"anna");
    let mut aad = Vec::new();
    cell::append_aad("sealift:a.b/c#subject@1", Kind::Text, Some(&digest), &mut aad);
    let expected = [
        &[0, 0, 0, 14][..],
        b"sealift-cell-1",
        &[0, 0, 0, 23],
        b"sealift:a.b/c#subject@1",
        &[0, 0, 0, 4],
        b"text",
        &[0, 0, 0, 12],
        digest.bytes(),
    ]
    .concat();
    assert_eq!(aad, expected);
    // GCM specification (McGrew and Viega), test case 14: AES-256, one block of zeros.
    let mut block = [0; 16];
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let tag =
        cell::cipher(&[0; 32]).unwrap().seal_in_place_separate_tag(nonce, Aad::empty(), &mut block).unwrap();
    assert_eq!(hex::encode(block), "cea7403d4d606b6e074ec5d3baf39d18");
    assert_eq!(hex::encode(tag.as_ref()), "d0d1c8a799996bf0265b98b5d48ab919");
}
