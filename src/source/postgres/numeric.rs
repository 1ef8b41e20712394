//! `numeric` on the wire (base-10000 digits) to a scaled 128-bit integer, or to text.

use super::fault::{Fault, Unfit};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// Most decimals that the server keeps.
const MAX_DECIMALS: usize = 0x3FFF;

/// 10^0 to 10^38.
const POWERS: [i128; 39] = {
    let mut powers = [1_i128; 39];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// The value times 10^`scale`.
///
/// # Errors
/// `Fault::Value` for NaN, infinities, more than `precision` digits, or digits beyond `scale`
/// (nothing is ever rounded); `Fault::Malformed` for bytes that are no numeric.
pub(super) fn decimal(bytes: &[u8], precision: u8, scale: i8) -> Result<i128, Fault> {
    let Some((&[n0, n1, w0, w1, s0, s1, _, _], digits)) = bytes.split_first_chunk::<8>() else {
        return Err(Fault::Malformed);
    };
    let count = u16::from_be_bytes([n0, n1]);
    let sign = u16::from_be_bytes([s0, s1]);
    let (digits, torn) = digits.as_chunks::<2>();
    if digits.len() != usize::from(count) || !torn.is_empty() {
        return Err(Fault::Malformed);
    }
    match sign {
        0 | NEGATIVE => {}
        NAN => return Err(Fault::Value(Unfit::Nan)),
        POSITIVE_INFINITY | NEGATIVE_INFINITY => return Err(Fault::Value(Unfit::Infinity)),
        _ => return Err(Fault::Malformed),
    }
    // The power of ten, in units of the result, that the last digit counts.
    let first = i32::from(scale) + 4 * i32::from(i16::from_be_bytes([w0, w1]));
    let last = first - 4 * (i32::from(count) - 1);
    let magnitude = if count <= 4 && last >= -3 { short(digits, last)? } else { long(digits, first)? };
    let limit = POWERS.get(usize::from(precision)).ok_or(Fault::Malformed)?;
    if magnitude >= *limit {
        return Err(Fault::Value(Unfit::Digits));
    }
    Ok(if sign == NEGATIVE { -magnitude } else { magnitude })
}

/// The value as the server writes it, with as many decimals as it was stored with.
///
/// # Errors
/// `Fault::Malformed` for bytes that are no numeric.
pub(super) fn text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let Some((&[n0, n1, w0, w1, s0, s1, d0, d1], digits)) = bytes.split_first_chunk::<8>() else {
        return Err(Fault::Malformed);
    };
    let (digits, torn) = digits.as_chunks::<2>();
    let mut decimals = usize::from(u16::from_be_bytes([d0, d1]));
    let count = usize::from(u16::from_be_bytes([n0, n1]));
    if digits.len() != count || !torn.is_empty() || decimals > MAX_DECIMALS {
        return Err(Fault::Malformed);
    }
    match u16::from_be_bytes([s0, s1]) {
        0 => {}
        NEGATIVE => out.push(b'-'),
        NAN => return word(out, b"NaN"),
        POSITIVE_INFINITY => return word(out, b"Infinity"),
        NEGATIVE_INFINITY => return word(out, b"-Infinity"),
        _ => return Err(Fault::Malformed),
    }
    // Groups before the point; those that are not sent are zeros, also the first after the point.
    let whole = i32::from(i16::from_be_bytes([w0, w1])) + 1;
    let mut groups = digits.iter();
    let mut next = || groups.next().map_or(Ok(0), |pair| digit(*pair));
    if whole <= 0 {
        out.push(b'0');
    } else {
        let first = next()?;
        out.extend_from_slice(unpadded(&group(first)));
        for _ in 1..whole {
            out.extend_from_slice(&group(next()?));
        }
    }
    if decimals > 0 {
        out.push(b'.');
    }
    let mut zeros = usize::try_from(-whole).unwrap_or(0) * 4;
    while decimals > 0 {
        let shown = if zeros >= 4 { [b'0'; 4] } else { group(next()?) };
        zeros = zeros.saturating_sub(4);
        let taken = decimals.min(4);
        let (kept, cut) = shown.split_at(taken);
        if cut.iter().any(|c| *c != b'0') {
            return Err(Fault::Malformed);
        }
        out.extend_from_slice(kept);
        decimals -= taken;
    }
    // What is left would be digits that are not shown.
    if groups.any(|pair| *pair != [0, 0]) { Err(Fault::Malformed) } else { Ok(()) }
}

