//! Which detectors look at a value: chosen by the classes of its characters, its length and its groups, so that a
//! value meets only validators whose form it has.
mod address;
mod code;
mod grouped;
mod plain;
mod word;

use super::detector::{Board, Entry};
use super::form::{AT, COLON, COMMA, DASH, DIGIT, DOT, Form, HIGH, LETTER, PAREN, PLUS, SLASH, SPACE};
use super::sample::Kind;

/// Longest value that is judged as a whole; longer ones are scanned.
const WHOLE: usize = 120;

/// What a value is, apart from detectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// A number with sign, point or exponent.
    Numeric,
    /// A date or timestamp.
    Temporal,
    /// A UUID, digest or the like.
    Opaque,
    /// Digits only.
    Digits,
    /// Several words.
    Words,
    /// None of these.
    Plain,
}

/// Counts on the board what a value passes, and tells what it looks like.
pub(crate) fn judge(form: &Form<'_>, kind: Kind, board: &mut Board) -> Look {
    match kind {
        Kind::Integer => {
            if form.mask == DIGIT {
                plain::judge(form.text, board);
                return digits_look(form);
            }
            return Look::Numeric;
        }
        Kind::Float | Kind::Decimal => {
            grouped::judge_number(form, board);
            return Look::Numeric;
        }
        Kind::Temporal => {
            grouped::judge_date(form, board);
            return Look::Temporal;
        }
        Kind::Text | Kind::Other => {}
    }
    if form.mask == DIGIT {
        plain::judge(form.text, board);
        return digits_look(form);
    }
    if (2..=6).contains(&form.digits)
        && (3..=16).contains(&form.letters)
        && form.spaces <= 4
        && let Some(year) = super::check::calendar::written_year(form.text)
    {
        board.count_date(year);
        return Look::Temporal;
    }
    if form.has(HIGH) && form.digits >= 3 && super::check::place::is_sexagesimal(form.text) {
        board.count(Entry::GeoDegreesSigned, true);
        return Look::Plain;
    }
    if form.text.len() > WHOLE {
        return long(form, board);
    }
    if form.has(DIGIT)
        && form.mask & !(DIGIT | SPACE | DASH | DOT | SLASH | PLUS | PAREN | COMMA | COLON) == 0
    {
        return grouped::judge(form, board);
    }
    if let Some(number) = without_extension(form) {
        return grouped::judge(&Form::of(number), board);
    }
    if form.has(AT)
        && form.spaces == 0
        && board.count(Entry::Email, super::check::internet::is_email(form.text))
    {
        return Look::Plain;
    }
    if (form.spaces == 0 || (form.digits > 0 && form.mask & super::form::LOWER == 0))
        && let Some(look) = code::judge(form, board)
    {
        return look;
    }
    if form.has(LETTER) {
        return word::judge(form, board);
    }
    Look::Plain
}

/// Digits, or a date written with eight of them.
fn digits_look(form: &Form<'_>) -> Look {
    if plain::is_compact_date(form.text) { Look::Temporal } else { Look::Digits }
}

/// A telephone number without its extension (`x123`, `ext. 123`, ITU-T E.123).
fn without_extension<'a>(form: &Form<'a>) -> Option<&'a [u8]> {
    let is_number = matches!(form.text.first(), Some(b'0'..=b'9' | b'+' | b'('));
    if !is_number || !matches!(form.letters, 1 | 3) || form.digits < 8 || form.mask & super::form::UPPER != 0
    {
        return None;
    }
    let at = form.text.iter().position(u8::is_ascii_lowercase)?;
    let (number, extension) = form.text.split_at_checked(at)?;
    let extension = extension.strip_prefix(b"ext").or_else(|| extension.strip_prefix(b"x"))?;
    let digits = extension.trim_ascii_start().strip_prefix(b".").unwrap_or(extension).trim_ascii();
    let has_form = (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    has_form.then(|| number.trim_ascii_end())
}

/// Values too long for one item: secrets, digests, free text.
fn long(form: &Form<'_>, board: &mut Board) -> Look {
    if form.spaces == 0
        && let Some(look) = code::judge_token(form, board)
    {
        return look;
    }
    if form.text.starts_with(b"-----BEGIN ") {
        board.count(Entry::Secret, super::check::secret::is_known_secret(form.text));
        return Look::Opaque;
    }
    word::judge_text(form, board)
}
