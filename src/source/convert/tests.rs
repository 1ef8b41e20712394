use arrow::array::{Float64Array, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta};
use futures::{TryStreamExt, stream};
use proptest::prelude::*;

use super::*;
use crate::error::Kind;

fn source(name: &str, carried: Carried) -> Column {
    Column { name: name.to_owned(), source_type: "numeric".to_owned(), nullable: false, carried }
}

fn refused() -> Carried {
    Carried::Refused { remedy: "as text".to_owned() }
}

/// Converts texts of one column `c`, which the source describes as `carried`.
fn run(
    texts: &[Option<&str>],
    to: ColumnType,
    on_overflow: OnOverflow,
    carried: Carried,
) -> Result<RecordBatch> {
    let conversion = Conversion { to, on_overflow };
    let column = Column { nullable: true, ..source("c", carried) };
    let rest = Field::new("rest", DataType::Int64, false);
    let schema = |column: &Column| Arc::new(Schema::new(vec![rest.clone(), column.field().unwrap()]));
    let numbers: Vec<i64> = (0..).take(texts.len()).collect();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(numbers)), Arc::new(StringArray::from(texts.to_vec()))];
    let batch = RecordBatch::try_new(schema(&asked(&column)), columns).unwrap();
    let output = schema(&converted(&column, conversion));
    let decisions = [Decision::of(&column, conversion)];
    let rows = convert(stream::iter([Ok(batch)]).boxed(), &decisions, &output, None);
    let batches: Vec<RecordBatch> = futures::executor::block_on(rows.try_collect())?;
    assert_eq!(batches[0].schema(), output);
    Ok(batches[0].clone())
}

/// Whether the text fits the type.
fn fits(text: &str, to: ColumnType) -> bool {
    run(&[Some(text)], to, OnOverflow::Fail, refused()).is_ok()
}

#[test]
fn the_decided_column_is_converted_and_the_others_stay() {
    let texts = [Some("1.50"), None, Some("-2"), Some("2e-1")];
    let batch = run(&texts, ColumnType::Decimal(10, 2), OnOverflow::Fail, refused()).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values().as_ref(), [0, 1, 2, 3]);
    let decimals = batch.column(1).as_primitive::<Decimal128Type>();
    assert_eq!(decimals.iter().collect::<Vec<_>>(), [Some(150), None, Some(-200), Some(20)]);
    let batch = run(&texts, ColumnType::Text, OnOverflow::Fail, refused()).unwrap();
    assert_eq!(batch.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), texts);
}

#[test]
fn trap_what_does_not_fit_fails_with_column_and_remedy_and_no_value() {
    for (text, to) in [
        ("NaN", ColumnType::Decimal(38, 9)),
        ("Infinity", ColumnType::Decimal(38, 9)),
        ("0.0000000001", ColumnType::Decimal(38, 9)),
        ("1e29", ColumnType::Decimal(38, 9)),
        ("infinity", ColumnType::Date),
        ("0000-00-00", ColumnType::Date),
        ("2024-00-15", ColumnType::Date),
        ("0000-00-00 00:00:00", ColumnType::Timestamp),
        ("-infinity", ColumnType::TimestampTz),
        ("2147483648", ColumnType::Int32),
        ("9223372036854775808", ColumnType::Int64),
        ("9007199254740993", ColumnType::Float64),
        ("", ColumnType::Int64),
        ("yes", ColumnType::Boolean),
    ] {
        let error = run(&[Some("1"), Some(text)], to, OnOverflow::Fail, refused()).unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{text}");
        let alone = run(&[Some(text)], to, OnOverflow::Fail, refused()).unwrap_err();
        let expected = format!("column `c` holds a value that {to} cannot hold exactly");
        assert_eq!(alone.message(), expected);
        assert!(alone.remedy().unwrap().contains("columns: {c: {as: text}}"), "{alone}");
        assert!(text.is_empty() || !alone.to_string().contains(text), "{alone}");

        let batch = run(&[None, Some(text)], to, OnOverflow::Null, refused()).unwrap();
        assert_eq!(batch.column(1).null_count(), 2, "{text}");
    }
}

