//! Values of digits with separators: dates, amounts, telephone numbers, and identifiers as people write them.
use super::super::check::{
    africa_asia as asia, americas, bank, card, checksum, europe, internet, north_europe as north, phone,
    place, united_states as us,
};
use super::super::detector::{Board, Entry};
use super::super::form::{COLON, COMMA, DASH, DIGIT, DOT, Form, PAREN, PLUS, SLASH, SPACE};
use super::Look;

/// Judges a value of digits and separators.
pub(super) fn judge(form: &Form<'_>, board: &mut Board) -> Look {
    if form.has(COLON) {
        return judge_colons(form, board);
    }
    if is_number(form) {
        judge_number(form, board);
        return Look::Numeric;
    }
    if is_date(form) {
        judge_date(form, board);
        return Look::Temporal;
    }
    if judge_groups(form, board) {
        return Look::Plain;
    }
    if (form.mask & (DOT | COMMA) == DOT | COMMA || form.has(PAREN | DOT) && form.digits >= 8)
        && place::is_coordinate_pair(form.text)
    {
        board.count(Entry::GeoPair, true);
        return Look::Plain;
    }
    if place::is_separated_postal(form.text) {
        board.count(Entry::PostalSeparated, true);
        return Look::Plain;
    }
    judge_phone(form, board);
    Look::Plain
}

/// Identifiers by the lengths of their groups. True if the value passed one that ends the matter.
fn judge_groups(form: &Form<'_>, board: &mut Board) -> bool {
    let digits = form.compact();
    let separator = form.separator();
    match (form.groups, separator) {
        (0x324, Some(b'-' | b' ')) => {
            let is_itin = board.count(Entry::ItinDashed, us::is_itin(digits));
            board.count(Entry::SsnDashed, us::is_ssn(digits)) || is_itin
        }
        (0x333, Some(b'-' | b' ')) => {
            board.count(Entry::AuTfn, asia::is_au_tfn(digits));
            board.count(Entry::CaSinDashed, americas::is_ca_sin(digits))
        }
        (0x334, Some(b' ')) => {
            board.count(Entry::UkNhsSpaced, europe::is_uk_nhs(digits));
            board.count(Entry::PhoneNanp, phone::is_nanp(digits));
            true
        }
        (0x4444 | 0x465 | 0x464 | 0x44443, Some(b' ' | b'-')) => {
            board.count(Entry::CardSpaced, card::is_card(digits))
        }
        (0x444, Some(b' ' | b'-')) => board.count(Entry::InAadhaarSpaced, asia::is_in_aadhaar(digits)),
        (0x3442, Some(b'.' | b' ')) => board.count(Entry::ChAhv, europe::is_ch_ahv(digits)),
        (0x3332, None) if form.mask == DIGIT | DOT | DASH => {
            board.count(Entry::BrCpfDotted, americas::is_br_cpf(digits))
        }
        (0x92, Some(b'-')) => board.count(Entry::BrCpfDotted, americas::is_br_cpf(digits)),
        (0x64 | 0x84, Some(b'-')) => {
            let is_danish = board.count(Entry::DkCprDashed, north::is_dk_cpr(digits));
            board.count(Entry::SePersonnummerDashed, north::is_se_personnummer(digits)) || is_danish
        }
        (0x64, None) if form.mask == DIGIT | PLUS => {
            board.count(Entry::SePersonnummerDashed, north::is_se_personnummer(digits))
        }
        (0x64, Some(b'/')) => board.count(Entry::CzRodneCisloSlashed, north::is_cz_rodne_cislo(digits)),
        (0x67, Some(b'-')) => board.count(Entry::KrRrnDashed, asia::is_kr_rrn(digits)),
        (0x1222332 | 0x132, Some(b' ')) if digits.len() == 15 => {
            board.count(Entry::FrNir, europe::is_fr_nir(digits))
        }
        (0x2333, Some(b' ')) => board.count(Entry::DeSteuerId, europe::is_de_steuer_id(digits)),
        (0x22232, None) if form.mask == DIGIT | DOT | DASH => {
            board.count(Entry::BeRrn, europe::is_be_rrn(digits))
        }
        (0x451, Some(b' ')) => board.count(Entry::AuMedicare, asia::is_au_medicare(digits)),
        (0x2331 | 0x1331, None) if form.mask == DIGIT | DOT | DASH => {
            board.count(Entry::ClRun, americas::is_cl_run(digits))
        }
        (0x81 | 0x71, Some(b'-')) => board.count(Entry::ClRun, americas::is_cl_run(digits)),
        (0x2228, None | Some(b' ' | b'-')) => {
            board.count(Entry::SortAccount, digits.get(..6).is_some_and(bank::is_sort_code))
        }
        (groups, _) if groups >> 12 != 0 && form.mask & !(DIGIT | DOT | SLASH) == 0 => judge_ip(form, board),
        _ => false,
    }
}

fn judge_ip(form: &Form<'_>, board: &mut Board) -> bool {
    form.text.iter().filter(|b| **b == b'.').count() == 3
        && board.count(Entry::Ipv4, internet::is_ipv4(form.text))
}

