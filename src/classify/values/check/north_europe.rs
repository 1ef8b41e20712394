//! National identity numbers of northern and eastern Europe.

use super::checksum::{digits, is_month_day, luhn, number, weighted};

/// Polish PESEL (Ministry of Digital Affairs): a date whose month carries the century, a serial, weights 1 3 7 9.
#[must_use]
pub fn is_pl_pesel(value: &[u8]) -> bool {
    let Some(d) = digits::<11>(value) else { return false };
    let month = (d[2] * 10 + d[3]) % 20;
    is_month_day(month, d[4] * 10 + d[5])
        && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Swedish personal number (Skatteverket): YYMMDD (day plus 60 for a coordination number), a serial, Luhn. A century
/// in front is left out of the check.
#[must_use]
pub fn is_se_personnummer(value: &[u8]) -> bool {
    let value = match value {
        [b'1', b'9', rest @ ..] | [b'2', b'0', rest @ ..] if rest.len() == 10 => rest,
        _ => value,
    };
    let Some(d) = digits::<10>(value) else { return false };
    let day = d[4] * 10 + d[5];
    is_month_day(d[2] * 10 + d[3], if day > 60 { day - 60 } else { day }) && luhn(value)
}

/// Danish CPR number: DDMMYY and four digits. Modulus 11 has not been kept since 2007, so the date is all there is.
#[must_use]
pub fn is_dk_cpr(value: &[u8]) -> bool {
    let Some(d) = digits::<10>(value) else { return false };
    is_month_day(d[2] * 10 + d[3], d[0] * 10 + d[1])
}

/// Norwegian birth number (Skatteetaten): DDMMYY (day plus 40 for a D-number), two check digits of modulus 11.
#[must_use]
pub fn is_no_fodselsnummer(value: &[u8]) -> bool {
    let Some(d) = digits::<11>(value) else { return false };
    let day = d[0] * 10 + d[1];
    let day = if day > 40 { day - 40 } else { day };
    is_month_day(d[2] * 10 + d[3], day)
        && weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Finnish personal code (DVV): DDMMYY, a century sign, three digits, a check character of modulus 31. As written.
#[must_use]
pub fn is_fi_hetu(value: &[u8]) -> bool {
    const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let Ok(hetu) = <&[u8; 11]>::try_from(value) else { return false };
    let (date, serial) = (&hetu[..6], &hetu[7..10]);
    matches!(hetu[6], b'+' | b'-' | b'A'..=b'F' | b'U'..=b'Y')
        && date.iter().chain(serial).all(u8::is_ascii_digit)
        && is_month_day(number(&date[2..4]), number(&date[..2]))
        && CHECKS.get(((number(date) * 1000 + number(serial)) % 31) as usize) == Some(&hetu[10])
}

/// Czech and Slovak birth number: YYMMDD (month plus 50 for women, plus 20 when serials ran out), divisible by 11.
#[must_use]
pub fn is_cz_rodne_cislo(value: &[u8]) -> bool {
    let Some(d) = digits::<10>(value) else { return false };
    let month = (d[2] * 10 + d[3]) % 50;
    let month = if month > 20 { month - 20 } else { month };
    let rest = (number(&value[..5]) % 11 * 100_000 + number(&value[5..])) % 11;
    is_month_day(month, d[4] * 10 + d[5]) && rest == 0
}

/// Turkish identity number: eleven digits, two check digits.
#[must_use]
pub fn is_tr_kimlik(value: &[u8]) -> bool {
    let Some(d) = digits::<11>(value) else { return false };
    let odd = d[0] + d[2] + d[4] + d[6] + d[8];
    let even = d[1] + d[3] + d[5] + d[7];
    d[0] != 0 && (odd * 7 + 90 - even) % 10 == d[9] && (odd + even + d[9]) % 10 == d[10]
}

/// Bulgarian citizen number (EGN): YYMMDD (month plus 20 or 40 by century), weights 2 4 8 5 10 9 7 3 6, modulus 11.
#[must_use]
pub fn is_bg_egn(value: &[u8]) -> bool {
    let Some(d) = digits::<10>(value) else { return false };
    is_month_day((d[2] * 10 + d[3]) % 20, d[4] * 10 + d[5])
        && weighted(&d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == d[9]
}

/// Romanian personal code (CNP): thirteen digits, a date, a county, weights 279146358279, modulus 11.
#[must_use]
pub fn is_ro_cnp(value: &[u8]) -> bool {
    let Some(d) = digits::<13>(value) else { return false };
    let rest = weighted(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    d[0] != 0
        && is_month_day(d[3] * 10 + d[4], d[5] * 10 + d[6])
        && d[12] == if rest == 10 { 1 } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_pass() {
        assert!(is_pl_pesel(b"44051401359") && !is_pl_pesel(b"44051401358")); // the usual worked example
        assert!(is_se_personnummer(b"8112189876") && is_se_personnummer(b"198112189876")); // Skatteverket
        assert!(!is_se_personnummer(b"8113189876"));
        assert!(is_dk_cpr(b"0707614285") && !is_dk_cpr(b"0713614285"));
        assert!(is_no_fodselsnummer(b"15076500565") && !is_no_fodselsnummer(b"15076500566"));
        assert!(is_fi_hetu(b"131052-308T") && !is_fi_hetu(b"131052-308U")); // DVV
        assert!(is_cz_rodne_cislo(b"7103192745") && !is_cz_rodne_cislo(b"7103192746"));
        assert!(is_tr_kimlik(b"10000000146") && !is_tr_kimlik(b"10000000147"));
        assert!(is_bg_egn(b"7523169263") && is_ro_cnp(b"1630615123457"));
    }
}
