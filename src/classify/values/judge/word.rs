//! Values of words: names, places, addresses, genders, user names, free text.
use super::super::detector::{Board, Entry};
use super::super::dictionary::{CITY, COMMON, COUNTRY, FIRST, GENDER, LAST, STREET, TITLE, lists};
use super::super::form::{
    APOSTROPHE, AT, COLON, COMMA, DASH, DIGIT, DOT, Form, HIGH, LETTER, OTHER, SLASH, SPACE, UNDERSCORE,
    UPPER,
};
use super::super::scan;
use super::Look;

/// Most words of a value that is looked at as a whole.
pub(super) const WORDS: usize = 14;

/// One word of a value.
#[derive(Clone, Copy, Default)]
pub(super) struct Word<'a> {
    pub(super) text: &'a [u8],
    pub(super) lists: u8,
    pub(super) is_capital: bool,
    pub(super) has_digit: bool,
}

/// Judges a value with letters.
pub(super) fn judge(form: &Form<'_>, board: &mut Board) -> Look {
    if form.spaces == 0 {
        return judge_single(form, board);
    }
    let mut words = [Word::default(); WORDS];
    let count = split(form.text, &mut words);
    let words = words.get(..count).unwrap_or(&[]);
    if form.spaces <= 3 && !form.has(DIGIT) {
        judge_place(form.text, board);
    }
    let is_claimed = judge_name(form, words, board) | super::address::judge(form, words, board);
    if super::code::is_amount(form.text) {
        board.count(Entry::AmountSymbol, true);
        return Look::Numeric;
    }
    if form.text.starts_with(b"POINT") || form.text.starts_with(b"SRID") {
        board.count(Entry::GeoPoint, super::super::check::place::is_wkt_point(form.text));
        return Look::Plain;
    }
    if !is_claimed && (form.spaces >= 3 || form.has(AT | OTHER | COLON) || form.digits >= 7) {
        return judge_text(form, board);
    }
    if words.len() >= 2 { Look::Words } else { Look::Plain }
}

/// Free text: something sensitive within?
pub(super) fn judge_text(form: &Form<'_>, board: &mut Board) -> Look {
    let found = scan::first(form.text);
    // A value that begins as an address, with no more than the rest of one behind it, is not text about somebody.
    if form.text.len() <= 100
        && found.as_ref().is_some_and(|span| span.tag == "pii.address" && span.range.start == 0)
    {
        board.count(Entry::Address, true);
        return Look::Words;
    }
    board.count(Entry::FreeText, found.is_some());
    if form.spaces > 0 { Look::Words } else { Look::Plain }
}

fn judge_single(form: &Form<'_>, board: &mut Board) -> Look {
    let text = form.text;
    if form.mask & !(LETTER | APOSTROPHE | DASH | DOT) == 0 {
        let found = lists(text) | hyphenated(text, form);
        if text.len() <= 16 {
            // Words name a gender wherever they stand, letters may be any code.
            let entry =
                if found & GENDER != 0 && form.letters >= 4 { Entry::GenderWord } else { Entry::Gender };
            board.count(entry, found & GENDER != 0);
        }
        if form.letters >= 2 {
            board.count(Entry::FirstName, found & FIRST != 0);
            board.count(Entry::LastName, found & LAST != 0 || has_family_ending(form));
            board.count(Entry::City, found & CITY != 0 || has_city_ending(text));
            board.count(Entry::Country, found & COUNTRY != 0);
        }
    }
    let is_user_form = form.mask & !(LETTER & !HIGH | DIGIT | DOT | DASH | UNDERSCORE) == 0;
    if is_user_form && !form.has(UPPER) && (3..=32).contains(&text.len()) && form.letters >= 3 {
        board.count(Entry::Username, is_username(form));
    } else if form.text.len() >= 24 && form.has(AT | OTHER | COLON | SLASH) {
        return judge_text(form, board);
    }
    Look::Plain
}

/// The lists both halves of a hyphenated name are on.
fn hyphenated(text: &[u8], form: &Form<'_>) -> u8 {
    if !form.has(DASH) {
        return 0;
    }
    let mut halves = text.split(|b| *b == b'-');
    match (halves.next(), halves.next(), halves.next()) {
        (Some(a), Some(b), None) => lists(a) & lists(b) & (FIRST | LAST),
        _ => 0,
    }
}

