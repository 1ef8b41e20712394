//! National identity and tax numbers of the Americas outside the United States.

use super::checksum::{digits, luhn, weighted};
use super::united_states::is_one_digit;

/// Canadian social insurance number: nine digits, Luhn, not beginning with 0 or 8 (ESDC).
#[must_use]
pub fn is_ca_sin(value: &[u8]) -> bool {
    value.len() == 9 && !matches!(value.first(), Some(b'0' | b'8')) && luhn(value)
}

/// Brazilian CPF (Receita Federal): eleven digits, the last two of modulus 11.
#[must_use]
pub fn is_br_cpf(value: &[u8]) -> bool {
    let Some(d) = digits::<11>(value) else { return false };
    let first = weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
    let second = weighted(&d, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
    !is_one_digit(value) && first == d[9] && second == d[10]
}

/// Mexican CURP (RENAPO): four letters, a date, sex, state, three consonants, homonym sign, check digit.
#[must_use]
pub fn is_mx_curp(value: &[u8]) -> bool {
    let has_form = value.len() == 18
        && value.iter().zip(b"aaaannnnnnsaaaaaxn").all(|(byte, place)| match place {
            b'a' => byte.is_ascii_uppercase(),
            b's' => matches!(byte, b'H' | b'M' | b'X'),
            b'n' => byte.is_ascii_digit(),
            _ => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        });
    let sum: u32 = value.iter().take(17).zip((2..=18u32).rev()).map(|(b, w)| w * curp_rank(*b)).sum();
    has_form && value.last().is_some_and(|b| u32::from(b - b'0') == (10 - sum % 10) % 10)
}

/// Letters count from 10 with Ñ between N and O.
fn curp_rank(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'N' => u32::from(byte - b'A') + 10,
        _ => u32::from(byte.wrapping_sub(b'A')) + 11,
    }
}

/// Chilean RUN: seven or eight digits and a check character of modulus 11, weights 2 to 7 from the right.
#[must_use]
pub fn is_cl_run(value: &[u8]) -> bool {
    let Some((check, body)) = value.split_last() else { return false };
    if !(7..=8).contains(&body.len()) || !body.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = body.iter().rev().zip((2..=7u32).cycle()).map(|(b, w)| u32::from(b - b'0') * w).sum();
    match 11 - sum % 11 {
        11 => *check == b'0',
        10 => *check == b'K',
        rest => u32::from(check.wrapping_sub(b'0')) == rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_pass() {
        assert!(is_ca_sin(b"130692544") && !is_ca_sin(b"130692545") && !is_ca_sin(b"046454286")); // 0… is fictitious
        assert!(is_br_cpf(b"52998224725") && is_br_cpf(b"11144477735") && !is_br_cpf(b"11111111111"));
        assert!(is_mx_curp(b"BOXW310820HNERXN09") && !is_mx_curp(b"BOXW310820HNERXN08"));
        assert!(is_cl_run(b"123456785") && !is_cl_run(b"123456784"));
    }
}