#[test]
fn a_column_that_may_lose_values_to_null_is_nullable() {
    let column = source("c", refused());
    for (on_overflow, nullable) in
        [(OnOverflow::Fail, false), (OnOverflow::Null, true), (OnOverflow::Quarantine, false)]
    {
        let converted = converted(&column, Conversion { to: ColumnType::Date, on_overflow });
        assert_eq!(converted.field().unwrap(), Field::new("c", DataType::Date32, nullable));
        assert_eq!(asked(&column).field().unwrap(), Field::new("c", DataType::Utf8, false));
    }
}

#[test]
fn a_column_that_does_not_come_as_text_is_a_fault_of_ours() {
    let column = source("c", refused());
    let conversion = Conversion { to: ColumnType::Int64, on_overflow: OnOverflow::Null };
    let output = Arc::new(Schema::new(vec![converted(&column, conversion).field().unwrap()]));
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let batch = RecordBatch::try_from_iter([("c", numbers)]).unwrap();
    let decisions = [Decision::of(&column, conversion)];
    let rows = convert(stream::iter([Ok(batch)]).boxed(), &decisions, &output, None);
    let error = futures::executor::block_on(rows.try_collect::<Vec<_>>()).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
}

#[test]
fn numbers_fit_however_they_are_written() {
    for text in ["5", "+5", "005", "5.", "5.000", "5e0", "0.5E+1", "50e-1", "500000e-5"] {
        assert_eq!(exact::int64(text), Some(5), "{text}");
        assert_eq!(exact::decimal(text, 3, 2), Some(500), "{text}");
    }
    for text in ["-0", "0e5", "-0.00e-7", "0e-40"] {
        assert_eq!(exact::decimal(text, 1, 0), Some(0), "{text}");
    }
    let most = "9".repeat(38);
    assert_eq!(exact::decimal(&format!("{most}e-9"), 38, 9), most.parse().ok());
    assert_eq!(exact::decimal(&format!("-{most}e0"), 38, 0), format!("-{most}").parse().ok());
    assert_eq!(exact::decimal(&format!("{most}e1"), 38, 0), None);
    assert_eq!(exact::decimal("1e37", 38, 0), Some(10_i128.pow(37)));
    assert_eq!(exact::decimal("1e38", 38, 0), None);
    for text in ["1e", "e5", "1e5.0", "1e+", ".", "-", "1e99999999999999999999", "1_0", "0x1p3", "1 ", "١"] {
        assert_eq!(exact::decimal(text, 38, 0), None, "{text}");
        assert_eq!(exact::int64(text), None, "{text}");
        assert_eq!(exact::float64(text), None, "{text}");
    }
}

#[test]
fn doubles_fit_where_they_give_the_digits_back() {
    for text in ["0.1", "0.10000000000000001", "1e23", "5e-324", "-0", "1.7976931348623157e308", "100000000"]
    {
        assert_eq!(exact::float64(text).map(f64::to_bits), text.parse().ok().map(f64::to_bits), "{text}");
    }
    for text in [
        "0.12345678901234567",
        "143659509546902620",
        "123456789012345678",
        "1e309",
        "1e-400",
        "0.3333333333333333333",
    ] {
        assert_eq!(exact::float64(text), None, "{text}");
    }
    for (text, double) in [("Infinity", f64::INFINITY), ("-inf", f64::NEG_INFINITY), ("+Inf", f64::INFINITY)]
    {
        assert_eq!(exact::float64(text), Some(double));
    }
    assert!(exact::float64("NaN").unwrap().is_nan());
}

#[test]
fn trap_dates_before_1582_before_christ_and_after_9999_are_their_days() {
    let day = |text: &str| exact::date(text).map(i64::from);
    let of = |year, month, day| {
        let day = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        Some((day - NaiveDate::default()).num_days())
    };
    assert_eq!(day("1582-10-10"), of(1582, 10, 10));
    assert_eq!(day("0044-03-15 BC"), of(-43, 3, 15));
    assert_eq!(day("0001-12-31 BC"), of(0, 12, 31));
    assert_eq!(day("12024-02-29"), of(12024, 2, 29));
    assert_eq!(day("2024-02-29 00:00:00"), of(2024, 2, 29));
    assert_eq!(day("2024-02-29T00:00:00.000000000"), of(2024, 2, 29));
    // The ends of PostgreSQL's dates.
    assert_eq!(day("4713-11-24 BC"), of(-4712, 11, 24));
    assert!(day("5874897-12-31").is_some());
    for text in [
        "2024-02-29 00:00:01",
        "2024-02-29 00:00:00+00",
        "0000-01-01",
        "0000-01-01 BC",
        "02024-01-01",
        "2023-02-29",
        "9999999-12-31",
        "99999999-12-31",
        "2024-01-01BC",
        "2024-1-1",
    ] {
        assert_eq!(day(text), None, "{text}");
    }
}

