//! Passages of letters and digits: secrets, IBANs, identifiers of a telling form.
use super::super::check::{africa_asia as asia, americas, bank, europe, health, internet, secret, vehicle};
use super::{Found, LONGEST};

/// The length of a secret that begins here.
pub(super) fn secret(rest: &[u8], steps: &mut u64) -> Option<usize> {
    if rest.starts_with(b"-----BEGIN ") {
        let head = rest.get(..64).unwrap_or(rest);
        *steps += 64;
        return secret::is_known_secret(head).then(|| private_key_end(rest, steps));
    }
    // The prefix decides before the token is measured.
    let head = rest.get(..3)?;
    let may_be = matches!(
        head,
        b"AKI"
            | b"ASI"
            | b"ARO"
            | b"AID"
            | b"ghp"
            | b"gho"
            | b"ghu"
            | b"ghs"
            | b"ghr"
            | b"git"
            | b"glp"
            | b"gld"
            | b"glr"
            | b"xox"
            | b"xap"
            | b"sk_"
            | b"rk_"
            | b"pk_"
            | b"whs"
            | b"sk-"
            | b"AIz"
            | b"ya2"
            | b"GOC"
            | b"SG."
            | b"key"
            | b"npm"
            | b"pyp"
            | b"dop"
            | b"hf_"
            | b"dck"
            | b"shp"
            | b"sq0"
            | b"EAA"
            | b"hvs"
            | b"lin"
            | b"PMA"
            | b"dap"
            | b"NRA"
            | b"AGE"
            | b"eyJ"
            | b"$2a"
            | b"$2b"
            | b"$2y"
            | b"$ar"
            | b"$6$"
            | b"$5$"
            | b"$1$"
            | b"$y$"
    );
    if !may_be {
        return None;
    }
    let mut length =
        rest.iter().take(LONGEST).position(|b| !secret::is_token_byte(*b)).unwrap_or(rest.len().min(LONGEST));
    *steps += length as u64;
    while length > 0 && rest.get(length - 1).is_some_and(|b| matches!(b, b'.' | b'-')) {
        length -= 1;
    }
    rest.get(..length).is_some_and(secret::is_known_secret).then_some(length)
}

/// Where a private key ends: behind its closing line, or as far as keys go.
fn private_key_end(rest: &[u8], steps: &mut u64) -> usize {
    const END: &[u8] = b"-----END ";
    let room = rest.get(..8192).unwrap_or(rest);
    *steps += room.len() as u64;
    let end = room.windows(END.len()).position(|w| w == END);
    let end = end.map(|at| {
        at + END.len()
            + room
                .get(at + END.len()..)
                .unwrap_or(&[])
                .iter()
                .take(64)
                .position(|b| *b == b'\n')
                .unwrap_or(30)
    });
    let mut end = end.unwrap_or(room.len()).min(room.len());
    while end > 0 && rest.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end -= 1;
    }
    end
}

/// Codes that begin with a capital or a digit.
pub(super) fn look(rest: &[u8], end: usize, steps: &mut u64) -> Option<Found> {
    let word = rest.get(..end)?;
    if let Some(length) = iban(rest, steps) {
        return Some((length, "financial.iban", "iban"));
    }
    if let Some(found) = network(rest, end, steps) {
        return Some(found);
    }
    if !(8..=18).contains(&end)
        || !word.iter().any(u8::is_ascii_digit)
        || !word.iter().any(u8::is_ascii_uppercase)
    {
        return spaced(rest, word, steps);
    }
    *steps += end as u64 * 4;
    if rest.get(end).is_some_and(|b| *b == b'-' || *b == b'_') {
        return None;
    }
    let letters = word.iter().filter(|b| !b.is_ascii_digit()).count();
    let (tag, detector) = match end {
        9 if letters == 3 && europe::is_uk_nino(word) => ("pii.national_id", "uk_nino"),
        9 if letters == 2 && asia::is_sg_nric(word) => ("pii.national_id", "sg_nric"),
        9 if letters <= 2 && europe::is_es_dni(word) => ("pii.national_id", "es_dni"),
        10 if asia::is_in_pan(word) => ("pii.national_id", "in_pan"),
        11 if health::is_mbi(word) => ("health.us_mbi", "us_mbi"),
        16 if europe::is_it_codice_fiscale(word) => ("pii.national_id", "it_codice_fiscale"),
        17 if vehicle::is_vin(word) => ("vehicle.vin", "vin"),
        18 if americas::is_mx_curp(word) => ("pii.national_id", "mx_curp"),
        15 if europe::is_fr_nir(word) => ("pii.national_id", "fr_nir"),
        18 if asia::is_cn_resident(word) => ("pii.national_id", "cn_resident_id"),
        _ if health::is_medical_record(word) => ("health.medical_record", "medical_record"),
        _ => return None,
    };
    Some((end, tag, detector))
}