fn word(out: &mut Vec<u8>, word: &[u8]) -> Result<(), Fault> {
    out.extend_from_slice(word);
    Ok(())
}

/// The four digits of a group.
fn group(digits: u16) -> [u8; 4] {
    let [_, high] = (digits / 100).to_be_bytes();
    let [_, low] = (digits % 100).to_be_bytes();
    [high / 10, high % 10, low / 10, low % 10].map(|d| b'0' + d)
}

/// Without the zeros in front, but with one digit at the least.
fn unpadded(group: &[u8; 4]) -> &[u8] {
    let zeros = group.iter().take(3).take_while(|c| **c == b'0').count();
    group.get(zeros..).unwrap_or(group)
}

fn digit(pair: [u8; 2]) -> Result<u16, Fault> {
    let digit = u16::from_be_bytes(pair);
    if digit < 10_000 { Ok(digit) } else { Err(Fault::Malformed) }
}

fn power(exponent: i32) -> Result<i128, Fault> {
    usize::try_from(exponent).ok().and_then(|e| POWERS.get(e).copied()).ok_or(Fault::Value(Unfit::Digits))
}

/// Up to four digits, the last at most partly beyond the scale: nearly every value of nearly every
/// column. Four digits fit into 64 bits, where division is cheap.
fn short(digits: &[[u8; 2]], last: i32) -> Result<i128, Fault> {
    let mut value = 0_u64;
    for pair in digits {
        value = value * 10_000 + u64::from(digit(*pair)?);
    }
    match last {
        _ if value == 0 => Ok(0),
        0 => Ok(value.into()),
        -1 => shortened::<10>(value),
        -2 => shortened::<100>(value),
        -3 => shortened::<1000>(value),
        _ => i128::from(value).checked_mul(power(last)?).ok_or(Fault::Value(Unfit::Digits)),
    }
}

/// Without the digits beyond the scale, which must be zeros.
fn shortened<const UNIT: u64>(value: u64) -> Result<i128, Fault> {
    if value.is_multiple_of(UNIT) { Ok((value / UNIT).into()) } else { Err(Fault::Value(Unfit::Decimals)) }
}

