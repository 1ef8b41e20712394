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
        && (*letter != b'U' || *digit == b'0') // U is for provisional use, in use from U04 to U10
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
    has_head && has_tail && is_icd10_category(*letter, *digit, *third)
}

/// Categories that ICD-10 and ICD-10-CM leave unused, by chapter letter as ranges of two digits each (WHO, tabular list;
/// CDC, tabular list). Save for injuries and external causes every letter has such gaps.
const UNUSED: [(u8, &str); 19] = [
    (b'A', "1014 2929 4545 4747 6162 7273"),
    (b'B', "1114 2829 3132 6263 9393"),
    (b'C', "2729 3536 4242 5959 8787 8989 9899"),
    (b'D', "0808 5454 7979 8788 9199"),
    (b'E', "1719 3739 4749 6262 6969 8182 9199"),
    (b'F', "0808 2627 3537 4647 4949 5658 7477 8587 9697"),
    (b'G', "1519 2729 3334 3839 4849 6669 7479 8488"),
    (b'H', "0709 1212 1414 2324 2929 3739 4141 5657 6364 7679 8489 9699"),
    (b'I', "0304 1414 1719 2929 5359 9094"),
    (b'J', "0708 1919 2329 4849 5059 7179 8789 9798"),
    (b'K', "1519 2424 3234 3939 4749 5354 6969 7879 8889 9699"),
    (b'L', "0909 1519 3139 4648 6161 6969 9696"),
    (b'M', "3739 4444 5559 6464 9798"),
    (b'N', "0909 2424 3838 5459 6669 7879"),
    (b'O', "1719 2727 3739 4959 7879 9393"),
    (b'P', "3034 4049 6269 7273 7577 8589 9799"),
    (b'Q', "0809 1919 2929 4649 5759 9494"),
    (b'R', "0808 2424 2828 3738 7577 8888"),
    (b'T', "8989 9899"),
];

/// Whether a category is in use; letters in the third place (`C4A`) are.
fn is_icd10_category(letter: u8, tens: u8, ones: u8) -> bool {
    if !ones.is_ascii_digit() {
        return true;
    }
    let Some((_, ranges)) = UNUSED.iter().find(|(chapter, _)| *chapter == letter) else { return true };
    let category = [tens, ones];
    !ranges.split(' ').any(|range| {
        range
            .as_bytes()
            .split_at_checked(2)
            .is_some_and(|(from, to)| from <= &category[..] && &category[..] <= to)
    })
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
    const PREFIXES: [&[u8]; 5] = [b"MRN", b"MR", b"EMR", b"EHR", b"PAT"];
    let tail = PREFIXES
        .iter()
        .find_map(|p| compact.strip_prefix(*p).filter(|t| t.first().is_some_and(u8::is_ascii_digit)));
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
