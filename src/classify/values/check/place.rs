//! Countries, postal codes and coordinates.

use super::checksum::number;

/// ISO 3166-1 alpha-2 codes, and XK (Kosovo, user-assigned, in use by SWIFT).
const COUNTRIES: &[u8] = b"ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZ\
DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZ\
LALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURW\
SASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

/// For each first letter, a bit for each second letter in use.
const COUNTRY_BITS: [u32; 26] = {
    let mut bits = [0u32; 26];
    let mut at = 0;
    while at + 1 < COUNTRIES.len() {
        bits[(COUNTRIES[at] - b'A') as usize] |= 1 << (COUNTRIES[at + 1] - b'A');
        at += 2;
    }
    bits
};

/// Whether two upper-case letters are an ISO 3166-1 alpha-2 code.
#[must_use]
pub fn is_country_code(value: &[u8]) -> bool {
    let [first, second] = value else { return false };
    second.is_ascii_uppercase()
        && COUNTRY_BITS
            .get(usize::from(first.wrapping_sub(b'A')))
            .is_some_and(|bits| bits & (1 << (second - b'A')) != 0)
}

/// A UK postcode (Royal Mail, BS 7666): area, district, a digit and two letters without C, I, K, M, O and V. Compact.
#[must_use]
pub fn is_uk_postcode(value: &[u8]) -> bool {
    let Some((outward, inward)) = value.len().checked_sub(3).and_then(|at| value.split_at_checked(at)) else {
        return false;
    };
    let letters = outward.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let district = outward.get(letters..).unwrap_or(&[]);
    let has_district = match district {
        [d] => d.is_ascii_digit(),
        [d, e] => d.is_ascii_digit() && e.is_ascii_alphanumeric(),
        _ => false,
    };
    (1..=2).contains(&letters)
        && !outward.first().is_some_and(|b| b"QVX".contains(b))
        && has_district
        && matches!(inward, [d, a, b] if d.is_ascii_digit() && is_inward(*a) && is_inward(*b))
}

fn is_inward(byte: u8) -> bool {
    byte.is_ascii_uppercase() && !b"CIKMOV".contains(&byte)
}

/// A Canadian postal code (Canada Post): letter digit letter, digit letter digit, without D, F, I, O, Q and U. Compact.
#[must_use]
pub fn is_ca_postal(value: &[u8]) -> bool {
    value.len() == 6
        && value.iter().enumerate().all(|(at, byte)| {
            if at % 2 == 0 {
                byte.is_ascii_uppercase() && !b"DFIOQU".contains(byte)
            } else {
                byte.is_ascii_digit()
            }
        })
        && !matches!(value.first(), Some(b'W' | b'Z'))
}

/// A Dutch postcode (PostNL): four digits not beginning with 0 and two letters, not SA, SD or SS. Compact.
#[must_use]
pub fn is_nl_postcode(value: &[u8]) -> bool {
    let [a, b, c, d, letters @ ..] = value else { return false };
    (b'1'..=b'9').contains(a)
        && [b, c, d].into_iter().all(u8::is_ascii_digit)
        && letters.len() == 2
        && letters.iter().all(u8::is_ascii_uppercase)
        && !matches!(letters, b"SA" | b"SD" | b"SS")
}

/// Digits with one separator as postal services write them: `NN-NNN` (PL), `NNNN-NNN` (PT), `NNNNN-NNN` (BR),
/// `NNN-NNNN` (JP), `NNN NN` (SE, CZ, SK, GR), `NNNNN-NNNN` (US ZIP+4). As written.
#[must_use]
pub fn is_separated_postal(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|b| matches!(b, b'-' | b' ')) else { return false };
    let (Some(head), Some(tail)) = (value.get(..at), value.get(at + 1..)) else { return false };
    let is_dash = value.get(at) == Some(&b'-');
    head.iter().chain(tail).all(u8::is_ascii_digit)
        && match (head.len(), tail.len(), is_dash) {
            (2 | 4 | 5, 3, true) | (3, 4, true) => true,
            (3, 2, false) => number(head) >= 100,
            (5, 4, true) => is_zip(head),
            _ => false,
        }
}

/// Whether five digits can be a US ZIP code (USPS: 00501 to 99950).
#[must_use]
pub fn is_zip(value: &[u8]) -> bool {
    value.len() == 5 && matches!(number(value), 501..=99_950)
}

/// Latitude and longitude in degrees, separated by a comma, semicolon or space, at least one with three decimals.
#[must_use]
pub fn is_coordinate_pair(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"(").and_then(|v| v.strip_suffix(b")")).unwrap_or(value);
    let mut parts = value.split(|b| matches!(b, b',' | b';' | b' ')).filter(|p| !p.is_empty());
    let (Some(a), Some(b), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    match (degrees(a), degrees(b)) {
        (Some((latitude, p)), Some((longitude, q))) => {
            latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && p >= 3 && q >= 3
        }
        _ => false,
    }
}

