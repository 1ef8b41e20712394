//! Sensitive passages inside free text.
//!
//! One walk over the text from word to word. At the start of a word the class of its first byte chooses what may begin
//! there; every candidate is bounded in length, and the walk goes on behind what was found or behind the word, so the
//! time is linear in the text.
use std::ops::Range;

use super::check::{internet, secret};
use super::form::{DIGIT, HIGH, LOWER, UPPER, class};

mod number;
mod phrase;
mod token;

/// A sensitive passage of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// The tag of what it is.
    pub tag: &'static str,
    /// The detector that found it.
    pub detector: &'static str,
}

impl Span {
    /// What replaces the passage in a scrubbed text, `[EMAIL]` for `pii.email`.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        match self.tag {
            "pii.email" => "[EMAIL]",
            "pii.phone" => "[PHONE]",
            "pii.person_name" => "[PERSON_NAME]",
            "pii.address" => "[ADDRESS]",
            "pii.postal_code" => "[POSTAL_CODE]",
            "pii.ip_address" => "[IP_ADDRESS]",
            "pii.mac_address" => "[MAC_ADDRESS]",
            "pii.us_ssn" => "[US_SSN]",
            "pii.us_itin" => "[US_ITIN]",
            "pii.national_id" => "[NATIONAL_ID]",
            "financial.iban" => "[IBAN]",
            "financial.card_number" => "[CARD_NUMBER]",
            "health.us_mbi" => "[US_MBI]",
            "health.medical_record" => "[MEDICAL_RECORD]",
            "credentials.secret" => "[SECRET]",
            "vehicle.vin" => "[VIN]",
            _ => "[REDACTED]",
        }
    }
}

/// What was found: how many bytes, which tag, which detector.
pub(super) type Found = (usize, &'static str, &'static str);

/// Finds sensitive passages: disjoint, in order, on character boundaries, in time linear in the text.
#[must_use]
pub fn find(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut walk = Walk::new(text.as_bytes());
    while let Some(span) = walk.next_span() {
        spans.push(span);
    }
    spans
}

/// Whether there is any sensitive passage in a text.
pub(crate) fn first(text: &[u8]) -> Option<Span> {
    Walk::new(text).next_span()
}

/// The walk over one text.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// Bytes looked at, candidates included.
    steps: u64,
}

impl<'a> Walk<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, steps: 0 }
    }

    fn next_span(&mut self) -> Option<Span> {
        while let Some(&first) = self.text.get(self.at) {
            self.steps += 1;
            let class = class(first);
            if class & (DIGIT | UPPER | LOWER | HIGH) == 0 && !matches!(first, b'+' | b'(' | b'$' | b'-') {
                self.at += 1;
                continue;
            }
            let rest = self.text.get(self.at..).unwrap_or(&[]);
            let before = self.at.checked_sub(1).and_then(|at| self.text.get(at)).copied();
            if before == Some(b'/') && class == DIGIT && self.is_version() {
                self.at += version_end(rest);
                continue;
            }
            let end = word_end(rest);
            self.steps += end as u64;
            if let Some((length, tag, detector)) = look(rest, end, class, before, &mut self.steps) {
                let start = self.at;
                self.at += length.max(1);
                return Some(Span { range: start..self.at, tag, detector });
            }
            // A long run without a word's end was looked at as a whole; what follows it begins anew.
            self.at += end.max(1);
        }
        None
    }
}

impl Walk<'_> {
    /// Whether a product's name and a slash stand before this place: `Chrome/13.0.843.0` is a version, `//10.0.0.1` not.
    fn is_version(&self) -> bool {
        self.at.checked_sub(2).and_then(|at| self.text.get(at)).is_some_and(u8::is_ascii_alphabetic)
    }
}

/// The end of a version's digits and points.
fn version_end(rest: &[u8]) -> usize {
    rest.iter().take(LONGEST).take_while(|b| b.is_ascii_digit() || **b == b'.').count().max(1)
}

/// Longest candidate of a token.
pub(super) const LONGEST: usize = 512;

/// The end of the run of letters, digits and joining marks that begins here.
fn word_end(rest: &[u8]) -> usize {
    let is_inner = |byte: u8| class(byte) & (DIGIT | UPPER | LOWER | HIGH) != 0;
    let run = rest.iter().take(LONGEST).position(|b| !is_inner(*b)).unwrap_or(rest.len().min(LONGEST));
    run.max(1)
}

