//! Values of letters and digits without words: identifiers, tokens, digests.
use super::super::check::{
    africa_asia as asia, americas, bank, europe, health, identity, internet, north_europe as north, place,
    secret, securities, vehicle,
};
use super::super::detector::{Board, Entry};
use super::super::form::{
    AT, COLON, DASH, DIGIT, DOT, Form, HIGH, LETTER, LOWER, OTHER, PAREN, PLUS, SLASH, SPACE, UNDERSCORE,
    UPPER,
};
use super::Look;

/// Judges a code. `None` leaves the value to the judge of words.
pub(super) fn judge(form: &Form<'_>, board: &mut Board) -> Option<Look> {
    if form.text.len() >= 16
        && form.spaces == 0
        && let Some(look) = judge_token(form, board)
    {
        return Some(look);
    }
    if form.has(COLON)
        && form.digits + form.letters >= 3
        && !form.has(OTHER | HIGH | SPACE)
        && (board.count(Entry::Mac, internet::is_mac(form.text))
            || board.count(Entry::Ipv6, internet::is_ipv6(form.text)))
    {
        return Some(Look::Plain);
    }
    if form.text.len() == 17 && form.text.get(2) == Some(&b'-') && internet::is_mac(form.text) {
        board.count(Entry::Mac, true);
        return Some(Look::Plain);
    }
    if form.text.len() == 12 && form.letters > 0 && form.digits > 0 && is_hex(form.text) {
        board.count(Entry::MacBare, true);
        return Some(Look::Plain);
    }
    if form.text.len() == 44 && form.mask & !(DIGIT | UPPER | OTHER) == 0 {
        let passed = board.count(Entry::PassportLine, identity::is_passport_line(form.text));
        return passed.then_some(Look::Plain);
    }
    if form.digits == 0 {
        if form.mask == UPPER && matches!(form.text.len(), 8 | 11) {
            board.count(Entry::Bic, bank::is_bic(form.text));
        }
        return None;
    }
    if form.has(OTHER | PLUS) {
        return judge_marked(form, board);
    }
    if form.has(HIGH | AT | UNDERSCORE) {
        return None;
    }
    if form.mask == DIGIT | UPPER | DASH | PLUS || form.text.len() == 11 && form.has(DASH) {
        board.count(Entry::FiHetu, north::is_fi_hetu(form.text));
    }
    let code = form.compact();
    let passed = if form.has(DOT | SLASH | PAREN) {
        judge_dotted(form, board)
    } else {
        judge_compact(code, form, board)
    };
    if passed || form.letters <= 2 || form.has(UPPER) && !form.has(LOWER | SPACE) {
        Some(Look::Plain)
    } else {
        None
    }
}

/// Codes with a point or slash.
fn judge_dotted(form: &Form<'_>, board: &mut Board) -> bool {
    match form.text.len() {
        5..=8 if form.mask == DIGIT | UPPER | DOT => {
            icd(Entry::Icd10, health::is_icd10(form.text), form.text, board)
        }
        14 if form.text.get(4) == Some(&b'.') => board.count(Entry::Mac, internet::is_mac(form.text)),
        17..=20 => {
            // Italian and other identifiers are never written with points; a Brazilian CNPJ is a company's.
            false
        }
        _ => false,
    }
}

/// Counts a code of ICD-10.
fn icd(entry: Entry, passed: bool, code: &[u8], board: &mut Board) -> bool {
    if passed {
        board.set.count_code(code);
    }
    board.count(entry, passed)
}

