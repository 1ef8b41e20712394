//! Types, bounds and spread of a sample.
use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Int8Array,
    Int64Array, LargeStringArray, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;

use super::*;

fn texts(array: &dyn Array) -> Vec<String> {
    let mut sample = Sample::new(Limits::default());
    sample.observe(array);
    sample.values().map(|v| String::from_utf8_lossy(v).into_owned()).collect()
}

#[test]
fn every_type_is_read_as_text() {
    assert_eq!(
        texts(&StringArray::from(vec![Some("a"), None, Some(" "), Some("b "), Some("a")])),
        ["a", "b"]
    );
    assert_eq!(texts(&LargeStringArray::from(vec!["x"])), ["x"]);
    assert_eq!(texts(&StringViewArray::from(vec!["a long text that is not inlined"])).len(), 1);
    assert_eq!(texts(&Int8Array::from(vec![-3])), ["-3"]);
    assert_eq!(texts(&Float32Array::from(vec![1.5])), ["1.5"]);
    assert_eq!(texts(&BooleanArray::from(vec![true])), ["true"]);
    let whole = Decimal128Array::from(vec![536_226_823i128]).with_precision_and_scale(9, 0).unwrap();
    assert_eq!(texts(&whole), ["536226823"]);
    assert_eq!(Kind::of(whole.data_type()), Kind::Integer);
    let fraction = Decimal128Array::from(vec![1250i128]).with_precision_and_scale(9, 2).unwrap();
    assert_eq!(texts(&fraction), ["12.50"]);
    assert_eq!(texts(&Date32Array::from(vec![0])), ["1970-01-01"]);
    let zoned = TimestampMicrosecondArray::from(vec![0]).with_timezone("Europe/Zurich");
    assert_eq!(texts(&zoned), ["1970-01-01T00:00:00"]);
    let dictionary: DictionaryArray<Int32Type> = vec!["k", "k", "l"].into_iter().collect();
    assert_eq!(texts(&dictionary), ["k", "l"]);
    assert!(texts(&BinaryArray::from(vec![b"secret".as_slice()])).is_empty());
}

#[test]
fn bounds_hold_and_the_pick_is_spread() {
    let limits = Limits { per_batch: 64, per_column: 256, value_bytes: 100, total_bytes: 8192 };
    let mut sample = Sample::new(limits);
    for batch in 0..400i64 {
        let ids: Vec<i64> = (0..1000).map(|row| batch * 1000 + row).collect();
        sample.observe(&Int64Array::from(ids));
    }
    assert!(sample.len() <= 256 && sample.len() >= 64);
    assert!(sample.is_sequence());
    let values: Vec<i64> = sample.values().map(|v| str::from_utf8(v).unwrap().parse().unwrap()).collect();
    assert!(values.iter().any(|v| *v < 100_000) && values.iter().any(|v| *v > 300_000));
    let mut wide = Sample::new(limits);
    wide.observe(&StringArray::from((0..64).map(|n| format!("{n}{}", "é".repeat(5000))).collect::<Vec<_>>()));
    assert!(wide.bytes.len() <= 8192 && wide.values().all(|v| v.len() <= 100 && str::from_utf8(v).is_ok()));
}

#[test]
fn a_column_that_brings_nothing_new_rests_and_wakes_up() {
    let few: StringArray = (0..1000).map(|row| Some(["a", "b", "c"][row % 3])).collect();
    let mut sample = Sample::default();
    (0..200).for_each(|_| sample.observe(&few));
    let looked_at = sample.offered() / 128;
    assert!((30..=45).contains(&looked_at), "{looked_at} of 200 batches");
    (0..3200).for_each(|_| sample.observe(&few));
    let later = sample.offered() / 128 - looked_at;
    assert!((90..=110).contains(&later), "{later} of 3200 batches: every 32nd");
    // What is new is found, and then looked at more often.
    let before = sample.offered();
    (0..400).for_each(|n| sample.observe(&StringArray::from(vec![format!("new {n}"); 1000])));
    assert_eq!(sample.len() as u64 - 3, (sample.offered() - before) / 128);
    assert!(sample.len() > 200, "{}", sample.len());
}

#[test]
fn chunks_that_take_turns_are_all_looked_at() {
    let mut sample = Sample::default();
    let turns = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]];
    let batches = turns.map(|turn| (0..1000).map(|row| Some(turn[row % 2])).collect::<StringArray>());
    (0..4000).for_each(|n| sample.observe(&batches[n % 4]));
    for n in 4000..8000_usize {
        let late = if n % 4 == 3 {
            StringArray::from(vec![format!("late {n}"); 10])
        } else {
            batches[n % 4].clone()
        };
        sample.observe(&late);
    }
    assert!(sample.len() > 8 + 20, "{}", sample.len());
}