/// What begins here, tried from the most telling to the least.
fn look(rest: &[u8], end: usize, class: u16, before: Option<u8>, steps: &mut u64) -> Option<Found> {
    let is_inside = before.is_some_and(|b| matches!(b, b'_' | b'@' | b'#') || b.is_ascii_alphanumeric());
    if let Some(length) = email(rest, end, steps) {
        return Some((length, "pii.email", "email"));
    }
    let first = rest.first().copied().unwrap_or_default();
    if secret::may_begin(first)
        && let Some(length) = token::secret(rest, steps)
    {
        return Some((length, "credentials.secret", "secret_token"));
    }
    if is_inside {
        return None;
    }
    if class == DIGIT || matches!(first, b'+' | b'(') {
        let found = number::look(rest, before, steps);
        return found.or_else(|| token::look(rest, end, steps)).or_else(|| phrase::address(rest, steps));
    }
    if class & (UPPER | HIGH) != 0 {
        return token::look(rest, end, steps).or_else(|| phrase::look(rest, end, steps));
    }
    if class == LOWER {
        return token::look_lower(rest, end, steps);
    }
    None
}

/// The length of an e-mail address whose local part begins here.
fn email(rest: &[u8], end: usize, steps: &mut u64) -> Option<usize> {
    // Most words end at a space: decided by one byte.
    let next = rest.get(end).copied()?;
    if next != b'@' && !matches!(next, b'.' | b'_' | b'-' | b'+' | b'%' | b'\'') {
        return None;
    }
    let at = rest
        .iter()
        .take(65)
        .position(|b| *b == b'@' || !internet::is_local_byte(*b))
        .filter(|at| rest.get(*at) == Some(&b'@'));
    *steps += 65;
    let at = at?;
    let host = rest.get(at + 1..)?;
    let is_host_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-') || b >= 0x80;
    let mut length = host.iter().take(190).position(|b| !is_host_byte(*b)).unwrap_or(host.len().min(190));
    *steps += length as u64;
    while length > 0 && host.get(length - 1).is_some_and(|b| matches!(b, b'.' | b'-')) {
        length -= 1;
    }
    let whole = at + 1 + length;
    let is_boundary = rest.get(whole).is_none_or(|b| b & 0xc0 != 0x80);
    (is_boundary && rest.get(..whole).is_some_and(internet::is_email)).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<(&str, &'static str)> {
        find(text).into_iter().map(|s| (text.get(s.range.clone()).unwrap(), s.tag)).collect()
    }

    #[test]
    fn finds_what_people_write() {
        let text = "Call John Smith at (212) 555-0143 or mail john.smith@example.com. SSN 536-22-6823, card 4111 1111 1111 1111.";
        assert_eq!(
            tags(text),
            [
                ("John Smith", "pii.person_name"),
                ("(212) 555-0143", "pii.phone"),
                ("john.smith@example.com", "pii.email"),
                ("536-22-6823", "pii.us_ssn"),
                ("4111 1111 1111 1111", "financial.card_number"),
            ]
        );
        let text = "Überweisung an Frau Müller-Lüdenscheidt, IBAN DE89 3704 0044 0532 0130 00, Hauptstraße 12, Tel. +49 30 901820";
        assert_eq!(
            tags(text),
            [
                ("Frau Müller-Lüdenscheidt", "pii.person_name"),
                ("DE89 3704 0044 0532 0130 00", "financial.iban"),
                ("Hauptstraße 12", "pii.address"),
                ("+49 30 901820", "pii.phone"),
            ]
        );
        let text = "token=ghp_16C7e42F292c6912E7710c838347Ae178B4a from 192.168.10.4; NINO QQ123456C JG103759A; ship to 42 Baker Street";
        assert_eq!(
            tags(text),
            [
                ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "credentials.secret"),
                ("192.168.10.4", "pii.ip_address"),
                ("JG103759A", "pii.national_id"),
                ("42 Baker Street", "pii.address"),
            ]
        );
    }

    #[test]
    fn leaves_ordinary_text_alone() {
        for text in [
            "Order 123456789 shipped on 2024-03-01 at 12:30:45, total 1,234.56 EUR, version 1.2.3.4",
            "id 550e8400-e29b-41d4-a716-446655440000 sha d41d8cd98f00b204e9800998ecf8427e epoch 1700000000",
            "The quick brown fox jumps over the lazy dog. Status: Pending Review; Grace Period ends Monday.",
            "Dimensions 120-45-30 mm, weight 3.5 kg, batch A1234-5678, part 555-0199-A",
        ] {
            assert_eq!(tags(text), [], "{text}");
        }
    }

    #[test]
    fn work_is_linear() {
        let bricks = [
            "a.a.a.",
            "1 2 3-",
            "+1",
            "a@a.",
            "Mr ",
            "John ",
            "DE89 ",
            "((((",
            "-----BEGIN ",
            "eyJ.",
            "é",
            "192.168.",
            "aaaa",
            "A1",
            "$$",
        ];
        for brick in bricks {
            let steps = |bytes: usize| {
                let text = brick.repeat(bytes / brick.len());
                let mut walk = Walk::new(text.as_bytes());
                while walk.next_span().is_some() {}
                walk.steps as f64 / text.len() as f64
            };
            let (small, large) = (steps(64 << 10), steps(1 << 20));
            assert!(large < small * 1.1 + 1.0, "{brick}: {small} steps a byte grow to {large}");
            assert!(large < 700.0, "{brick}: {large} steps a byte");
        }
    }
}
