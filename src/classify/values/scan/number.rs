//! Passages of digits and separators.
use super::super::check::{africa_asia as asia, americas, europe, north_europe as north, vehicle};
use super::super::check::{bank, card, internet, phone, united_states as us};
use super::super::form::{DASH, DIGIT, DOT, Form};
use super::Found;

/// Longest passage of digits with separators.
const LONGEST: usize = 32;

/// Looks at the longest run of digits with single separators that begins here.
pub(super) fn look(rest: &[u8], before: Option<u8>, steps: &mut u64) -> Option<Found> {
    if before.is_some_and(|b| matches!(b, b'.' | b'-' | b'/' | b':' | b'=' | b'$') && b != b'=' && b != b':')
    {
        return None;
    }
    let run = run(rest);
    *steps += run.len() as u64 + 1;
    // A letter right behind makes it part of a code.
    let follower = rest.get(run.len());
    if follower.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80) {
        return None;
    }
    let form = Form::of(run);
    *steps += run.len() as u64;
    whole(&form, run).or_else(|| {
        // Two numbers side by side read as one run: try what stands before a wide space.
        let cut = run.iter().rposition(|b| *b == b' ')?;
        let head = run.get(..cut)?;
        *steps += cut as u64;
        if head.len() < 9 { None } else { whole(&Form::of(head.trim_ascii_end()), head) }
    })
}

/// Digits, with at most one space, hyphen, point or slash between two of them, and parentheses.
fn run(rest: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut gap = 0;
    for (at, byte) in rest.iter().take(LONGEST).enumerate() {
        match byte {
            b'0'..=b'9' => {
                end = at + 1;
                gap = 0;
            }
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+' if gap < 2 && (*byte != b'+' || at == 0) => {
                gap += 1;
            }
            _ => break,
        }
    }
    rest.get(..end).unwrap_or(&[])
}

fn whole(form: &Form<'_>, run: &[u8]) -> Option<Found> {
    let digits = form.compact();
    let found = |tag, detector| Some((run.len(), tag, detector));
    let separator = form.separator();
    match (form.groups, separator) {
        (0x324, Some(b'-' | b' ')) if us::is_ssn(digits) => return found("pii.us_ssn", "us_ssn"),
        (0x324, Some(b'-' | b' ')) if us::is_itin(digits) => return found("pii.us_itin", "us_itin"),
        (0x4444 | 0x465 | 0x464, Some(b'-' | b' ')) if card::is_card(digits) => {
            return found("financial.card_number", "card_number");
        }
        (0x444, Some(b' ' | b'-')) if asia::is_in_aadhaar(digits) => {
            return found("pii.national_id", "in_aadhaar");
        }
        (0x333, Some(b' ' | b'-')) if americas::is_ca_sin(digits) => {
            return found("pii.national_id", "ca_sin");
        }
        (0x333, Some(b' ')) if asia::is_au_tfn(digits) => return found("pii.national_id", "au_tfn"),
        (0x334, Some(b' ')) if europe::is_uk_nhs(digits) => return found("pii.national_id", "uk_nhs"),
        (0x3442, Some(b'.')) if europe::is_ch_ahv(digits) => return found("pii.national_id", "ch_ahv"),
        (0x3332, None) if form.mask == DIGIT | DOT | DASH && americas::is_br_cpf(digits) => {
            return found("pii.national_id", "br_cpf");
        }
        (0x64 | 0x84, Some(b'-')) if north::is_se_personnummer(digits) => {
            return found("pii.national_id", "se_personnummer");
        }
        (0x2333, Some(b' ')) if europe::is_de_steuer_id(digits) => {
            return found("pii.national_id", "de_steuer_id");
        }
        (0x1222332, Some(b' ')) if europe::is_fr_nir(digits) => return found("pii.national_id", "fr_nir"),
        (0x22232, None) if europe::is_be_rrn(digits) => return found("pii.national_id", "be_rrn"),
        _ => {}
    }
    if form.mask == DIGIT {
        return unseparated(digits, run.len());
    }
    if form.mask == DIGIT | DOT {
        let is_address = form.groups >> 12 != 0 && internet::is_ipv4(run);
        return if is_address { found("pii.ip_address", "ipv4") } else { dotted_phone(form, digits, run) };
    }
    phone_with_marks(form, digits, run)
}

/// Numbers without separators must prove themselves: cards, long identifiers with strong checks.
fn unseparated(digits: &[u8], length: usize) -> Option<Found> {
    match digits.len() {
        13..=19 if card::is_card(digits) => Some((length, "financial.card_number", "card_number")),
        15 if europe::is_fr_nir(digits) => Some((length, "pii.national_id", "fr_nir")),
        18 if asia::is_cn_resident(digits) => Some((length, "pii.national_id", "cn_resident_id")),
        11 if europe::is_de_steuer_id(digits) => Some((length, "pii.national_id", "de_steuer_id")),
        11 if phone::is_trunk(digits) => Some((length, "pii.phone", "phone_national")),
        17 if vehicle::is_vin(digits) => Some((length, "vehicle.vin", "vin")),
        9 if bank::is_aba(digits) && us::is_ssn(digits) => None,
        _ => None,
    }
}

fn dotted_phone(form: &Form<'_>, digits: &[u8], run: &[u8]) -> Option<Found> {
    let is_phone =
        form.groups == 0x334 && phone::is_nanp(digits) || form.groups == 0x22222 && phone::is_trunk(digits);
    is_phone.then_some((run.len(), "pii.phone", "phone_national"))
}

fn phone_with_marks(form: &Form<'_>, digits: &[u8], run: &[u8]) -> Option<Found> {
    if !(8..=15).contains(&digits.len()) {
        return None;
    }
    let found = |detector| Some((run.len(), "pii.phone", detector));
    let national = digits.strip_prefix(b"1").filter(|d| d.len() == 10).unwrap_or(digits);
    match run {
        [b'+', ..] if phone::is_international(digits) => found("phone_international"),
        [b'+', ..] if run.windows(3).any(|w| w == b"(0)") && phone::has_calling_code(digits) => {
            found("phone_international")
        }
        _ if form.groups & 0xfff == 0x334 && phone::is_nanp(national) => found("phone_us"),
        [b'(' | b'0', ..] if phone::is_trunk(digits) && form.groups != 0x422 => found("phone_national"),
        _ => None,
    }
}
