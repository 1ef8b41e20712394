//! Values that no Arrow type holds, written as the server writes them.

use super::fault::Fault;
use super::numeric;
use super::types::Format;

const HEX: &[u8; 16] = b"0123456789abcdef";
const DAY_MICROS: i64 = 86_400_000_000;
/// Address families on the wire.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// Appends the text of one value.
pub(super) type Writer = fn(&[u8], &mut Vec<u8>) -> Result<(), Fault>;

impl Format {
    pub(super) fn writer(self) -> Writer {
        match self {
            Self::Numeric => numeric::text,
            Self::Time => time,
            Self::TimeTz => time_tz,
            Self::Interval { infinite: true } => interval_or_infinity,
            Self::Interval { infinite: false } => interval,
            Self::Char => char,
            Self::Inet => inet,
            Self::MacAddress => mac_address,
            Self::Bits => bits,
            Self::Unsigned4 => unsigned4,
            Self::Unsigned8 => unsigned8,
        }
    }
}

/// The bytes of a value of fixed length.
#[inline]
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::Malformed)
}

/// A whole number.
fn number(out: &mut Vec<u8>, value: impl Into<u64>) {
    let mut digits = [0; 20];
    let mut rest = value.into();
    let mut at = digits.len();
    while at > 0 {
        at -= 1;
        let [.., digit] = (rest % 10).to_be_bytes();
        digits[at] = b'0' + digit;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A number below 100, in two digits; a larger one in as many as it has.
fn two_digits(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0');
    }
    number(out, value);
}

/// Hours, minutes, seconds, and the fraction as far as it is not zero.
fn clock(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    two_digits(out, seconds / 3600);
    out.push(b':');
    two_digits(out, seconds / 60 % 60);
    out.push(b':');
    two_digits(out, seconds % 60);
    let mut fraction = micros % 1_000_000;
    let mut unit = 100_000;
    if fraction > 0 {
        out.push(b'.');
    }
    while fraction > 0 {
        number(out, fraction / unit);
        fraction %= unit;
        unit /= 10;
    }
}

fn time(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let micros = i64::from_be_bytes(exactly(bytes)?);
    let micros = u64::try_from(micros).ok().filter(|_| micros <= DAY_MICROS).ok_or(Fault::Malformed)?;
    clock(out, micros);
    Ok(())
}

fn time_tz(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let (micros, zone) = bytes.split_last_chunk::<4>().ok_or(Fault::Malformed)?;
    time(micros, out)?;
    // Seconds to the west of Greenwich.
    let zone = i32::from_be_bytes(*zone);
    out.push(if zone <= 0 { b'+' } else { b'-' });
    let seconds = u64::from(zone.unsigned_abs());
    two_digits(out, seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        out.push(b':');
        two_digits(out, seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        out.push(b':');
        two_digits(out, seconds % 60);
    }
    Ok(())
}

fn interval_or_infinity(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const SMALLEST: [u8; 16] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0];
    let value: [u8; 16] = exactly(bytes)?;
    if value == SMALLEST {
        out.extend_from_slice(b"-infinity");
    } else if value == SMALLEST.map(|byte| !byte) {
        out.extend_from_slice(b"infinity");
    } else {
        return interval(bytes, out);
    }
    Ok(())
}

/// Years, months, days, clock; each has its own sign, and a plus only after a minus.
fn interval(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let [m0, m1, m2, m3, m4, m5, m6, m7, d0, d1, d2, d3, n0, n1, n2, n3] = exactly(bytes)?;
    let micros = i64::from_be_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
    let days = i32::from_be_bytes([d0, d1, d2, d3]);
    let months = i32::from_be_bytes([n0, n1, n2, n3]);
    let (mut empty, mut after_minus) = (true, false);
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        if !empty {
            out.push(b' ');
        }
        match value {
            ..0 => out.push(b'-'),
            _ if after_minus => out.push(b'+'),
            _ => {}
        }
        number(out, value.unsigned_abs());
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        (empty, after_minus) = (false, value < 0);
    }
    if empty || micros != 0 {
        if !empty {
            out.push(b' ');
        }
        match micros {
            ..0 => out.push(b'-'),
            _ if after_minus => out.push(b'+'),
            _ => {}
        }
        clock(out, micros.unsigned_abs());
    }
    Ok(())
}

