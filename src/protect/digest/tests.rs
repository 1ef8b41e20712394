use std::sync::Arc;

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int32Type};

use super::*;

fn key() -> DatasetKey {
    DatasetKey::for_tests("sealift:a.b#digest@1", &[3; 32])
}

/// The digest of one column `c` that comes in these arrays.
fn digest(arrays: &[ArrayRef]) -> Digest {
    let mut digests = Digests::with(&key(), [("c", arrays[0].data_type())]).unwrap();
    arrays.iter().for_each(|array| digests.add([array]).unwrap());
    digests.columns[0].clone()
}

fn of(array: impl Array + 'static) -> u128 {
    digest(&[Arc::new(array)]).sum
}

fn texts(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

#[test]
fn neither_order_nor_batches_count_but_every_value_does() {
    let value = |n: usize| "x".repeat(n * 7 % 90) + &n.to_string();
    let forth = digest(&[texts((0..1000).map(value))]);
    let back = digest(&[texts((0..400).rev().map(value)), texts((400..1000).rev().map(value))]);
    assert_eq!(forth.sum, back.sum);
    let without_one = digest(&[texts((1..1000).map(value))]);
    let twice = digest(&[texts((0..1000).map(value)), texts([value(5)])]);
    let other = digest(&[texts((0..1000).map(|n| if n == 500 { value(501) } else { value(n) }))]);
    assert!([without_one, twice, other].iter().all(|digest| digest.sum != forth.sum));
}

#[test]
fn numbers_agree_whatever_their_width_and_differ_from_other_kinds() {
    let five = of(Int32Array::from(vec![5, -5]));
    assert_eq!(five, of(Int64Array::from(vec![-5, 5])));
    let decimal = |precision, scale| {
        Decimal128Array::from(vec![5, -5]).with_precision_and_scale(precision, scale).unwrap()
    };
    assert_eq!(of(decimal(10, 2)), of(decimal(38, 2)));
    assert_eq!(of(Float32Array::from(vec![0.5])), of(Float64Array::from(vec![0.5])));
    let nan = f64::from_bits(0xFFF8_0000_0000_1234);
    assert_eq!(of(Float64Array::from(vec![nan])), of(Float64Array::from(vec![f64::NAN])));
    let kinds = [
        five,
        of(decimal(10, 2)),
        of(decimal(10, 3)),
        of(StringArray::from(vec!["5", "-5"])),
        of(BinaryArray::from(vec![&b"5"[..], b"-5"])),
        of(Date32Array::from(vec![5, -5])),
        of(TimestampMicrosecondArray::from(vec![5, -5])),
        of(TimestampMicrosecondArray::from(vec![5, -5]).with_timezone("UTC")),
        of(Float64Array::from(vec![5.0, -5.0])),
    ];
    let distinct: std::collections::BTreeSet<_> = kinds.iter().collect();
    assert_eq!(distinct.len(), kinds.len());
}

#[test]
fn nulls_are_counted_and_are_no_values() {
    let some = digest(&[Arc::new(Int32Array::from(vec![Some(1), None, Some(0), None]))]);
    assert_eq!((some.sum, some.nulls()), (of(Int32Array::from(vec![0, 1])), 2));
    let flags = BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]);
    assert_ne!(of(flags.clone()), of(BooleanArray::from(vec![true, false])));
    assert_eq!(digest(&[Arc::new(flags)]).nulls(), 1);
    assert_ne!(of(StringArray::from(vec![Some(""), None])), of(StringArray::from(vec![None::<&str>, None])));
}

/// The function as its description says it, value by value and block by block.
#[test]
fn the_lanes_give_what_one_value_after_the_other_gives() {
    let mac = |bytes: &[u8]| {
        let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(&[3; 32]).unwrap();
        hmac::Mac::update(&mut mac, b"sealift column digest\0text\0c");
        let derived: [u8; 32] = hmac::Mac::finalize(mac).into_bytes().into();
        let cipher = aes::Aes128Enc::new_from_slice(&derived[..16]).unwrap();
        let mut message = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        message.extend_from_slice(bytes);
        message.resize(message.len().next_multiple_of(16), 0);
        let mut state = [0_u8; 16];
        for block in message.chunks(16) {
            state.iter_mut().zip(block).for_each(|(state, byte)| *state ^= byte);
            let mut block = state.into();
            cipher.encrypt_block(&mut block);
            state = block.into();
        }
        u128::from_le_bytes(state)
    };
    let values: Vec<String> = (0..300).map(|n| "ab".repeat(n * 13 % 57) + &"c".repeat(n % 3)).collect();
    let expected = values.iter().fold(0_u128, |sum, value| sum.wrapping_add(mac(value.as_bytes())));
    assert_eq!(digest(&[texts(values)]).sum, expected);
}

#[test]
fn nested_values_count_by_what_is_in_them() {
    let list = |rows: &[&[i32]]| {
        let rows = rows.iter().map(|row| Some(row.iter().map(|n| Some(*n)).collect::<Vec<_>>()));
        of(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
    };
    assert_eq!(list(&[&[1, 2], &[3]]), list(&[&[3], &[1, 2]]));
    assert_ne!(list(&[&[1, 2], &[3]]), list(&[&[1], &[2, 3]]));
    let field = |name: &str, array: &ArrayRef| {
        (Arc::new(Field::new(name, array.data_type().clone(), true)), array.clone())
    };
    let city = texts(["Bern".to_owned()]);
    let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    let plain = of(StructArray::from(vec![field("city", &city)]));
    assert_eq!(plain, of(StructArray::from(vec![field("city", &city), field("zip", &none)])));
    assert_ne!(plain, of(StructArray::from(vec![field("town", &city)])));
}

#[test]
fn equal_contents_do_not_show_in_another_version_or_column() {
    let one = digest(&[texts(["same".to_owned()])]);
    assert_eq!(one.masked("a"), one.clone().masked("a"));
    assert_ne!(one.masked("a"), one.masked("b"));
    let array = texts(["same".to_owned()]);
    let mut other = Digests::with(&key(), [("d", array.data_type())]).unwrap();
    other.add([&array]).unwrap();
    assert_ne!(other.columns[0].sum, one.sum);
    assert!(!format!("{one:?}{other:?}").contains(&one.sum.to_string()));
}

#[test]
fn two_writes_join_in_the_columns_that_both_have() {
    let [a, b] = [texts(["a".to_owned()]), texts(["b".to_owned()])];
    let mut both = Digests::with(&key(), [("c", a.data_type()), ("d", a.data_type())]).unwrap();
    both.add([&a, &a]).unwrap();
    let mut one = Digests::with(&key(), [("c", a.data_type())]).unwrap();
    one.add([&b]).unwrap();
    both.join(&one);
    assert_eq!(both.columns.len(), 1);
    assert_eq!(both.columns[0].sum, digest(&[a, b]).sum);
}
