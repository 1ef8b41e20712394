//! National identity and tax numbers of western and southern Europe.

use super::checksum::{digits, is_month_day, luhn, mod11_10, mod97, number, weighted};

/// UK National Insurance number (HMRC, NIM39110): two letters, six digits, a suffix of A–D.
#[must_use]
pub fn is_uk_nino(value: &[u8]) -> bool {
    let [a, b, middle @ .., suffix] = value else { return false };
    middle.len() == 6
        && middle.iter().all(u8::is_ascii_digit)
        && matches!(suffix, b'A'..=b'D')
        && a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && !b"DFIQUV".contains(a)
        && !b"DFIQUVO".contains(b)
        && !matches!(&[*a, *b], b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ")
}

/// UK NHS number (NHS Data Dictionary): ten digits, weights 10 to 2, modulus 11.
#[must_use]
pub fn is_uk_nhs(value: &[u8]) -> bool {
    let Some(d) = digits::<10>(value) else { return false };
    let sum = weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    sum > 0 && (11 - sum % 11) % 11 == d[9]
}

/// German tax number of a person (§ 139b AO; Federal Central Tax Office): eleven digits, not beginning with 0; among the
/// first ten one digit comes two or three times and no other twice; ISO 7064 MOD 11,10.
#[must_use]
pub fn is_de_steuer_id(value: &[u8]) -> bool {
    let Some(d) = digits::<11>(value) else { return false };
    let mut counts = [0u8; 10];
    for digit in d.iter().take(10) {
        if let Some(count) = counts.get_mut(*digit as usize) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|c| **c > 1).count();
    d[0] != 0 && repeated == 1 && counts.iter().all(|c| *c <= 3) && mod11_10(value)
}

/// French social security number (INSEE): 13 characters (2A and 2B for Corsica) and a key, 97 minus the rest by 97.
#[must_use]
pub fn is_fr_nir(value: &[u8]) -> bool {
    let Ok(nir) = <&[u8; 15]>::try_from(value) else { return false };
    if !matches!(nir[0], b'1'..=b'4' | b'7' | b'8')
        || !matches!(number(&nir[3..5]), 1..=12 | 20..=42 | 50..=99)
    {
        return false;
    }
    let mut body: [u8; 13] = [0; 13];
    body.copy_from_slice(&nir[..13]);
    match &nir[5..7] {
        b"2A" => body[5..7].copy_from_slice(b"19"),
        b"2B" => body[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let is_numeric = body.iter().chain(&nir[13..]).all(u8::is_ascii_digit);
    is_numeric && mod97(&body).is_some_and(|rest| 97 - rest == number(&nir[13..]))
}

/// Spanish DNI or NIE (Ministry of the Interior): eight digits, or X, Y or Z and seven, then a letter of modulus 23.
#[must_use]
pub fn is_es_dni(value: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let Ok(dni) = <&[u8; 9]>::try_from(value) else { return false };
    let lead = match dni[0] {
        b'X' => b'0',
        b'Y' => b'1',
        b'Z' => b'2',
        digit => digit,
    };
    lead.is_ascii_digit()
        && dni[1..8].iter().all(u8::is_ascii_digit)
        && LETTERS.get(((u32::from(lead - b'0') * 10_000_000 + number(&dni[1..8])) % 23) as usize)
            == Some(&dni[8])
}

/// Italian codice fiscale (ministerial decree of 23 December 1976): 16 characters, the last a check letter; digits may be
/// replaced by letters where two people would share a code.
#[must_use]
pub fn is_it_codice_fiscale(value: &[u8]) -> bool {
    /// Values of 0–9 (and of A–J) in odd places, then of K–Z.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let Ok(code) = <&[u8; 16]>::try_from(value) else { return false };
    if !has_codice_form(code) {
        return false;
    }
    let mut sum = 0;
    for (at, byte) in code[..15].iter().enumerate() {
        let rank = u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') });
        sum += if at % 2 == 0 { ODD.get(rank as usize).copied().unwrap_or(0) } else { rank };
    }
    u32::from(code[15] - b'A') == sum % 26
}

/// The form of a codice fiscale: letters, year, month letter, day, municipality, check letter.
#[must_use]
pub fn has_codice_form(code: &[u8; 16]) -> bool {
    code.iter().zip(b"aaaaaannmnnannna").all(|(byte, place)| match place {
        b'a' => byte.is_ascii_uppercase(),
        b'm' => b"ABCDEHLMPRST".contains(byte),
        _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(byte),
    })
}

/// Dutch citizen number (BSN, RvIG): nine digits, weights 9 to 2 and −1, divisible by 11.
#[must_use]
pub fn is_nl_bsn(value: &[u8]) -> bool {
    let Some(d) = digits::<9>(value) else { return false };
    let sum = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum > 0 && sum % 11 == d[8] % 11
}

/// Swiss social insurance number (ZAS): 756 and ten digits, the last an EAN-13 check digit.
#[must_use]
pub fn is_ch_ahv(value: &[u8]) -> bool {
    let Some(d) = digits::<13>(value) else { return false };
    value.starts_with(b"756") && weighted(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Austrian social insurance number: ten digits, weights 3 7 9 _ 5 8 4 2 1 6 modulus 11 in place four, then DDMMYY.
#[must_use]
pub fn is_at_svnr(value: &[u8]) -> bool {
    let Some(d) = digits::<10>(value) else { return false };
    let sum = weighted(&d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
    // Months above 12 mark a number given out when the birthday's serials ran out.
    let month = d[6] * 10 + d[7];
    let has_month = (1..=15).contains(&month) && is_month_day((month + 11) % 12 + 1, d[4] * 10 + d[5]);
    d[0] != 0 && sum % 11 == d[3] && has_month
}

/// Belgian national number: YYMMDD, a serial, 97 minus the rest by 97 (a 2 put before for births from 2000).
#[must_use]
pub fn is_be_rrn(value: &[u8]) -> bool {
    let (Some(body), Some(key)) = (value.get(..9), value.get(9..)) else { return false };
    let Some(d) = digits::<11>(value) else { return false };
    let before = number(body) % 97;
    let after = (2_000_000_000 + number(body)) % 97;
    is_month_day(d[2] * 10 + d[3], d[4] * 10 + d[5])
        && (97 - before == number(key) || 97 - after == number(key))
}

/// Portuguese tax number (NIF): nine digits, weights 9 to 2, modulus 11; 1, 2, 3 and 45 for people.
#[must_use]
pub fn is_pt_nif(value: &[u8]) -> bool {
    let Some(d) = digits::<9>(value) else { return false };
    let rest = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    matches!((d[0], d[1]), (1..=3, _) | (4, 5)) && d[8] == if rest < 2 { 0 } else { 11 - rest }
}

/// Irish PPS number: seven digits, a check letter of modulus 23, optionally a further letter of weight 9.
#[must_use]
pub fn is_ie_pps(value: &[u8]) -> bool {
    let (Some(d), Some(check)) = (value.get(..7).and_then(digits::<7>), value.get(7)) else { return false };
    let extra = match value.get(8..) {
        Some([]) => 0,
        Some([b @ b'A'..=b'I']) => u32::from(b - b'A') + 1,
        Some([b'W']) => 0,
        _ => return false,
    };
    let sum = weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) + extra * 9;
    check.is_ascii_uppercase() && (u32::from(check - b'A') + 1) % 23 == sum % 23 && *check <= b'W'
}

/// Greek tax number (AFM): nine digits, powers of two, modulus 11.
#[must_use]
pub fn is_gr_afm(value: &[u8]) -> bool {
    let Some(d) = digits::<9>(value) else { return false };
    let sum = weighted(&d, &[256, 128, 64, 32, 16, 8, 4, 2]);
    sum > 0 && sum % 11 % 10 == d[8]
}

/// French business number of a sole trader (SIREN): nine digits with Luhn.
#[must_use]
pub fn is_fr_siren(value: &[u8]) -> bool {
    value.len() == 9 && luhn(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_pass() {
        assert!(is_uk_nino(b"AA123456A") && is_uk_nino(b"JG103759A")); // HMRC's guidance
        assert!(!is_uk_nino(b"DA123456A") && !is_uk_nino(b"GB123456A") && !is_uk_nino(b"AA123456E"));
        assert!(is_uk_nhs(b"9434765919") && !is_uk_nhs(b"9434765918")); // NHS Data Dictionary
        assert!(is_de_steuer_id(b"86095742719")); // Federal Central Tax Office
        assert!(is_de_steuer_id(b"65929970489") && !is_de_steuer_id(b"12345678903"));
        assert!(is_fr_nir(b"255081416802538") && !is_fr_nir(b"255081416802539")); // INSEE's worked example
        assert!(is_es_dni(b"12345678Z") && is_es_dni(b"X1234567L") && !is_es_dni(b"12345678A"));
        assert!(is_it_codice_fiscale(b"RSSMRA85T10A562S")); // Agenzia delle Entrate
        assert!(!is_it_codice_fiscale(b"RSSMRA85T10A562T"));
        assert!(is_nl_bsn(b"111222333") && is_nl_bsn(b"123456782") && !is_nl_bsn(b"123456789"));
        assert!(is_ch_ahv(b"7569217076985") && !is_ch_ahv(b"7569217076984")); // ZAS
        assert!(is_at_svnr(b"1237010180")); // Austrian social insurance, example card
        assert!(is_be_rrn(b"85073003328") && !is_be_rrn(b"85073003329"));
        assert!(is_pt_nif(b"123456789") && !is_pt_nif(b"123456788"));
        assert!(is_ie_pps(b"1234567T") && is_ie_pps(b"1234567FA") && !is_ie_pps(b"1234567A"));
        assert!(is_gr_afm(b"094259216") && is_fr_siren(b"732829320"));
    }
}
