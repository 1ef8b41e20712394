//! Papers whose form is telling: machine-readable passport lines and driving licences with separators.

/// The second line of a passport's machine-readable zone (ICAO 9303-4, TD3): 44 characters, check digits of number,
/// birth date, expiry and the whole, weights 7-3-1. The first line (`P`, a kind, the state, the name) has no check.
#[must_use]
pub fn is_passport_line(value: &[u8]) -> bool {
    let is_mrz = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'<';
    if value.len() != 44 || !value.iter().all(is_mrz) {
        return false;
    }
    if value.starts_with(b"P")
        && value.windows(2).any(|w| w == b"<<")
        && !value.iter().any(u8::is_ascii_digit)
    {
        return true;
    }
    [(0, 9), (13, 19), (21, 27)].iter().all(|(from, to)| {
        value.get(*from..*to).map(mrz_digit) == value.get(*to).map(|b| u32::from(b.wrapping_sub(b'0')))
    })
}

/// The check digit of a field: digits count as themselves, A to Z as 10 to 35, the filler as 0.
fn mrz_digit(field: &[u8]) -> u32 {
    let rank = |b: &u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A'..=b'Z' => u32::from(b - b'A') + 10,
        _ => 0,
    };
    field.iter().zip([7, 3, 1].into_iter().cycle()).map(|(b, w)| rank(b) * w).sum::<u32>() % 10
}

/// Driving licences that North American states print with hyphens or spaces: a letter, then groups of digits, eleven to
/// fourteen in all (AAMVA, *D20 data dictionary*, formats by jurisdiction), as in `S1234-56789-01234` (Ontario, New
/// Jersey), `A123-456-78-901-0` (Florida), `A123-4567-8901` (Illinois).
#[must_use]
pub fn is_hyphenated_licence(value: &[u8]) -> bool {
    let mut groups = value.split(|b| matches!(b, b'-' | b' '));
    let Some([letter, head @ ..]) = groups.next() else { return false };
    let is_digits = |g: &[u8]| g.iter().all(u8::is_ascii_digit);
    let (mut digits, mut count) = (head.len(), 1);
    let all = letter.is_ascii_uppercase() && (3..=4).contains(&head.len()) && is_digits(head);
    all && groups.all(|g| {
        digits += g.len();
        count += 1;
        (1..=5).contains(&g.len()) && is_digits(g)
    }) && (11..=14).contains(&digits)
        && count >= 3
}

/// The driver number of Great Britain (DVLA, INF1P): five letters of the name, filled with 9, the birth date with the
/// decade first and women's months raised by 50, two initials, a 9 or digit, two check characters. Compact.
#[must_use]
pub fn is_british_driver(value: &[u8]) -> bool {
    let Ok(v) = <&[u8; 16]>::try_from(value) else { return false };
    let Some(d) = super::checksum::digits::<6>(&v[5..11]) else { return false };
    let letters = v[..5].iter().take_while(|b| b.is_ascii_uppercase()).count();
    let month = (d[1] % 5) * 10 + d[2];
    letters >= 1
        && v.get(letters..5).is_some_and(|fill| fill.iter().all(|b| *b == b'9'))
        && super::checksum::is_month_day(month, d[3] * 10 + d[4])
        && v[11].is_ascii_uppercase()
        && (v[12].is_ascii_uppercase() || v[12] == b'9')
        && v[13].is_ascii_digit()
        && v[14..].iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specimens_pass() {
        assert!(is_passport_line(b"L898902C36UTO7408122F1204159ZE184226B<<<<<10")); // ICAO 9303-4, specimen
        assert!(is_passport_line(b"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"));
        assert!(!is_passport_line(b"L898902C46UTO7408122F1204159ZE184226B<<<<<10"));
        assert!(is_hyphenated_licence(b"S1234-56789-01234") && is_hyphenated_licence(b"A123-456-78-901-0"));
        assert!(!is_hyphenated_licence(b"A123-4567") && !is_hyphenated_licence(b"AB12-34567-89012"));
        assert!(is_british_driver(b"MORGA657054SM9IJ")); // DVLA's specimen
        assert!(!is_british_driver(b"MORGA657954SM9IJ"));
    }
}
