use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

fn text(write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<String> {
    let mut out = Vec::new();
    write(&mut out)?;
    String::from_utf8(out).ok()
}

#[test]
fn decimals_are_exact_or_refused() {
    for (source, precision, scale, value) in [
        ("0", 1, 0, Some(0)),
        ("-0.50", 4, 2, Some(-50)),
        ("21168.23", 15, 2, Some(2_116_823)),
        ("00017.00", 15, 2, Some(1700)),
        ("99999999999999999999999999999999999999", 38, 0, Some(10_i128.pow(38) - 1)),
        ("-0.99999999999999999999999999999999999999", 38, 38, Some(1 - 10_i128.pow(38))),
        ("1.5", 4, 2, None),
        ("1.555", 4, 2, None),
        ("15", 4, 2, None),
        ("1x.00", 4, 2, None),
        ("", 4, 2, None),
        ("100000000000000000000", 20, 0, None),
    ] {
        assert_eq!(decimal(source.as_bytes(), precision, scale), value, "{source}");
    }
}

#[test]
fn trap_zero_dates_are_never_a_date() {
    for (bytes, fault) in [
        (&[][..], Fault::ZeroDate),
        (&[0xe8, 7, 0, 0], Fault::ZeroDate),
        (&[0xe8, 7, 1, 0], Fault::ZeroDate),
        (&[0, 0, 0, 1], Fault::ZeroDate),
        (&[0xe8, 7, 2, 30], Fault::NoDate),
        (&[0xe7, 7, 2, 29], Fault::NoDate),
        (&[0xe8, 7, 13, 1], Fault::NoDate),
        (&[0xe8, 7, 1], Fault::Malformed),
    ] {
        assert_eq!(date(bytes), Err(fault), "{bytes:?}");
        let expected = if bytes.len() == 3 { Fault::Malformed } else { fault };
        assert_eq!(timestamp(bytes), Err(expected), "{bytes:?}");
    }
    assert_eq!(date(&[0xe8, 7, 2, 29]), Ok(19_782));
}

#[test]
fn every_day_is_the_calendars() {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let mut day = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
    while let Some(next) = day.succ_opt().filter(|next| chrono::Datelike::year(next) < 10_000) {
        use chrono::Datelike;
        let [y0, y1, ..] = day.year().to_le_bytes();
        let bytes = [y0, y1, u8::try_from(day.month()).unwrap(), u8::try_from(day.day()).unwrap()];
        assert_eq!(date(&bytes).map(i64::from), Ok((day - epoch).num_days()), "{day}");
        day = next;
    }
}

#[test]
fn trap_times_go_beyond_24_hours_and_below_zero() {
    let shown = |bytes: &[u8], decimals| text(|out| time(bytes, decimals, out));
    assert_eq!(shown(&[], 0).unwrap(), "00:00:00");
    assert_eq!(shown(&[], 3).unwrap(), "00:00:00.000");
    assert_eq!(shown(&[0, 34, 0, 0, 0, 22, 59, 59], 0).unwrap(), "838:59:59");
    assert_eq!(shown(&[1, 0, 0, 0, 0, 0, 0, 1, 0x20, 0xa1, 7, 0], 1).unwrap(), "-00:00:01.5");
    assert_eq!(shown(&[1, 0, 0, 0, 0, 0, 0, 1, 0x21, 0xa1, 7, 0], 0).unwrap(), "-00:00:01.500001");
    assert_eq!(shown(&[1], 0), None);
}

#[test]
fn bits_are_all_there() {
    assert_eq!(text(|out| bits(&[5], 5, out)).unwrap(), "00101");
    assert_eq!(text(|out| bits(&[0xff; 8], 64, out)).unwrap(), "1".repeat(64));
    assert_eq!(text(|out| bits(&[0xff], 5, out)), None);
}

#[test]
fn floats_read_back_to_themselves() {
    for value in [0.0, -0.0, 0.1, 1.5, f32::MAX, f32::MIN_POSITIVE, 1e-7, 16_777_216.0, 3.402_823e-39] {
        let shown = text(|out| float(value, out)).unwrap();
        assert_eq!(shown.parse::<f32>().unwrap().to_bits(), value.to_bits(), "{shown}");
    }
    assert_eq!(text(|out| float(0.1, out)).unwrap(), "0.1");
}

proptest! {
    #[test]
    fn any_decimal_comes_back(value: i128, scale in 0_i8..=30) {
        let value = value % 10_i128.pow(38);
        let decimals = usize::try_from(scale).unwrap();
        let digits = format!("{:0width$}", value.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let point = if scale > 0 { "." } else { "" };
        let sign = if value < 0 { "-" } else { "" };
        let source = format!("{sign}{whole}{point}{fraction}");
        prop_assert_eq!(decimal(source.as_bytes(), 38, scale), Some(value));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, width in 1_u8..=64, decimals in 0_u8..=6) {
        let _ = (date(&bytes), timestamp(&bytes), decimal(&bytes, 38, 4));
        let mut out = Vec::new();
        let _ = (time(&bytes, decimals, &mut out), bits(&bytes, width, &mut out), geometry(&bytes, &mut out));
    }
}