fn judge_phone(form: &Form<'_>, board: &mut Board) {
    let digits = form.compact();
    // Decimal commas, ranges and lists are no telephone numbers.
    if form.has(COMMA) || !(7..=15).contains(&digits.len()) {
        return;
    }
    match form.text {
        [b'+', ..] => {
            board.count(Entry::PhoneInternational, is_international(form.text, digits));
        }
        [b'0', b'0', ..] if digits.len() >= 10 => {
            board.count(Entry::PhoneInternational, digits.get(2..).is_some_and(phone::is_international));
        }
        _ if form.groups & 0xfff == 0x334 => {
            let national = digits.get(digits.len().saturating_sub(10)..).unwrap_or(digits);
            board.count(Entry::PhoneNanp, phone::is_nanp(national));
        }
        _ if digits.first() == Some(&b'0') => {
            board.count(Entry::PhoneTrunk, phone::is_trunk(digits));
        }
        _ => {
            let has_phone_marks = form.mask & !(DIGIT | SPACE | DASH | DOT | PAREN | SLASH) == 0;
            if has_phone_marks && form.groups & 0xff != 0 && form.groups != 0 {
                board.count(Entry::PhoneOther, !form.has(DOT) || form.groups > 0xfff);
            }
        }
    }
}

/// `+44 (0)20 …`: the national 0 in parentheses is no part of the number.
fn is_international(text: &[u8], digits: &[u8]) -> bool {
    if text.windows(3).any(|w| w == b"(0)") {
        return (9..=16).contains(&digits.len()) && phone::has_calling_code(digits);
    }
    phone::is_international(digits)
}

/// Clock times, timestamps, IPv6 addresses of digits, MAC addresses of digits.
fn judge_colons(form: &Form<'_>, board: &mut Board) -> Look {
    let starts_as_date = form.text.get(..10).is_some_and(|head| is_date(&Form::of(head)));
    let is_clock = form.spaces == 0 && matches!(form.groups, 0x22 | 0x12 | 0x222 | 0x2223 | 0x2226);
    if starts_as_date || is_clock {
        if starts_as_date {
            judge_date(form, board);
        }
        return Look::Temporal;
    }
    if !board.count(Entry::Mac, internet::is_mac(form.text)) {
        board.count(Entry::Ipv6, internet::is_ipv6(form.text));
    }
    Look::Plain
}

/// A single number, with thousands separated or not.
fn is_number(form: &Form<'_>) -> bool {
    if form.has(SPACE | SLASH | PAREN | COLON) || form.text.len() > 30 {
        return false;
    }
    let body = match form.text {
        [b'-' | b'+', body @ ..] => body,
        body => body,
    };
    let separators = body.iter().filter(|b| !b.is_ascii_digit()).count();
    match separators {
        0 => form.text.first() == Some(&b'-') || body.len() < 8,
        1 => !body.contains(&b'-') && !body.contains(&b'+'),
        _ => is_thousands(body),
    }
}

/// Groups of three after the first, the last separator possibly another.
fn is_thousands(body: &[u8]) -> bool {
    let Some(&mark) = body.iter().find(|b| !b.is_ascii_digit()) else { return false };
    let mut parts = body.split(|b| *b == mark);
    let is_first = parts.next().is_some_and(|p| (1..=3).contains(&p.len()));
    let mut rest = parts.peekable();
    let mut all = is_first && matches!(mark, b',' | b'.');
    while let Some(part) = rest.next() {
        let is_last = rest.peek().is_none();
        let whole =
            if is_last { part.split(|b| matches!(b, b'.' | b',')).next().unwrap_or(part) } else { part };
        all &= whole.len() == 3 && whole.iter().all(u8::is_ascii_digit);
    }
    all
}

/// Weak evidence of numbers with a fraction.
pub(super) fn judge_number(form: &Form<'_>, board: &mut Board) {
    let Some(point) = form.text.iter().rposition(|b| matches!(b, b'.' | b',')) else { return };
    match form.text.len() - point - 1 {
        2 => {
            board.count(Entry::AmountDecimal, true);
        }
        4.. => {
            board.count(Entry::GeoDegrees, place::is_degrees(form.text));
        }
        _ => {}
    }
}

/// `YYYY-MM-DD` and the usual orders of day, month and year.
fn is_date(form: &Form<'_>) -> bool {
    if !matches!(form.separator(), Some(b'-' | b'/' | b'.' | b' ')) {
        return false;
    }
    date_year(form).is_some()
}

fn date_year(form: &Form<'_>) -> Option<u32> {
    let digits = form.compact();
    let part = |from: usize, to: usize| digits.get(from..to).map(checksum::number);
    let is_pair = |a: u32, b: u32| checksum::is_month_day(a, b) || checksum::is_month_day(b, a);
    let (year, a, b) = match form.groups {
        0x422 => (part(0, 4)?, part(4, 6)?, part(6, 8)?),
        0x421 => (part(0, 4)?, part(4, 6)?, part(6, 7)?),
        0x412 => (part(0, 4)?, part(4, 5)?, part(5, 7)?),
        0x411 => (part(0, 4)?, part(4, 5)?, part(5, 6)?),
        0x224 => (part(4, 8)?, part(0, 2)?, part(2, 4)?),
        0x214 => (part(3, 7)?, part(0, 2)?, part(2, 3)?),
        0x124 => (part(3, 7)?, part(0, 1)?, part(1, 3)?),
        0x114 => (part(2, 6)?, part(0, 1)?, part(1, 2)?),
        0x222 => (1900 + part(4, 6)?, part(0, 2)?, part(2, 4)?),
        _ => return None,
    };
    (matches!(year, 1800..=2199) && is_pair(a, b)).then_some(year)
}

/// Counts a date as a possible day of birth unless it has a time of day.
pub(super) fn judge_date(form: &Form<'_>, board: &mut Board) {
    let (day, rest) = form.text.split_at_checked(10).unwrap_or((form.text, &[]));
    let day = Form::of(day.trim_ascii());
    let is_midnight = rest.iter().all(|b| matches!(b, b'T' | b' ' | b'0' | b':' | b'.' | b'Z' | b'+'));
    match date_year(&day).filter(|_| is_midnight) {
        Some(year) => board.count_date(year),
        None => {
            board.count(Entry::BirthDate, false);
        }
    }
}
