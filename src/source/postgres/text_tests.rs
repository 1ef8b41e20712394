use super::*;

fn written(format: Format, bytes: &[u8]) -> Result<String, Fault> {
    let mut out = Vec::new();
    (format.writer())(bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
}

fn span(micros: i64, days: i32, months: i32) -> Vec<u8> {
    [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
}

#[test]
fn an_interval_says_each_sign() {
    for (micros, days, months, expected) in [
        (0, 0, 0, "00:00:00"),
        (1, 0, 0, "00:00:00.000001"),
        (-500_000, 0, 0, "-00:00:00.5"),
        (0, 1, 14, "1 year 2 mons 1 day"),
        (3_600_000_000, -1, 13, "1 year 1 mon -1 days +01:00:00"),
        (0, 2, -14, "-1 years -2 mons +2 days"),
        (i64::MIN, 0, 0, "-2562047788:00:54.775808"),
        (0, i32::MIN, i32::MAX, "178956970 years 7 mons -2147483648 days"),
    ] {
        let format = Format::Interval { infinite: true };
        assert_eq!(written(format, &span(micros, days, months)).as_deref(), Ok(expected));
    }
}

#[test]
fn trap_the_largest_interval_is_an_infinity_since_postgresql_17_only() {
    for (value, infinity, finite) in [
        (
            span(i64::MAX, i32::MAX, i32::MAX),
            "infinity",
            "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807",
        ),
        (
            span(i64::MIN, i32::MIN, i32::MIN),
            "-infinity",
            "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775808",
        ),
    ] {
        assert_eq!(written(Format::Interval { infinite: true }, &value).as_deref(), Ok(infinity));
        assert_eq!(written(Format::Interval { infinite: false }, &value).as_deref(), Ok(finite));
    }
}

#[test]
fn bytes_of_another_layout_are_malformed_and_never_panic() {
    let formats = [
        Format::Numeric,
        Format::Time,
        Format::TimeTz,
        Format::Interval { infinite: true },
        Format::Char,
        Format::Inet,
        Format::MacAddress,
        Format::Bits,
        Format::Unsigned4,
        Format::Unsigned8,
    ];
    for format in formats {
        for length in 0..40 {
            for byte in [0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0xff] {
                let _ = written(format, &vec![byte; length]);
            }
        }
        assert_eq!(written(format, &[9; 21]), Err(Fault::Malformed), "{format:?}");
    }
    for (format, bytes) in [
        (Format::Time, &(DAY_MICROS + 1).to_be_bytes()[..]),
        (Format::Time, &(-1_i64).to_be_bytes()),
        (Format::Inet, &[IPV4, 33, 0, 4, 1, 2, 3, 4]),
        (Format::Inet, &[IPV4, 32, 0, 3, 1, 2, 3, 4]),
        (Format::Inet, &[IPV6, 32, 0, 4, 1, 2, 3, 4]),
        (Format::Inet, &[4, 32, 0, 4, 1, 2, 3, 4]),
        (Format::Bits, &[0, 0, 0, 9, 0]),
        (Format::Bits, &[0xff; 4]),
    ] {
        assert_eq!(written(format, bytes), Err(Fault::Malformed), "{format:?} {bytes:?}");
    }
}