/// Two words that make one identifier: `MRN 12345`, `MRN-12345`, `AB 12 34 56 C`.
fn spaced(rest: &[u8], word: &[u8], steps: &mut u64) -> Option<Found> {
    if word == b"MRN" {
        let tail = rest.get(3..20).or_else(|| rest.get(3..))?;
        let skipped = tail.iter().take_while(|b| matches!(b, b' ' | b':' | b'#' | b'-')).count();
        let digits = tail.get(skipped..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        *steps += 20;
        return (digits >= 4).then_some((3 + skipped + digits, "health.medical_record", "medical_record"));
    }
    if word.len() == 2 && word.iter().all(u8::is_ascii_uppercase) {
        let candidate = rest.get(..13)?;
        let mut compact = [0u8; 9];
        let letters = candidate.iter().filter(|b| **b != b' ');
        *steps += 13;
        let count = letters.zip(&mut compact).map(|(from, to)| *to = *from).count();
        let is_whole = rest.get(13).is_none_or(|b| !b.is_ascii_alphanumeric());
        if count == 9 && is_whole && candidate.get(2) == Some(&b' ') && europe::is_uk_nino(&compact) {
            return Some((13, "pii.national_id", "uk_nino"));
        }
    }
    None
}

/// The length of an IBAN that begins here, in one piece or in groups of four.
fn iban(rest: &[u8], steps: &mut u64) -> Option<usize> {
    let [a, b, c, d, ..] = rest else { return None };
    if !(a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let wanted = bank::iban_length(rest)?;
    let mut compact = [0u8; 34];
    let (mut count, mut length) = (0, 0);
    for byte in rest.iter().take(48) {
        *steps += 1;
        if count == wanted {
            break;
        }
        length += 1;
        if byte.is_ascii_alphanumeric() {
            *compact.get_mut(count)? = byte.to_ascii_uppercase();
            count += 1;
        } else if !matches!(byte, b' ' | b'-') {
            return None;
        }
    }
    let is_end = rest.get(length).is_none_or(|b| !b.is_ascii_alphanumeric());
    (count == wanted && is_end && compact.get(..count).is_some_and(bank::is_iban)).then_some(length)
}

/// IPv6 and MAC addresses: hex digits with colons.
fn network(rest: &[u8], end: usize, steps: &mut u64) -> Option<Found> {
    if end > 4 || !matches!(rest.get(end), Some(b':' | b'-')) {
        return None;
    }
    let is_inner = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'-');
    let length = rest.iter().take(46).position(|b| !is_inner(*b)).unwrap_or(rest.len().min(46));
    *steps += length as u64;
    let candidate = rest.get(..length)?;
    if rest.get(length).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    if internet::is_mac(candidate) {
        return Some((length, "pii.mac_address", "mac_address"));
    }
    let has_many = candidate.iter().filter(|b| **b == b':').count() >= 3;
    (has_many && internet::is_ipv6(candidate)).then_some((length, "pii.ip_address", "ipv6"))
}

/// Codes that begin with a small letter: hex addresses.
pub(super) fn look_lower(rest: &[u8], end: usize, steps: &mut u64) -> Option<Found> {
    network(rest, end, steps)
}
