//! Passages of words: names after a title or in pairs, addresses.
use super::super::dictionary::{CITY, COMMON, COUNTRY, FIRST, LAST, STREET, TITLE, lists};
use super::super::form::{DIGIT, HIGH, LOWER, UPPER, class};
use super::Found;

/// Longest word that can be part of a name, in bytes.
const WORD: usize = 40;

/// The word that begins here: letters, with inner hyphens and apostrophes.
fn word(rest: &[u8]) -> &[u8] {
    let is_inner = |b: u8| class(b) & (UPPER | LOWER | HIGH) != 0 || matches!(b, b'-' | b'\'');
    let mut end = rest.iter().take(WORD).position(|b| !is_inner(*b)).unwrap_or(rest.len().min(WORD));
    while end > 0 && rest.get(end - 1).is_some_and(|b| matches!(b, b'-' | b'\'')) {
        end -= 1;
    }
    // A longer run is no word, and a cut could split a character.
    if end == WORD { &[] } else { rest.get(..end).unwrap_or(&[]) }
}

fn is_capital(word: &[u8]) -> bool {
    word.first().is_some_and(|b| b.is_ascii_uppercase() || matches!(b, 0xc3..=0xd4))
}

fn word_lists(word: &[u8]) -> u8 {
    let whole = lists(word);
    if whole != 0 || !word.contains(&b'-') {
        return whole;
    }
    word.split(|b| *b == b'-').fold(0, |all, half| all | lists(half) & (FIRST | LAST))
}

/// The next word behind `at` if a single space (and perhaps an initial) separates it, and where it begins.
fn following(rest: &[u8], at: usize) -> Option<(usize, &[u8])> {
    let gap = rest.get(at..)?;
    let start = match gap {
        [b' ', initial, b'.', b' ', ..] if initial.is_ascii_uppercase() => at + 4,
        [b' ', b'v', b'a' | b'o', b'n', b' ', ..] | [b' ', b'd', b'e' | b'i' | b'a', b'l', b' ', ..] => {
            at + 5
        }
        [b' ', b'd', b'e' | b'i' | b'a', b' ', ..] => at + 4,
        [b' ', ..] => at + 1,
        _ => return None,
    };
    let word = word(rest.get(start..)?);
    (!word.is_empty() && is_capital(word)).then_some((start, word))
}

/// A name or a street that begins with this capitalised word.
pub(super) fn look(rest: &[u8], end: usize, steps: &mut u64) -> Option<Found> {
    let first = word(rest);
    if first.is_empty() || !is_capital(first) {
        return None;
    }
    *steps += (first.len() + end) as u64;
    // The word a name follows is decided before any look-up.
    let next = rest.get(first.len());
    if !matches!(next, Some(b' ' | b'.' | b',')) {
        return None;
    }
    let found = word_lists(first);
    if found & TITLE != 0 && found & FIRST == 0 {
        return titled(rest, first.len(), steps);
    }
    if is_compound_street(first) {
        return house_number(rest, first.len()).map(|length| (length, "pii.address", "street_address"));
    }
    if found & (FIRST | LAST) != 0
        && found & COMMON == 0
        && let Some(found) = pair(rest, first, found, steps)
    {
        return Some(found);
    }
    // `OS X 10` is no street, `os. Polna 10` is.
    let is_kind = found & STREET != 0 && (first.len() >= 3 || next == Some(&b'.'));
    if is_kind { european_street(rest, first.len(), steps) } else { None }
}

/// A title and the capitalised words behind it.
fn titled(rest: &[u8], title: usize, steps: &mut u64) -> Option<Found> {
    let at = title + usize::from(rest.get(title) == Some(&b'.'));
    let (start, name) = following(rest, at)?;
    *steps += name.len() as u64 * 2;
    let found = word_lists(name);
    if found & COMMON != 0 && found & (FIRST | LAST) == 0 || name.len() < 2 {
        return None;
    }
    let mut end = start + name.len();
    if let Some((start, name)) = following(rest, end) {
        *steps += name.len() as u64 * 2;
        if word_lists(name) & (FIRST | LAST) != 0 {
            end = start + name.len();
        }
    }
    Some((end, "pii.person_name", "person_name"))
}

/// A given name and a family name (or the other way round, with a comma).
fn pair(rest: &[u8], first: &[u8], found: u8, steps: &mut u64) -> Option<Found> {
    let has_comma = rest.get(first.len()) == Some(&b',');
    let at = first.len() + usize::from(has_comma);
    let (start, second) = following(rest, at)?;
    *steps += second.len() as u64 * 2;
    let other = word_lists(second);
    let is_pair = if has_comma {
        found & LAST != 0 && other & FIRST != 0
    } else {
        found & FIRST != 0 && other & LAST != 0
    };
    if !is_pair || other & (COMMON | STREET) != 0 || found & other & (CITY | COUNTRY) != 0 {
        return None;
    }
    let end = start + second.len();
    let third = following(rest, end);
    // "Martin Luther Street", "Jordan Marsh Inc": a street or a firm, not a person.
    if let Some((start, third)) = third {
        let lists = word_lists(third);
        *steps += third.len() as u64 * 2;
        if lists & (STREET | COMMON) != 0 && lists & (FIRST | LAST) == 0 {
            return None;
        }
        if lists & LAST != 0 && lists & (COMMON | STREET) == 0 {
            return Some((start + third.len(), "pii.person_name", "person_name"));
        }
    }
    Some((end, "pii.person_name", "person_name"))
}

