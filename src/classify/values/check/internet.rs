//! Addresses of the internet: e-mail, IP, MAC.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest e-mail address (RFC 5321, 4.5.3.1: 64 + 1 + 255, of which a path carries 254).
pub const EMAIL_LIMIT: usize = 254;

/// A character of the local part as people use it (RFC 5322 atext and the point).
#[must_use]
pub fn is_local_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._%+-'&~#!$*/=?^`{|}".contains(&byte) || byte >= 0x80
}

/// An e-mail address (RFC 5321, without quoted local parts): local part, `@`, a host name with a top-level domain of
/// letters. Takes the value as written.
#[must_use]
pub fn is_email(value: &[u8]) -> bool {
    let Some(at) = value.iter().rposition(|b| *b == b'@') else { return false };
    let (Some(local), Some(host)) = (value.get(..at), value.get(at + 1..)) else { return false };
    value.len() <= EMAIL_LIMIT
        && (1..=64).contains(&local.len())
        && local.iter().all(|b| is_local_byte(*b))
        && local.first() != Some(&b'.')
        && local.last() != Some(&b'.')
        && is_host(host)
}

/// A host name of at least two labels whose last is of letters.
#[must_use]
pub fn is_host(host: &[u8]) -> bool {
    let mut labels = 0;
    let mut last: &[u8] = &[];
    for label in host.split(|b| *b == b'.') {
        let has_form = (1..=63).contains(&label.len())
            && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b >= 0x80)
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-');
        if !has_form {
            return false;
        }
        labels += 1;
        last = label;
    }
    labels >= 2
        && last.len() >= 2
        && (last.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80) || last.starts_with(b"xn--"))
}

/// An IPv4 address, optionally with `/prefix`. A first number below 10 and small numbers throughout read as a version
/// (`1.2.3.4`): such values keep the form but do not pass.
#[must_use]
pub fn is_ipv4(value: &[u8]) -> bool {
    ipv4(value).is_some_and(|address| {
        let octets = address.octets();
        let is_version = octets.iter().all(|o| *o < 32) && octets[0] != 10;
        octets[0] != 0 && !is_version && octets[0] != 255 || address.is_loopback()
    })
}

/// The IPv4 address a value writes, a `/prefix` of 0 to 32 aside.
#[must_use]
pub fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    let (address, prefix) = without_prefix(value)?;
    (address.len() <= 15 && prefix <= 32).then_some(())?;
    str::from_utf8(address).ok()?.parse().ok()
}

/// An IPv6 address (RFC 4291), optionally with `/prefix`; a zone is dropped.
#[must_use]
pub fn is_ipv6(value: &[u8]) -> bool {
    let Some((address, prefix)) = without_prefix(value) else { return false };
    let address = address.split(|b| *b == b'%').next().unwrap_or(address);
    let is_long = address.len() >= 3 && address.iter().filter(|b| **b == b':').count() >= 2;
    // A clock time (12:30:45) and `::` alone say nothing.
    prefix <= 128
        && is_long
        && address.len() <= 45
        && str::from_utf8(address).ok().is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn without_prefix(value: &[u8]) -> Option<(&[u8], u32)> {
    let mut parts = value.splitn(2, |b| *b == b'/');
    let address = parts.next()?;
    let prefix = match parts.next() {
        None => 0,
        Some(digits) if (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            super::checksum::number(digits)
        }
        Some(_) => return None,
    };
    Some((address, prefix))
}

/// A MAC address (IEEE 802): six pairs of hex digits between `:` or `-`, or three fours between points. Neither all zero
/// nor one value throughout.
#[must_use]
pub fn is_mac(value: &[u8]) -> bool {
    let (width, separator) = match (value.len(), value.get(2), value.get(4)) {
        (17, Some(&s @ (b':' | b'-')), _) => (3, s),
        (14, _, Some(b'.')) => (5, b'.'),
        _ => return false,
    };
    let has_form = value.iter().enumerate().all(|(at, byte)| {
        if at % width == width - 1 { *byte == separator } else { byte.is_ascii_hexdigit() }
    });
    has_form && value.iter().any(|b| b.is_ascii_hexdigit() && Some(b) != value.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["a@b.co", "john.o'neil+tag@mail.example.org", "müller@exämple.de", "x@y.xn--p1ai"] {
            assert!(is_email(good.as_bytes()), "{good}");
        }
        for bad in ["@b.co", "a@b", "a@@b.co", "a@b..co", "a b@c.de", "a@1.2", ".a@b.co", "a@-b.co"] {
            assert!(!is_email(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn networks() {
        assert!(is_ipv4(b"192.0.2.1") && is_ipv4(b"10.0.0.0/8") && is_ipv4(b"127.0.0.1"));
        assert!(!is_ipv4(b"1.2.3.4") && !is_ipv4(b"256.1.1.1") && !is_ipv4(b"192.0.2.1/33"));
        assert!(is_ipv6(b"2001:db8::1") && is_ipv6(b"fe80::1%eth0") && is_ipv6(b"2001:db8::/32"));
        assert!(!is_ipv6(b"12:30:45") && !is_ipv6(b"::"));
        assert!(is_mac(b"00:1B:44:11:3A:B7") && is_mac(b"00-1b-44-11-3a-b7") && is_mac(b"001b.4411.3ab7"));
        assert!(!is_mac(b"00:00:00:00:00:00") && !is_mac(b"00:1B-44:11:3A:B7"));
    }
}