#[test]
fn a_zone_is_neither_dropped_nor_made_up() {
    let with = "2024-01-02 03:04:05.123456+00";
    let without = "2024-01-02 03:04:05.123456";
    assert!(fits(with, ColumnType::TimestampTz) && !fits(with, ColumnType::Timestamp));
    assert!(fits(without, ColumnType::Timestamp) && !fits(without, ColumnType::TimestampTz));
    // Where the source itself says that the column is an instant, its text is of UTC.
    let carried = Carried::Exact(arrow_type(ColumnType::TimestampTz));
    let texts = [Some(without), Some(with), Some("2024-01-02 04:34:05.123456+01:30")];
    let batch = run(&texts, ColumnType::TimestampTz, OnOverflow::Fail, carried).unwrap();
    let instants = batch.column(1).as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
    assert_eq!(instants.values().as_ref(), [1_704_164_645_123_456; 3]);
}

#[test]
fn times_are_read_in_every_form_that_sources_write() {
    for text in ["2024-01-02 03:04:05", "2024-01-02T03:04:05.000", "2024-01-02 03:04:05.0000000"] {
        assert_eq!(exact::timestamp(text), Some(1_704_164_645_000_000), "{text}");
    }
    assert_eq!(exact::timestamp("2024-01-02"), exact::timestamp("2024-01-02 00:00"));
    for zone in ["+00", "Z", " +00:00", "+0000", "-00:00", "+00:00:00"] {
        let text = format!("2024-01-02 03:04:05{zone}");
        assert_eq!(exact::timestamptz(&text, false), Some(1_704_164_645_000_000), "{text}");
    }
    // Zurich before 1894, as PostgreSQL writes it.
    assert_eq!(
        exact::timestamptz("1850-01-01 00:34:08+00:34:08", false),
        exact::timestamptz("1850-01-01 00:00:00Z", false)
    );
    let early = NaiveDate::from_ymd_opt(-43, 3, 15).unwrap().and_hms_opt(12, 0, 0).unwrap().and_utc();
    assert_eq!(exact::timestamptz("0044-03-15 12:00:00+00 BC", false), Some(early.timestamp_micros()));
    // The last instant of 64 bits, and the one after it.
    assert_eq!(exact::timestamp("294247-01-10 04:00:54.775807"), Some(i64::MAX));
    assert_eq!(exact::timestamp("294247-01-10 04:00:54.775808"), None);
    for text in [
        "2024-01-02 24:00:00",
        "2024-01-02 03:04:60",
        "2024-01-02 03:04:05.",
        "2024-01-02 03:04:05.1234567",
        "2024-01-02 03:04.5",
        "2024-01-02 03:04:05 ",
        "2024-01-02 ",
        "2024-01-02 03",
        "2024-01-02  03:04:05",
        "20240102 030405",
    ] {
        assert_eq!(exact::timestamp(text), None, "{text}");
    }
}

/// The number that a text of digits with one point is, in units of `scale`, digit by digit; `None`
/// where it has more than `precision` digits or a digit behind the scale.
fn slow_decimal(text: &str, precision: usize, scale: usize) -> Option<i128> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    if fraction.chars().skip(scale).any(|digit| digit != '0') {
        return None;
    }
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(scale).collect();
    let all = format!("{whole}{fraction}");
    let led = all.trim_start_matches('0');
    if led.len() > precision {
        return None;
    }
    let value: i128 = if led.is_empty() { 0 } else { led.parse().unwrap() };
    Some(if negative { -value } else { value })
}

/// The same number with its point moved into an exponent.
fn with_exponent(text: &str, shift: usize) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let padded = format!("{fraction:0<shift$}");
    let (moved, left) = padded.split_at(shift);
    format!("{sign}{whole}{moved}.{left}0e-{shift}")
}

#[expect(clippy::cast_possible_truncation, reason = "the doubles are whole and below 2^64")]
fn whole(double: f64) -> i128 {
    double as i128
}