/// Endings of family names that few other words have.
fn has_family_ending(form: &Form<'_>) -> bool {
    const ENDINGS: [&str; 22] = [
        "sson", "ström", "qvist", "gaard", "mann", "stein", "owski", "owska", "ewski", "ewska", "iński",
        "ińska", "czyk", "wicz", "ovic", "ović", "ová", "escu", "oğlu", "enko", "ópez", "poulos",
    ];
    form.letters >= 6
        && form.text.first().is_some_and(|b| !b.is_ascii_lowercase())
        && ENDINGS.iter().any(|ending| form.text.ends_with(ending.as_bytes()))
}

/// A user name made of a person's name: `jsmith`, `john.doe`, `maria_23`, `smithj`.
fn is_username(form: &Form<'_>) -> bool {
    let text = form.text.trim_ascii_end();
    let end = text.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
    let stem = text.get(..end).unwrap_or(text);
    if stem.len() < 3 {
        return false;
    }
    let is_name = |part: &[u8]| part.len() >= 3 && lists(part) & (FIRST | LAST) != 0;
    if form.has(DOT | DASH | UNDERSCORE) {
        return stem.split(|b| matches!(b, b'.' | b'-' | b'_')).any(is_name);
    }
    let has_digits = end < text.len();
    let tail = stem.get(1..).unwrap_or(&[]);
    let head = stem.get(..stem.len() - 1).unwrap_or(&[]);
    let is_initial =
        tail.len() >= 4 && lists(tail) & LAST != 0 || head.len() >= 4 && lists(head) & (LAST | FIRST) != 0;
    if is_initial || has_digits && is_name(stem) {
        return true;
    }
    // Two names run together.
    let cuts = 3..stem.len().saturating_sub(2).min(14);
    stem.len() >= 7
        && cuts.into_iter().any(|at| {
            stem.split_at_checked(at).is_some_and(|(a, b)| {
                let first = lists(a);
                first & (FIRST | LAST) != 0 && lists(b) & (FIRST | LAST) != 0
            })
        })
}

/// Splits a value at spaces, commas and slashes; surrounding punctuation is cut off.
pub(super) fn split<'a>(text: &'a [u8], words: &mut [Word<'a>]) -> usize {
    let parts = text.split(|b| matches!(b, b' ' | b',' | b'/' | b'\n' | b'\t')).filter(|p| !p.is_empty());
    let mut count = 0;
    for (slot, part) in words.iter_mut().zip(parts) {
        let has_digit = part.iter().any(u8::is_ascii_digit);
        *slot = Word {
            text: part,
            lists: if has_digit { 0 } else { word_lists(part) },
            is_capital: part.first().is_some_and(|b| b.is_ascii_uppercase() || *b >= 0xc3),
            has_digit,
        };
        count += 1;
    }
    count
}

/// The lists of a word; of a hyphenated one, those of either half.
fn word_lists(part: &[u8]) -> u8 {
    let whole = lists(part);
    if whole != 0 || !part.contains(&b'-') {
        return whole;
    }
    // `Anna-Lena`, `Ahmet-Hahn-Ring`: names from any part, the kind of street from the last.
    part.split(|b| *b == b'-').fold(0, |all, half| all & !STREET | lists(half) & (FIRST | LAST | STREET))
}

fn judge_place(text: &[u8], board: &mut Board) {
    let found = lists(text);
    board.count(Entry::City, found & CITY != 0 || has_city_prefix(text));
    board.count(Entry::Country, found & COUNTRY != 0);
}

/// Endings of place names that few other words have.
fn has_city_ending(text: &[u8]) -> bool {
    const ENDINGS: [&str; 12] = [
        "burgh", "ville", "mouth", "chester", "borough", "town", "bury", "haven", "furt", "stadt", "hausen",
        "heim",
    ];
    text.len() >= 7
        && text.first().is_some_and(u8::is_ascii_uppercase)
        && ENDINGS.iter().any(|ending| text.ends_with(ending.as_bytes()))
}

/// `North Jessica`, `Port Charles`, `Bad Homburg`: words that make a place of the capitalised name behind them.
fn has_city_prefix(text: &[u8]) -> bool {
    const PREFIXES: [&str; 16] = [
        "North ", "South ", "East ", "West ", "New ", "Lake ", "Port ", "San ", "Santa ", "Saint ", "St. ",
        "Bad ", "Sankt ", "Saint-", "Villa ", "Borgo ",
    ];
    let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix.as_bytes()));
    rest.is_some_and(|name| {
        name.first().is_some_and(u8::is_ascii_uppercase)
            && !name.contains(&b' ')
            && (lists(name) & (FIRST | LAST) != 0 && lists(name) & COMMON == 0 || has_city_ending(name))
    })
}

