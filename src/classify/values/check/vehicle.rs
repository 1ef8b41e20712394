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
        assert!(!is_vin(b"1M8GDM9A1KP042788") && !is_vin(b"IM8GDM9AXKP042788"));
    }
}