/// `Hauptstraße`, `Kerklaan`: the word carries the kind of street in its ending.
fn is_compound_street(word: &[u8]) -> bool {
    const ENDINGS: [&str; 14] = [
        "straße", "strasse", "platz", "gasse", "allee", "straat", "laan", "plein", "gracht", "gatan",
        "vägen", "gade", "veien", "weg",
    ];
    word.len() >= 7 && ENDINGS.iter().any(|ending| word.ends_with(ending.as_bytes()))
}

/// The end of a house number behind a street.
fn house_number(rest: &[u8], street: usize) -> Option<usize> {
    let tail = rest.get(street..)?;
    let gap = tail.iter().take_while(|b| matches!(b, b' ' | b',')).take(2).count();
    let number = tail.get(gap..)?;
    let digits = number.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    let letter = usize::from(number.get(digits).is_some_and(u8::is_ascii_alphabetic));
    let is_end =
        number.get(digits + letter).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_' && *b < 0x80);
    (gap > 0 && (1..=5).contains(&digits) && is_end).then_some(street + gap + digits + letter)
}

/// `Via Roma 12`, `Calle Mayor 3`, `Rua Augusta 100`: the kind of street, up to four words, a number.
fn european_street(rest: &[u8], kind: usize, steps: &mut u64) -> Option<Found> {
    let mut end = kind;
    let mut has_capital = false;
    for _ in 0..4 {
        if has_capital && let Some(length) = house_number(rest, end) {
            return Some((length, "pii.address", "street_address"));
        }
        let tail = rest.get(end..)?;
        let gap = usize::from(tail.first() == Some(&b'.')) + usize::from(tail.contains_at(b' '));
        let next = word(tail.get(gap..)?);
        *steps += next.len() as u64 + 1;
        if gap == 0 || next.is_empty() {
            return None;
        }
        has_capital |= is_capital(next);
        end += gap + next.len();
    }
    let length = has_capital.then(|| house_number(rest, end)).flatten()?;
    Some((length, "pii.address", "street_address"))
}

/// `42 Baker Street`, `12 rue de la Paix`: a number, up to five words of which one names a kind of street.
pub(super) fn address(rest: &[u8], steps: &mut u64) -> Option<Found> {
    let digits = rest.iter().take(7).take_while(|b| class(**b) == DIGIT).count();
    if !(1..=6).contains(&digits) {
        return None;
    }
    let mut end = digits + usize::from(rest.get(digits).is_some_and(u8::is_ascii_alphabetic));
    let (mut capitals, mut best) = (0, None);
    for at in 0..5 {
        let tail = rest.get(end..)?;
        let gap = usize::from(tail.first() == Some(&b',')) + usize::from(tail.contains_at(b' '));
        let next = tail.get(gap..).map(word).filter(|w| gap > 0 && !w.is_empty());
        let Some(next) = next else { break };
        *steps += next.len() as u64 * 2 + 1;
        let is_street = lists(next) & STREET != 0;
        end += gap + next.len();
        if is_street && at > 0 && capitals > 0 && is_capital(next) {
            best = Some(end);
            break;
        }
        let is_kind_first = at == 0 && is_street;
        if !is_capital(next) && !is_kind_first && next.len() > 3 {
            break;
        }
        capitals += usize::from(is_capital(next));
        if at > 0 && capitals > 0 && is_kind(rest, digits) && is_capital(next) {
            best = Some(end);
            break;
        }
    }
    best.map(|end| (end, "pii.address", "street_address"))
}

/// Whether the word behind the number is a lower-case kind of street, as in `12 rue …`.
fn is_kind(rest: &[u8], digits: usize) -> bool {
    let tail = rest.get(digits..).unwrap_or(&[]);
    let start = tail.iter().take_while(|b| matches!(b, b' ' | b',')).count();
    let kind = word(tail.get(start..).unwrap_or(&[]));
    lists(kind) & STREET != 0 && kind.len() >= 3 && !is_capital(kind)
}

/// The separator of two words: a space, perhaps behind a point or a comma.
trait Gap {
    fn contains_at(&self, byte: u8) -> bool;
}

impl Gap for [u8] {
    fn contains_at(&self, byte: u8) -> bool {
        match self {
            [first, ..] if *first == byte => true,
            [b'.' | b',', second, ..] => *second == byte,
            _ => false,
        }
    }
}