/// Two to five words of letters, capitalised, that carry names.
fn judge_name(form: &Form<'_>, words: &[Word<'_>], board: &mut Board) -> bool {
    let has_form = form.mask & !(LETTER | SPACE | APOSTROPHE | DASH | DOT | COMMA) == 0
        && (2..=6).contains(&words.len())
        && form.characters <= 60;
    if !has_form {
        return false;
    }
    let is_name = is_name(words);
    if is_name {
        let mut telling =
            words.iter().filter(|w| w.text.len() > 2 && w.lists & TITLE == 0 && !is_suffix(w.text));
        let has_given = words.iter().any(|w| w.lists & (FIRST | TITLE) != 0);
        let first = telling.next().map_or(&[][..], |w| w.text);
        board.set.count_name(first, telling.next_back().map_or(first, |w| w.text), has_given);
    }
    board.count(Entry::PersonName, is_name)
}

/// Whether words make a person's name: a given and a family name, or one of them beside capitalised words that
/// are nothing else.
pub(super) fn is_name(words: &[Word<'_>]) -> bool {
    let (mut first, mut last, mut other, mut titles, mut bad) = (0, 0, 0, 0, 0);
    let mut before = 0u8;
    for (at, word) in words.iter().enumerate() {
        let is_initial = word.text.len() <= 2;
        let (is_particle, is_suffix) = (is_particle(word.text), at > 0 && is_suffix(word.text));
        if is_particle || is_suffix || is_initial && at > 0 {
            continue;
        }
        if word.lists & TITLE != 0 && at <= 1 && word.lists & FIRST == 0 {
            titles += 1;
        } else if word.lists & COMMON != 0 {
            bad += 1;
        } else if word.lists & (FIRST | LAST) == FIRST | LAST {
            // Either: the place decides.
            if first == 0 { first += 1 } else { last += 1 }
        } else if word.lists & FIRST != 0 {
            first += 1;
        } else if word.lists & LAST != 0 {
            // `Riverside Park`: without a given name the place is meant.
            bad += usize::from(first == 0 && at > 0 && word.lists & STREET != 0);
            last += 1;
        } else if word.lists & (STREET | CITY | COUNTRY) != 0 {
            bad += usize::from(at > 0 || word.lists & STREET != 0);
            other += 1;
        } else {
            other += usize::from(word.is_capital);
            bad += usize::from(
                !word.is_capital
                    && word.text.first().is_some_and(u8::is_ascii_lowercase)
                    && !is_known(before),
            );
        }
        before = word.lists;
    }
    let known = first + last;
    bad == 0
        && (first >= 1 && last + other >= 1
            || last >= 1 && other >= 1
            || titles >= 1 && known + other >= 1
            || known >= 2)
        && known * 3 >= other
}

/// Small words inside family names.
fn is_particle(word: &[u8]) -> bool {
    match word.len() {
        1 => matches!(word, b"e" | b"y"),
        2 => matches!(
            word,
            b"de"
                | b"di"
                | b"da"
                | b"la"
                | b"le"
                | b"zu"
                | b"al"
                | b"el"
                | b"af"
                | b"av"
                | b"De"
                | b"Di"
                | b"La"
                | b"Le"
                | b"Da"
        ),
        3 => matches!(
            word,
            b"van"
                | b"von"
                | b"der"
                | b"den"
                | b"del"
                | b"dos"
                | b"das"
                | b"bin"
                | b"ben"
                | b"ten"
                | b"ter"
                | b"Van"
                | b"Del"
        ),
        5 => word == b"della",
        _ => false,
    }
}

/// What may stand behind a name.
fn is_suffix(word: &[u8]) -> bool {
    let has_form = word.last() == Some(&b'.') || word.len() <= 3;
    has_form
        && matches!(
            word,
            b"Jr."
                | b"Jr"
                | b"Sr."
                | b"II"
                | b"III"
                | b"IV"
                | b"MD"
                | b"PhD"
                | b"DDS"
                | b"DVM"
                | b"B.Sc."
                | b"B.Eng."
                | b"B.A."
                | b"MBA."
        )
}

fn is_known(lists: u8) -> bool {
    lists & (FIRST | LAST) != 0
}