/// A single number of degrees within ±180 with at least four decimals (some 10 m). Measurements look alike.
#[must_use]
pub fn is_degrees(value: &[u8]) -> bool {
    degrees(value).is_some_and(|(degrees, decimals)| degrees.abs() <= 180.0 && decimals >= 4)
}

/// A decimal number and its decimals.
fn degrees(value: &[u8]) -> Option<(f64, usize)> {
    let point = value.iter().position(|b| *b == b'.')?;
    let has_form = value.len() <= 24
        && value
            .iter()
            .enumerate()
            .all(|(at, b)| b.is_ascii_digit() || *b == b'.' || (at == 0 && matches!(b, b'-' | b'+')));
    let number = has_form.then(|| str::from_utf8(value).ok()?.parse().ok()).flatten()?;
    Some((number, value.len() - point - 1))
}

/// Degrees, minutes and perhaps seconds with the sign of a side of the world, once or as a pair (ISO 6709 annex D):
/// `48°51'24.5"N`, `2°21′E`.
#[must_use]
pub fn is_sexagesimal(value: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(value) else { return false };
    let signs = text.matches('°').count();
    (1..=2).contains(&signs)
        && text.len() <= 60
        && text.chars().any(|c| c.is_ascii_digit())
        && text.chars().filter(|c| matches!(c, 'N' | 'S' | 'E' | 'W' | 'O')).count() == signs
        && text.chars().all(|c| c.is_ascii_digit() || "°'\"′″’”´ .,NSEWO-".contains(c))
}

/// A point in well-known text (OGC 06-103r4, `POINT (x y)`), optionally with an SRID.
#[must_use]
pub fn is_wkt_point(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"SRID=4326;").unwrap_or(value);
    let Some(rest) = value.strip_prefix(b"POINT").or_else(|| value.strip_prefix(b"Point")) else {
        return false;
    };
    let rest = rest.trim_ascii_start();
    let inner = rest.strip_prefix(b"(").and_then(|r| r.strip_suffix(b")"));
    inner.is_some_and(|inner| {
        inner.len() <= 80
            && inner
                .split(|b| *b == b' ')
                .filter(|p| !p.is_empty())
                .all(|p| str::from_utf8(p).is_ok_and(|p| p.parse::<f64>().is_ok_and(f64::is_finite)))
            && inner.contains(&b' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postal_codes() {
        assert!(
            is_country_code(b"DE")
                && is_country_code(b"ZW")
                && !is_country_code(b"QQ")
                && !is_country_code(b"d1")
        );
        for code in ["SW1A1AA", "M11AE", "B338TH", "CR26XH", "EC1A1BB"] {
            assert!(is_uk_postcode(code.as_bytes()), "{code}"); // Royal Mail's examples
        }
        assert!(!is_uk_postcode(b"QW1A1AA") && !is_uk_postcode(b"SW1A1CA") && !is_uk_postcode(b"AB"));
        assert!(is_ca_postal(b"K1A0B1") && !is_ca_postal(b"W1A0B1") && !is_ca_postal(b"K1O0B1"));
        assert!(is_nl_postcode(b"1012JS") && !is_nl_postcode(b"0012JS") && !is_nl_postcode(b"1012SS"));
        assert!(
            is_separated_postal(b"00-950")
                && is_separated_postal(b"1000-205")
                && is_separated_postal(b"114 55")
        );
        assert!(is_separated_postal(b"94103-1234") && !is_separated_postal(b"00000-1234"));
        assert!(is_zip(b"00501") && !is_zip(b"00100"));
    }

    #[test]
    fn coordinates() {
        assert!(is_coordinate_pair(b"47.3769, 8.5417") && is_coordinate_pair(b"(-33.8688;151.2093)"));
        assert!(!is_coordinate_pair(b"47.3, 8.5") && !is_coordinate_pair(b"97.3769, 8.5417"));
        assert!(is_degrees(b"-73.985428") && !is_degrees(b"-73.98") && !is_degrees(b"373.985428"));
        assert!(is_sexagesimal("48°51'24.5\"N 2°21'8\"E".as_bytes()) && !is_sexagesimal("21 °C".as_bytes()));
        assert!(is_wkt_point(b"POINT (30 10)") && is_wkt_point(b"SRID=4326;POINT(-71.06 42.28)"));
        assert!(!is_wkt_point(b"POINT(30)") && !is_wkt_point(b"POINT(a b)"));
    }
}
