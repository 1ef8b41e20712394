//! National identity and tax numbers of Asia, Australia and Africa.

use super::checksum::{digits, is_month_day, luhn, verhoeff, weighted};
use super::united_states::is_one_digit;

/// Indian Aadhaar number (UIDAI): twelve digits, the first 2–9, Verhoeff.
#[must_use]
pub fn is_in_aadhaar(value: &[u8]) -> bool {
    value.len() == 12 && matches!(value.first(), Some(b'2'..=b'9')) && verhoeff(value)
}

/// Indian PAN (Income Tax Department): five letters, the fourth the kind of holder, four digits, a letter.
#[must_use]
pub fn is_in_pan(value: &[u8]) -> bool {
    let Ok(pan) = <&[u8; 10]>::try_from(value) else { return false };
    pan[..5].iter().all(u8::is_ascii_uppercase)
        && b"ABCFGHLJPT".contains(&pan[3])
        && pan[5..9].iter().all(u8::is_ascii_digit)
        && pan[9].is_ascii_uppercase()
}

/// Australian tax file number (ATO): nine digits, weights 1 4 3 7 5 8 6 9 10, divisible by 11.
#[must_use]
pub fn is_au_tfn(value: &[u8]) -> bool {
    let Some(d) = digits::<9>(value) else { return false };
    let sum = weighted(&d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]);
    sum > 0 && sum.is_multiple_of(11)
}

/// Australian Medicare number: ten digits (eleven with the person's), the first 2–6, weights 1 3 7 9, modulus 10 in the
/// ninth place.
#[must_use]
pub fn is_au_medicare(value: &[u8]) -> bool {
    if !matches!(value.len(), 10 | 11) || !matches!(value.first(), Some(b'2'..=b'6')) {
        return false;
    }
    value
        .get(..10)
        .and_then(digits::<10>)
        .is_some_and(|d| d[9] != 0 && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == d[8])
}

/// Singapore NRIC or FIN (ICA): S, T, F, G or M, seven digits, a check letter of modulus 11.
#[must_use]
pub fn is_sg_nric(value: &[u8]) -> bool {
    let Ok(nric) = <&[u8; 9]>::try_from(value) else { return false };
    let Some(d) = digits::<7>(&nric[1..8]) else { return false };
    let (offset, letters): (u32, &[u8; 11]) = match nric[0] {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    let sum = weighted(&d, &[2, 7, 6, 5, 4, 3, 2]) + offset;
    letters.get((sum % 11) as usize) == Some(&nric[8])
}

/// South African identity number: YYMMDD, serial, citizenship 0–2, Luhn.
#[must_use]
pub fn is_za_id(value: &[u8]) -> bool {
    let Some(d) = digits::<13>(value) else { return false };
    is_month_day(d[2] * 10 + d[3], d[4] * 10 + d[5]) && d[10] <= 2 && luhn(value)
}

/// Chinese resident number (GB 11643): region, birth date, serial, ISO 7064 MOD 11-2.
#[must_use]
pub fn is_cn_resident(value: &[u8]) -> bool {
    let Some((check, body)) = value.split_last() else { return false };
    let Some(d) = digits::<17>(body) else { return false };
    let sum = weighted(&d, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    matches!(d[0], 1..=8)
        && matches!((d[6], d[7]), (1, 8 | 9) | (2, 0))
        && is_month_day(d[10] * 10 + d[11], d[12] * 10 + d[13])
        && b"10X98765432".get((sum % 11) as usize) == Some(check)
}

/// Korean resident number: YYMMDD, a digit of sex and century, weights 2 to 9, modulus 11 (not kept since 2020).
#[must_use]
pub fn is_kr_rrn(value: &[u8]) -> bool {
    let Some(d) = digits::<13>(value) else { return false };
    let sum = weighted(&d, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    is_month_day(d[2] * 10 + d[3], d[4] * 10 + d[5]) && d[6] <= 8 && (11 - sum % 11) % 10 == d[12]
}

/// Japanese My Number (ministerial order 85 of 2014): twelve digits, modulus 11.
#[must_use]
pub fn is_jp_my_number(value: &[u8]) -> bool {
    let Some(d) = digits::<12>(value) else { return false };
    let rest = weighted(&d, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    !is_one_digit(value) && d[11] == if rest <= 1 { 0 } else { 11 - rest }
}

/// Israeli identity number: nine digits with Luhn.
#[must_use]
pub fn is_il_id(value: &[u8]) -> bool {
    value.len() == 9 && !is_one_digit(value) && luhn(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_pass() {
        assert!(is_in_aadhaar(b"999941057058") && !is_in_aadhaar(b"999941057059")); // UIDAI's test data
        assert!(is_in_pan(b"AFZPK7190K") && !is_in_pan(b"AFZXK7190K"));
        assert!(is_au_tfn(b"123456782") && !is_au_tfn(b"123456789")); // ATO's example
        assert!(is_au_medicare(b"2123456701") && !is_au_medicare(b"2123456711"));
        assert!(is_sg_nric(b"S1234567D") && is_sg_nric(b"T1234567J") && is_sg_nric(b"F1234567N"));
        assert!(is_sg_nric(b"G1234567X") && !is_sg_nric(b"S1234567A"));
        assert!(is_za_id(b"8001015009087") && !is_za_id(b"8001015009088"));
        assert!(is_cn_resident(b"11010519491231002X") && !is_cn_resident(b"110105194912310021")); // GB 11643
        assert!(is_il_id(b"123456782"));
        assert!(is_jp_my_number(b"123456789018"));
    }
}
