//! Identifiers of health care.

use super::checksum::luhn_sum;

/// A National Provider Identifier (45 CFR 162.406): ten digits beginning with 1 or 2, Luhn with the prefix 80840.
#[must_use]
pub fn is_npi(value: &[u8]) -> bool {
    // 24 is what the prefix 80840 adds to the Luhn sum of ten digits.
    value.len() == 10
        && matches!(value.first(), Some(b'1' | b'2'))
        && luhn_sum(value).is_some_and(|sum| (sum + 24) % 10 == 0)
}

/// A Medicare Beneficiary Identifier (CMS, *Understanding the MBI format*): eleven characters, each place with its own
/// alphabet; letters without S, L, O, I, B and Z.
#[must_use]
pub fn is_mbi(value: &[u8]) -> bool {
    // c = 1–9, a = letter, n = digit, x = letter or digit.
    value.len() == 11
        && value.iter().zip(b"caxnaxnaann").all(|(byte, place)| {
            let is_letter = byte.is_ascii_uppercase() && !b"SLOIBZ".contains(byte);
            match place {
                b'c' => matches!(byte, b'1'..=b'9'),
                b'a' => is_letter,
                b'n' => byte.is_ascii_digit(),
                _ => is_letter || byte.is_ascii_digit(),
            }
        })
}

/// The form of an ICD-10 or ICD-10-CM code: letter, digit, digit or letter, and after a point one to four more
/// characters (WHO; CDC's tabular list). Takes the value as written.
#[must_use]
pub fn is_icd10(value: &[u8]) -> bool {
    let [letter, digit, third, rest @ ..] = value else { return false };
    let has_head = letter.is_ascii_uppercase()
        && *letter != b'U' // U is for provisional use, save for U07–U09
        && digit.is_ascii_digit()
        && (third.is_ascii_digit() || matches!(third, b'A' | b'B'));
    let has_tail = match rest {
        [] => true,
        [b'.', code @ ..] => {
            (1..=4).contains(&code.len())
                && code.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
                && code.iter().take(1).all(|b| b.is_ascii_digit() || matches!(b, b'A' | b'X'))
        }
        _ => false,
    };
    has_head && has_tail
}

/// The form of an ICD-10-CM code without its point, as claims carry it (X12 837): four to seven characters.
#[must_use]
pub fn is_undotted_icd10(compact: &[u8]) -> bool {
    let mut dotted = [b'.'; 8];
    let length = compact.len();
    let (Some((head, tail)), true) = (compact.split_at_checked(3), (4..=7).contains(&length)) else {
        return false;
    };
    for (to, from) in dotted.iter_mut().zip(head.iter().chain(b".").chain(tail)) {
        *to = *from;
    }
    dotted.get(..=length).is_some_and(is_icd10)
}

/// A medical record number that says so: `MRN` or `MR`, an optional separator, four to twelve digits.
#[must_use]
pub fn is_medical_record(compact: &[u8]) -> bool {
    let tail = compact.strip_prefix(b"MRN").or_else(|| compact.strip_prefix(b"MR"));
    tail.is_some_and(|digits| (4..=12).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_identifiers_pass() {
        assert!(is_npi(b"1234567893")); // CMS, NPI check digit example
        assert!(!is_npi(b"1234567890") && !is_npi(b"3234567899"));
        assert!(is_mbi(b"1EG4TE5MK73")); // CMS, sample card
        assert!(!is_mbi(b"1SG4TE5MK73") && !is_mbi(b"0EG4TE5MK73"));
        assert!(is_icd10(b"E11.9") && is_icd10(b"S72.001A") && is_icd10(b"I10") && is_icd10(b"C4A.0"));
        assert!(!is_icd10(b"E1.19") && !is_icd10(b"AB1.0") && !is_icd10(b"E11."));
        assert!(
            is_undotted_icd10(b"E119") && is_undotted_icd10(b"S72001A") && !is_undotted_icd10(b"E1119999")
        );
        assert!(is_medical_record(b"MRN0012345") && !is_medical_record(b"MRI2"));
    }
}