/// Codes of letters and digits, perhaps in groups.
fn judge_compact(code: &[u8], form: &Form<'_>, board: &mut Board) -> bool {
    let is_upper = !form.has(LOWER);
    let letters_first = code.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let letters = form.letters;
    if letters == 1 && form.has(DASH | SPACE) && identity::is_hyphenated_licence(form.text) {
        return board.count(Entry::DriverTelling, true);
    }
    if bank::has_iban_form(code)
        && bank::iban_length(code).is_some()
        && board.count(Entry::Iban, bank::is_iban(code))
    {
        return true;
    }
    if matches!(
        code,
        [b'M', b'R', b'0'..=b'9' | b'N', ..] | [b'E', b'M' | b'H', b'R', ..] | [b'P', b'A', b'T', ..]
    ) {
        return board.count(Entry::MedicalRecord, health::is_medical_record(code));
    }
    match code.len() {
        3 if letters_first == 1 && letters == 1 && !form.has(DASH | SPACE) => {
            icd(Entry::Icd10Short, health::is_icd10(code), code, board)
        }
        4..=7
            if letters_first == 1
                && (letters == 1 || letters == 2 && code.ends_with_letters(1))
                && !form.has(DASH | SPACE) =>
        {
            icd(Entry::Icd10Short, health::is_undotted_icd10(code), code, board)
        }
        5..=7 if letters >= 2 => judge_postal(code, form, board),
        8 => {
            if letters_first >= 6 && is_upper {
                return board.count(Entry::Bic, bank::is_bic(code));
            }
            if letters == 1 && letters_first == 1 {
                board.count(Entry::DriverLicense, true);
            }
            letters == 1 && letters_first == 0 && board.count(Entry::IePps, europe::is_ie_pps(code))
        }
        9 => judge_nine(code, letters, letters_first, is_upper, board),
        10 if letters == 6 && letters_first == 5 => board.count(Entry::InPan, asia::is_in_pan(code)),
        11 => {
            if letters_first >= 6 && is_upper {
                return board.count(Entry::Bic, bank::is_bic(code));
            }
            letters >= 4 && letters_first == 0 && board.count(Entry::Mbi, health::is_mbi(code))
        }
        12 if letters_first >= 2 && is_upper => board.count(Entry::Isin, securities::is_isin(code)),
        13 if letters == 1 && letters_first == 1 => {
            board.count(Entry::DriverLicense, true);
            false
        }
        15 if letters == 1 => board.count(Entry::FrNir, europe::is_fr_nir(code)),
        16 if letters_first <= 5 && letters >= 5 && identity::is_british_driver(code) => {
            board.count(Entry::DriverTelling, true)
        }
        16 if letters_first >= 6 => board.count(Entry::ItCodiceFiscale, europe::is_it_codice_fiscale(code)),
        17 if vehicle::has_vin_form(code) && letters > 0 && form.spaces == 0 => {
            board.count(Entry::VinForeign, vehicle::is_foreign_vin(code));
            board.count(Entry::Vin, vehicle::is_vin(code))
        }
        18 if letters == 1 => board.count(Entry::CnResident, asia::is_cn_resident(code)),
        18 if letters_first == 4 => board.count(Entry::MxCurp, americas::is_mx_curp(code)),
        20 if is_upper && form.spaces == 0 => board.count(Entry::Lei, securities::is_lei(code)),
        _ => false,
    }
}

fn judge_nine(code: &[u8], letters: usize, letters_first: usize, is_upper: bool, board: &mut Board) -> bool {
    match (letters, letters_first) {
        (3, 2) if code.last().is_some_and(u8::is_ascii_uppercase) => {
            return board.count(Entry::UkNino, europe::is_uk_nino(code));
        }
        (2, 1) if code.last().is_some_and(u8::is_ascii_uppercase) => {
            let is_spanish = board.count(Entry::EsDni, europe::is_es_dni(code));
            let is_irish = code.get(7).is_some_and(u8::is_ascii_uppercase) && europe::is_ie_pps(code);
            return board.count(Entry::SgNric, asia::is_sg_nric(code)) || is_spanish || is_irish;
        }
        (1, 0) if code.last().is_some_and(u8::is_ascii_uppercase) => {
            board.count(Entry::ClRun, americas::is_cl_run(code));
            return board.count(Entry::EsDni, europe::is_es_dni(code));
        }
        (2, 0) if code.get(7).is_some_and(u8::is_ascii_uppercase) => {
            return board.count(Entry::IePps, europe::is_ie_pps(code));
        }
        (1, 1) | (2, 2) => {
            board.count(Entry::Passport, true);
        }
        _ => {}
    }
    is_upper
        && code.last().is_some_and(u8::is_ascii_digit)
        && board.count(Entry::Cusip, securities::is_cusip(code))
}

