//! Postal addresses: a word for a street with a house number, a place with one, or a street alone.
use super::super::detector::{Board, Entry};
use super::super::dictionary::{CITY, COMMON, COUNTRY, STREET};
use super::super::form::{APOSTROPHE, COLON, COMMA, DASH, DIGIT, DOT, Form, LETTER, OTHER, SLASH, SPACE};
use super::word::{WORDS, Word};

/// A house number and a word for a street, with the rest of the address or without.
pub(super) fn judge(form: &Form<'_>, words: &[Word<'_>], board: &mut Board) -> bool {
    let has_form = form.letters >= 3
        && form.mask & !(LETTER | DIGIT | SPACE | APOSTROPHE | DASH | DOT | COMMA | SLASH | COLON | OTHER)
            == 0
        && (2..=WORDS).contains(&words.len())
        && (form.has(DIGIT) || words.iter().any(is_street));
    if has_form && !words.iter().any(|w| w.has_digit) {
        board.count(Entry::StreetName, is_street_name(words));
        return false;
    }
    has_form && board.count(Entry::Address, is_address(words))
}

/// Whether words make an address.
pub(super) fn is_address(words: &[Word<'_>]) -> bool {
    let is_number = |w: &Word<'_>| w.text.first().is_some_and(u8::is_ascii_digit) && w.text.len() <= 8;
    let has_number = words.iter().any(is_number);
    let has_street = words.iter().any(is_street);
    let has_place = words.iter().any(|w| w.lists & (CITY | COUNTRY) != 0);
    let capitals = words.iter().filter(|w| w.is_capital).count();
    let is_lower = |w: &&Word<'_>| !w.is_capital && !w.has_digit && w.lists & STREET == 0 && w.text.len() > 3;
    let lower = words.iter().filter(is_lower).count();
    let has_box = has_number && words.iter().any(|w| w.text == b"Box" || w.text == b"Postfach");
    has_street && capitals >= 1 && words.len() >= 3 && lower <= 2 && is_numbered(words, is_number)
        || words.iter().any(is_compound_street) && lower <= 1
        || has_number && has_place && words.len() >= 3 && lower == 0
        || has_box && lower == 0
}

/// A street without a number: its kind at either end, and nothing that is no part of one.
fn is_street_name(words: &[Word<'_>]) -> bool {
    let is_kind = |w: Option<&Word<'_>>| w.is_some_and(is_sure_kind);
    let ends = is_kind(words.first()) || is_kind(words.last()) || words.iter().any(is_sure_compound);
    ends && words.len() <= 5
        && words.iter().all(|w| w.lists & COMMON == 0 && (w.is_capital || w.text.len() <= 3))
}

/// A word for nothing but a street; `Garden`, `Park` and `Dr` are more.
fn is_sure_kind(word: &Word<'_>) -> bool {
    const KINDS: [&str; 36] = [
        "street",
        "st",
        "avenue",
        "ave",
        "road",
        "rd",
        "boulevard",
        "blvd",
        "lane",
        "drive",
        "highway",
        "straße",
        "strasse",
        "rue",
        "chemin",
        "calle",
        "avenida",
        "carrer",
        "via",
        "viale",
        "corso",
        "piazza",
        "rua",
        "travessa",
        "straat",
        "laan",
        "ulica",
        "ul.",
        "al.",
        "ulice",
        "utca",
        "út",
        "strada",
        "cadde",
        "sokak",
        "gata",
    ];
    word.lists & STREET != 0 && KINDS.iter().any(|kind| word.text.eq_ignore_ascii_case(kind.as_bytes()))
}

/// A compound whose ending nothing but streets has.
fn is_sure_compound(word: &Word<'_>) -> bool {
    const ENDINGS: [&str; 9] =
        ["straße", "strasse", "straat", "gatan", "vägen", "veien", "gasse", "gracht", "allee"];
    word.is_capital && ENDINGS.iter().any(|ending| word.text.ends_with(ending.as_bytes()))
}

/// Whether a house number stands within five words before or behind the word for a street.
fn is_numbered(words: &[Word<'_>], is_number: impl Fn(&Word<'_>) -> bool) -> bool {
    let streets = words.iter().enumerate().filter(|(_, word)| is_street(word));
    streets.into_iter().any(|(at, street)| {
        // Behind it only where the word means a street and nothing else: `Garden hose 20 m` is no address.
        let is_sure = at > 0 || is_sure_kind(street) || is_sure_compound(street);
        let around = words.iter().take(if is_sure { at + 6 } else { at }).skip(at.saturating_sub(5));
        around.into_iter().any(&is_number)
    })
}

fn is_street(word: &Word<'_>) -> bool {
    word.lists & STREET != 0 || is_compound_street(word)
}

/// `Hauptstraße`, `Kerklaan`, `Storgatan`: the kind of street is the word's ending.
fn is_compound_street(word: &Word<'_>) -> bool {
    const ENDINGS: [&str; 40] = [
        "straße", "strasse", "str.", "weg", "platz", "gasse", "allee", "ring", "damm", "ufer", "straat",
        "laan", "plein", "gracht", "kade", "gatan", "vägen", "gränd", "stigen", "gade", "vej", "veien",
        "vegen", "gata", "katu", "tie", "steeg", "singel", "dreef", "baan", "gränden", "torget", "svingen",
        "stubben", "kroken", "stien", "alleen", "stræde", "stieg", "chaussee",
    ];
    word.text.len() >= 7
        && word.is_capital
        && ENDINGS.iter().any(|ending| word.text.ends_with(ending.as_bytes()))
}