proptest! {
    #[test]
    fn decimals_agree_with_a_slow_reference(
        text in "-?[0-9]{1,24}(\\.[0-9]{1,24})?",
        trailing in 0..6_usize,
        shift in 0..30_usize,
        precision in 1..=38_u8,
        cut in 0..=38_usize,
    ) {
        let scale = cut.min(usize::from(precision));
        let text = if text.contains('.') { format!("{text}{}", "0".repeat(trailing)) } else { text };
        let expected = slow_decimal(&text, usize::from(precision), scale);
        prop_assert_eq!(exact::decimal(&text, precision, scale), expected, "{}", text);
        let moved = with_exponent(&text, shift);
        prop_assert_eq!(exact::decimal(&moved, precision, scale), expected, "{}", moved);
        prop_assert_eq!(exact::int64(&moved), slow_decimal(&text, 38, 0).and_then(|n| n.try_into().ok()));
    }

    #[test]
    fn decimals_of_any_size_come_back(units in any::<i128>(), scale in 0..=38_usize) {
        let units = units % 10_i128.pow(38);
        let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if units < 0 { "-" } else { "" };
        prop_assert_eq!(exact::decimal(&format!("{sign}{whole}.{fraction}"), 38, scale), Some(units));
        prop_assert_eq!(exact::decimal(&format!("{units}E-{scale}"), 38, scale), Some(units));
    }

    #[test]
    fn every_double_survives_its_own_text(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        prop_assume!(!double.is_nan());
        for text in [if double.abs() < 1e15 { format!("{double}") } else { format!("{double:E}") }, format!("{double:e}"), format!("{double:.16e}"), format!("{double:.24E}")] {
            // Twenty-four digits are more than the value has, or fewer: then they are not it.
            let read = exact::float64(&text);
            if double.is_infinite() || text.parse() == Ok(double) {
                prop_assert_eq!(read.map(f64::to_bits), Some(bits), "{}", text);
            }
        }
    }

    #[test]
    fn whole_numbers_are_doubles_only_where_they_are_the_same_number(number in any::<i64>(), cut in 0..64_u32) {
        let number = number >> cut;
        let read = exact::float64(&number.to_string());
        match read {
            Some(double) => prop_assert_eq!(whole(double), i128::from(number)),
            None => prop_assert!(whole(number as f64) != i128::from(number)),
        }
    }

    #[test]
    fn days_agree_with_another_calendar(day in -1_720_000_i64..90_000_000) {
        let date = NaiveDate::default() + TimeDelta::days(day);
        let year = date.year();
        let (shown, era) = if year < 1 { (1 - year, " BC") } else { (year, "") };
        let text = format!("{shown:04}-{:02}-{:02}{era}", date.month(), date.day());
        prop_assert_eq!(exact::date(&text).map(i64::from), Some(day), "{}", text);
    }

    #[test]
    fn instants_agree_with_another_calendar(
        micros in -210_000_000_000_000_000_i64..8_200_000_000_000_000_000,
        zone in -57_599..57_600_i64,
        separator in "[ T]",
    ) {
        let utc = DateTime::from_timestamp_micros(micros).unwrap().naive_utc();
        let at = |time: NaiveDateTime| {
            let year = time.year();
            let (shown, era) = if year < 1 { (1 - year, " BC") } else { (year, "") };
            (format!("{shown:04}-{}{separator}{}", time.format("%m-%d"), time.format("%H:%M:%S%.6f")), era)
        };
        let (text, era) = at(utc);
        prop_assert_eq!(exact::timestamp(&format!("{text}{era}")), Some(micros));
        let (text, era) = at(utc + TimeDelta::seconds(zone));
        let (sign, ahead) = if zone < 0 { ('-', -zone) } else { ('+', zone) };
        let zone = format!("{sign}{:02}:{:02}:{:02}", ahead / 3600, ahead / 60 % 60, ahead % 60);
        prop_assert_eq!(exact::timestamptz(&format!("{text}{zone}{era}"), false), Some(micros), "{}", text);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[-+0-9eE.:TZ BCnif]{0,40}|\\PC{0,20}") {
        for to in [
            ColumnType::Boolean,
            ColumnType::Int32,
            ColumnType::Int64,
            ColumnType::Float64,
            ColumnType::Decimal(1, 1),
            ColumnType::Decimal(38, 38),
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::TimestampTz,
        ] {
            run(&[Some(&text)], to, OnOverflow::Null, refused()).unwrap();
        }
    }
}