fn judge_postal(code: &[u8], form: &Form<'_>, board: &mut Board) -> bool {
    let ends_in_letters = code.ends_with_letters(2);
    if form.letters == 2 && code.first().is_some_and(u8::is_ascii_digit) && ends_in_letters && code.len() == 6
    {
        return board.count(Entry::PostalNl, place::is_nl_postcode(code));
    }
    if code.len() == 6 && form.letters == 3 && !ends_in_letters {
        return board.count(Entry::PostalCa, place::is_ca_postal(code));
    }
    ends_in_letters && form.letters >= 3 && board.count(Entry::PostalUk, place::is_uk_postcode(code))
}

/// Codes with unusual marks: amounts with a currency, password-like strings.
fn judge_marked(form: &Form<'_>, board: &mut Board) -> Option<Look> {
    if is_amount(form.text) {
        board.count(Entry::AmountSymbol, true);
        return Some(Look::Numeric);
    }
    if form.spaces == 0 && secret::is_password_like(form.text) {
        board.count(Entry::Password, true);
        return Some(Look::Plain);
    }
    (form.mask & LETTER == 0).then_some(Look::Plain)
}

/// A number beside a currency symbol or an ISO 4217 code.
pub(super) fn is_amount(text: &[u8]) -> bool {
    const SYMBOLS: [&str; 39] = [
        "R$", "$", "€", "£", "¥", "₹", "₺", "₽", "₩", "kr.", "kr", "zł", "Kč", "Ft", "lei", "Fr.", "CHF",
        "EUR", "USD", "GBP", "JPY", "INR", "BRL", "PLN", "CZK", "HUF", "SEK", "NOK", "DKK", "CAD", "AUD",
        "NZD", "SGD", "ZAR", "MXN", "CNY", "TRY", "HKD", "RON",
    ];
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let body = SYMBOLS.iter().find_map(|symbol| {
        text.strip_prefix(symbol.as_bytes()).or_else(|| text.strip_suffix(symbol.as_bytes()))
    });
    body.is_some_and(|body| {
        let body = body.trim_ascii();
        body.len() <= 20
            && body.iter().any(u8::is_ascii_digit)
            && body.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'\'' | b' ' | b'-'))
    })
}

/// Tokens of 16 bytes and more without spaces: UUIDs, digests, secrets.
pub(super) fn judge_token(form: &Form<'_>, board: &mut Board) -> Option<Look> {
    let text = form.text;
    let first = text.first().copied().unwrap_or_default();
    if secret::may_begin(first) && text.len() >= 18 && secret::is_known_secret(text) {
        board.count(Entry::Secret, true);
        return Some(Look::Opaque);
    }
    if text.len() == 20 && form.mask == DIGIT | UPPER {
        board.count(Entry::Secret, false);
    }
    if is_opaque(form) {
        return Some(Look::Opaque);
    }
    if text.len() >= 20
        && form.mask & (DIGIT | UPPER | LOWER) == DIGIT | UPPER | LOWER
        && !form.has(AT | COLON | HIGH)
        && secret::is_random_token(text)
    {
        board.count(Entry::SecretRandom, true);
        return Some(Look::Opaque);
    }
    None
}

fn is_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_hexdigit)
}

/// UUIDs (RFC 9562), hex digests and hex keys, base64 of fixed sizes.
fn is_opaque(form: &Form<'_>) -> bool {
    let text = form.text.strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}")).unwrap_or(form.text);
    let text = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"urn:uuid:")).unwrap_or(text);
    if text.len() == 36 && form.has(DASH) {
        return text
            .split(|b| *b == b'-')
            .zip([8, 4, 4, 4, 12])
            .all(|(part, length)| part.len() == length && is_hex(part));
    }
    // A run of at least 24 hex digits with letters among them, all in one case, is a digest or a key.
    let is_one_case = form.mask & (UPPER | LOWER) != UPPER | LOWER;
    if text.len() >= 24 && is_one_case && form.letters > 0 && form.digits > 0 && is_hex(text) {
        return true;
    }
    text.len() >= 22 && text.len().is_multiple_of(4) && text.ends_with(b"=") && !form.has(SPACE | COLON | DOT)
}

/// Asked of codes only.
trait Ending {
    fn ends_with_letters(&self, count: usize) -> bool;
}

impl Ending for [u8] {
    fn ends_with_letters(&self, count: usize) -> bool {
        self.len() >= count && self.iter().rev().take(count).all(u8::is_ascii_uppercase)
    }
}