/// Any number of digits, the last of which may be partly beyond the scale.
fn long(digits: &[[u8; 2]], first: i32) -> Result<i128, Fault> {
    let overflow = Fault::Value(Unfit::Digits);
    let mut value = 0_i128;
    let mut exponent = first;
    for pair in digits {
        let digit = i128::from(digit(*pair)?);
        if digit != 0 {
            value = if exponent >= 0 {
                digit.checked_mul(power(exponent)?).and_then(|d| value.checked_add(d)).ok_or(overflow)?
            } else {
                // Digits of a group below the scale must be zero.
                let unit = power(-exponent).unwrap_or(i128::MAX);
                if digit % unit != 0 {
                    return Err(Fault::Value(Unfit::Decimals));
                }
                value.checked_add(digit / unit).ok_or(overflow)?
            };
        }
        exponent -= 4;
    }
    Ok(value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A numeric as the server sends it; each digit is below 10000, the first counts 10000^weight.
    pub(in super::super) fn wire(sign: u16, weight: i16, digits: &[u16]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(digits.len()).unwrap().to_be_bytes());
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(0_u16.to_be_bytes());
        for digit in digits {
            bytes.extend(digit.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn values_are_scaled_exactly() {
        for (bytes, precision, scale, expected) in [
            (wire(0, 0, &[]), 5, 2, 0),
            (wire(0, 0, &[12, 3400]), 10, 2, 1234),
            (wire(NEGATIVE, 0, &[12, 3400]), 10, 4, -123_400),
            (wire(0, -1, &[1]), 4, 4, 1),
            (wire(0, 1, &[1]), 5, 0, 10_000),
            // 37 nines before the point and one after: the group after it does not fit unscaled.
            (
                wire(0, 9, &[9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9000]),
                38,
                1,
                POWERS[38] - 1,
            ),
            (
                wire(0, -1, &[9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9900]),
                38,
                38,
                POWERS[38] - 1,
            ),
        ] {
            assert_eq!(decimal(&bytes, precision, scale), Ok(expected));
        }
    }

    #[test]
    fn trap_numeric_nan_and_infinity_are_faults() {
        for sign in [NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY] {
            assert!(matches!(decimal(&wire(sign, 0, &[]), 10, 2), Err(Fault::Value(_))));
        }
    }

    #[test]
    fn nothing_is_rounded_or_wrapped() {
        for (bytes, precision, scale) in [
            (wire(0, 0, &[1000]), 3, 0),
            (wire(0, -1, &[50]), 3, 1),
            (wire(0, -3, &[1]), 3, 1),
            (wire(0, 30, &[1]), 38, 0),
            (wire(0, i16::MAX, &[1]), 38, 0),
            (wire(0, 9, &[9999; 10]), 38, 0),
        ] {
            assert!(matches!(decimal(&bytes, precision, scale), Err(Fault::Value(_))));
        }
    }

    #[test]
    fn the_short_way_and_the_long_way_agree() {
        for (scale, weight) in (0..=12).flat_map(|scale| (-3..=4).map(move |weight| (scale, weight))) {
            for digits in [&[7][..], &[1, 5000], &[9999, 9999, 9999, 9990], &[1, 0, 10], &[3, 1], &[12, 300]]
            {
                let bytes = wire(0, weight, digits);
                let (pairs, _) = bytes[8..].as_chunks::<2>();
                let exact = long(pairs, i32::from(scale) + 4 * i32::from(weight));
                assert_eq!(decimal(&bytes, 38, scale), exact, "{digits:?} at {weight}, scale {scale}");
            }
        }
    }

    fn written(mut bytes: Vec<u8>, decimals: u16) -> Result<String, Fault> {
        bytes[6..8].copy_from_slice(&decimals.to_be_bytes());
        let mut out = Vec::new();
        text(&bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_text_has_the_decimals_it_was_stored_with() {
        for (bytes, decimals, expected) in [
            (wire(0, 0, &[]), 0, "0"),
            (wire(0, 0, &[]), 3, "0.000"),
            (wire(0, 0, &[12, 3400]), 2, "12.34"),
            (wire(0, 0, &[12, 3400]), 6, "12.340000"),
            (wire(NEGATIVE, -1, &[1]), 4, "-0.0001"),
            (wire(0, -3, &[70]), 11, "0.00000000007"),
            (wire(0, -3, &[70]), 12, "0.000000000070"),
            (wire(0, 2, &[1]), 0, "100000000"),
            (wire(0, 2, &[1, 2, 3]), 1, "100020003.0"),
            (wire(NAN, 0, &[]), 0, "NaN"),
            (wire(POSITIVE_INFINITY, 0, &[]), 0, "Infinity"),
            (wire(NEGATIVE_INFINITY, 0, &[]), 0, "-Infinity"),
        ] {
            assert_eq!(written(bytes, decimals).as_deref(), Ok(expected));
        }
        assert_eq!(written(wire(0, i16::MAX, &[1]), 0).unwrap().len(), 131_069);
        assert_eq!(written(wire(0, i16::MIN, &[1]), 0x3FFF), Err(Fault::Malformed), "never stored so");
    }

    #[test]
    fn digits_beyond_the_decimals_are_malformed_and_not_dropped() {
        for (bytes, decimals) in
            [(wire(0, 0, &[1, 2345]), 2), (wire(0, 0, &[1, 0, 1]), 4), (wire(0, 0, &[1, 1]), 0)]
        {
            assert_eq!(written(bytes, decimals), Err(Fault::Malformed));
        }
    }

    #[test]
    fn what_is_no_numeric_is_malformed() {
        let mut torn = wire(0, 0, &[1, 2]);
        torn.pop();
        for bytes in [&[][..], &[0; 7], &torn, &wire(0x1234, 0, &[]), &wire(0, 0, &[10_000])] {
            assert_eq!(decimal(bytes, 10, 2), Err(Fault::Malformed));
            assert_eq!(text(bytes, &mut Vec::new()), Err(Fault::Malformed));
        }
    }
}
