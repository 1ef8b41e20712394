//! Vehicle identification numbers.

/// A VIN (ISO 3779; check digit by 49 CFR 565.15): 17 characters without I, O and Q, position 9 checks the rest.
#[must_use]
pub fn is_vin(value: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let Ok(vin) = <&[u8; 17]>::try_from(value) else { return false };
    let mut sum = 0;
    for (byte, weight) in vin.iter().zip(WEIGHTS) {
        let Some(rank) = transliterated(*byte) else { return false };
        sum += rank * weight;
    }
    let check = match vin[8] {
        b'X' => 10,
        digit if digit.is_ascii_digit() => u32::from(digit - b'0'),
        _ => return false,
    };
    sum % 11 == check
}

/// First letters of the numbers of makers outside North America, where position 9 checks nothing (ISO 3780; SAE's
/// list): Germany, France, Spain, Italy, the United Kingdom, Czechia, Sweden, Romania, Turkey, Japan, Korea, China, India.
const MAKERS: [&[u8]; 61] = [
    b"WVW", b"WV1", b"WV2", b"WAU", b"WUA", b"WDB", b"WDC", b"WDD", b"WDF", b"W1K", b"W1N", b"WBA", b"WBS",
    b"WBY", b"WP0", b"WP1", b"W0L", b"W0V", b"WF0", b"WME", b"WMW", b"WMA", b"VF1", b"VF3", b"VF6", b"VF7",
    b"VF8", b"VR1", b"VR3", b"VR7", b"VSS", b"VSK", b"VWV", b"VNK", b"ZFA", b"ZAR", b"ZFF", b"ZHW", b"ZLA",
    b"ZCF", b"SAL", b"SAJ", b"SCC", b"SCF", b"SJN", b"SHH", b"SB1", b"TMB", b"TMA", b"TRU", b"YV1", b"YS2",
    b"YS3", b"UU1", b"NM0", b"NMT", b"JTD", b"JMZ", b"KMH", b"KNA", b"LVS",
];

/// A VIN of a maker outside North America: its form, the maker's code, and a serial of four digits at the end.
#[must_use]
pub fn is_foreign_vin(value: &[u8]) -> bool {
    has_vin_form(value)
        && value.get(..3).is_some_and(|maker| MAKERS.contains(&maker))
        && value.get(13..).is_some_and(|serial| serial.iter().all(u8::is_ascii_digit))
}

/// Whether a value has a VIN's form, whatever its check digit (outside North America none is required).
#[must_use]
pub fn has_vin_form(value: &[u8]) -> bool {
    value.len() == 17 && value.iter().all(|b| transliterated(*b).is_some())
}

fn transliterated(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'H' => Some(u32::from(byte - b'A') + 1),
        b'J'..=b'N' => Some(u32::from(byte - b'J') + 1),
        b'P' => Some(7),
        b'R' => Some(9),
        b'S'..=b'Z' => Some(u32::from(byte - b'S') + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples_pass() {
        assert!(is_vin(b"1M8GDM9AXKP042788")); // the usual worked example of the check digit
        assert!(is_vin(b"11111111111111111"));
        assert!(is_foreign_vin(b"WVWZZZ1KZ6W000123") && !is_foreign_vin(b"QQQZZZ1KZ6W000123"));
        assert!(!is_vin(b"1M8GDM9A1KP042788") && !is_vin(b"IM8GDM9AXKP042788"));
    }
}