/// One byte. From 128 on it is no character of its own, and is written as PostgreSQL 16 does.
fn char(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    match exactly(bytes)? {
        [0] => {}
        [byte @ ..128] => out.push(byte),
        [byte] => out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
    }
    Ok(())
}

/// An address or a network; an address of one host goes without its mask.
fn inet(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let [family, mask, is_network @ 0..=1, length, address @ ..] = bytes else {
        return Err(Fault::Malformed);
    };
    if usize::from(*length) != address.len() {
        return Err(Fault::Malformed);
    }
    let most = match *family {
        IPV4 => {
            ipv4(exactly(address)?, out);
            32
        }
        IPV6 => {
            ipv6(exactly(address)?, out);
            128
        }
        _ => return Err(Fault::Malformed),
    };
    if *mask > most {
        return Err(Fault::Malformed);
    }
    if *mask < most || *is_network == 1 {
        out.push(b'/');
        number(out, *mask);
    }
    Ok(())
}

fn ipv4(address: [u8; 4], out: &mut Vec<u8>) {
    for (i, byte) in address.into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        number(out, byte);
    }
}

/// The first of the longest runs of zeros is left out; an IPv4 address in one of IPv6 keeps its form.
fn ipv6(address: [u8; 16], out: &mut Vec<u8>) {
    let (pairs, _) = address.as_chunks::<2>();
    let zeros = |from: usize| pairs.iter().skip(from).take_while(|pair| **pair == [0, 0]).count();
    let (mut start, mut length) = (0, 0);
    for from in 0..8 {
        if zeros(from) > length {
            (start, length) = (from, zeros(from));
        }
    }
    if length < 2 {
        (start, length) = (8, 0);
    }
    let embedded = start == 0 && (length == 6 || length == 5 && pairs[5] == [0xff, 0xff]);
    for (i, pair) in pairs.iter().enumerate() {
        if (start..start + length).contains(&i) {
            if i == start {
                out.push(b':');
            }
            continue;
        }
        if i > 0 {
            out.push(b':');
        }
        if i == 6 && embedded {
            let [.., a, b, c, d] = address;
            return ipv4([a, b, c, d], out);
        }
        hex_number(u16::from_be_bytes(*pair), out);
    }
    if length > 0 && start + length == 8 {
        out.push(b':');
    }
}

/// Without zeros in front.
fn hex_number(value: u16, out: &mut Vec<u8>) {
    let nibbles = [value >> 12, value >> 8 & 15, value >> 4 & 15, value & 15];
    let zeros = nibbles.iter().take(3).take_while(|nibble| **nibble == 0).count();
    out.extend(nibbles.iter().skip(zeros).map(|nibble| HEX[usize::from(*nibble)]));
}

fn mac_address(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if !matches!(bytes.len(), 6 | 8) {
        return Err(Fault::Malformed);
    }
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    Ok(())
}

fn bits(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let (count, bytes) = bytes.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| Fault::Malformed)?;
    if count.div_ceil(8) != bytes.len() {
        return Err(Fault::Malformed);
    }
    let digits = bytes.iter().flat_map(|byte| (0..8).map(move |i| b'0' + (byte >> (7 - i) & 1)));
    out.extend(digits.take(count));
    Ok(())
}

fn unsigned4(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    number(out, u32::from_be_bytes(exactly(bytes)?));
    Ok(())
}

fn unsigned8(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    number(out, u64::from_be_bytes(exactly(bytes)?));
    Ok(())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
