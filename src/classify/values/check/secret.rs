//! Secrets: tokens with a known prefix, keys, password hashes, and strings too random to be anything else.

/// Prefix of a token, and the fewest characters that follow it (each issuer's documentation).
const PREFIXES: [(&[u8], usize); 54] = [
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"AROA", 16),
    (b"AIDA", 16), // AWS, IAM identifiers
    (b"ghp_", 36),
    (b"gho_", 36),
    (b"ghu_", 36),
    (b"ghs_", 36),
    (b"ghr_", 36),
    (b"github_pat_", 40), // GitHub
    (b"glpat-", 20),
    (b"gldt-", 20),
    (b"glrt-", 20), // GitLab
    (b"xoxb-", 20),
    (b"xoxp-", 20),
    (b"xoxa-", 20),
    (b"xoxr-", 20),
    (b"xoxs-", 20),
    (b"xapp-", 20), // Slack
    (b"sk_live_", 16),
    (b"sk_test_", 16),
    (b"rk_live_", 16),
    (b"rk_test_", 16),
    (b"pk_live_", 16),
    (b"whsec_", 20), // Stripe
    (b"sk-ant-", 20),
    (b"sk-proj-", 20),
    (b"sk-", 32), // model providers
    (b"AIza", 35),
    (b"ya29.", 20),
    (b"GOCSPX-", 24), // Google
    (b"SG.", 40),
    (b"key-", 32),
    (b"SK", 32),
    (b"AC", 32), // SendGrid, Mailgun, Twilio
    (b"npm_", 36),
    (b"pypi-", 32),
    (b"dop_v1_", 60),
    (b"hf_", 30),
    (b"dckr_pat_", 20),
    (b"shpat_", 32),
    (b"shpss_", 32),
    (b"sq0atp-", 22),
    (b"sq0csp-", 40),
    (b"EAAA", 50), // Shopify, Square
    (b"hvs.", 24),
    (b"s.", 24),
    (b"lin_api_", 40),
    (b"PMAK-", 40),
    (b"dapi", 32),
    (b"NRAK-", 27),
    (b"AGE-SECRET-KEY-1", 58),
    (b"eyJ", 30), // a JSON web token or key: base64 of `{"`
    (b"-----BEGIN ", 10),
];

/// Whether a byte belongs to a token.
#[must_use]
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'$')
}

/// A token whose prefix tells its issuer, a JWT, a private key's header or a password hash. As written.
#[must_use]
pub fn is_known_secret(value: &[u8]) -> bool {
    if value.starts_with(b"-----BEGIN ") {
        return value.get(..64).unwrap_or(value).windows(11).any(|w| w == b"PRIVATE KEY");
    }
    if value.starts_with(b"eyJ") {
        return is_jwt(value);
    }
    if value.starts_with(b"$") || value.starts_with(b"{") || value.starts_with(b"pbkdf2") {
        return is_password_hash(value);
    }
    PREFIXES.iter().any(|(prefix, least)| {
        value.strip_prefix(*prefix).is_some_and(|rest| {
            rest.len() >= *least
                && rest.len() <= 400
                && rest.iter().all(|b| is_token_byte(*b))
                && (*least < 32 || rest.iter().any(u8::is_ascii_digit))
                && (prefix.len() > 2 || is_two_letter_token(prefix, rest))
        })
    })
}

/// Twilio writes 32 hex digits after two letters, Vault 24 letters and digits after `s.`: no more, no less.
fn is_two_letter_token(prefix: &[u8], rest: &[u8]) -> bool {
    match prefix {
        b"s." => rest.len() == 24 && rest.iter().all(u8::is_ascii_alphanumeric),
        _ => rest.len() == 32 && rest.iter().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f')),
    }
}

/// Bytes with which a known secret may begin (a cheap gate).
#[must_use]
pub fn may_begin(byte: u8) -> bool {
    b"AEGNPSdeghklnpqrswxy$-{".contains(&byte)
}

/// A JSON web token (RFC 7519): a header that begins `{"` in base64url, then one or two more parts.
fn is_jwt(value: &[u8]) -> bool {
    let mut parts = 0;
    for part in value.split(|b| *b == b'.') {
        if !part.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'=')) {
            return false;
        }
        parts += 1;
    }
    matches!(parts, 2..=5) && value.len() >= 30
}

/// A password hash in crypt or PHC form (`$2b$`, `$argon2id$`, `$6$`, `{SSHA}`, `pbkdf2_sha256$`).
fn is_password_hash(value: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 16] = [
        b"$2a$",
        b"$2b$",
        b"$2x$",
        b"$2y$",
        b"$argon2",
        b"$1$",
        b"$5$",
        b"$6$",
        b"$y$",
        b"$scrypt$",
        b"$pbkdf2",
        b"$apr1$",
        b"{SSHA",
        b"{SHA",
        b"{bcrypt}",
        b"pbkdf2_sha",
    ];
    SCHEMES.iter().any(|s| value.starts_with(s)) && value.len() >= 22 && !value.contains(&b' ')
}

/// Whether a single token has the look of a drawn secret: 20 to 128 characters, upper and lower case and digits mixed,
/// many different ones. Base64 of any digest looks alike, so this speaks softly.
#[must_use]
pub fn is_random_token(value: &[u8]) -> bool {
    if !(20..=128).contains(&value.len()) || !value.iter().all(|b| is_token_byte(*b)) {
        return false;
    }
    let (mut seen, mut turns, mut before) = (0u128, 0usize, 0u8);
    for byte in value {
        seen |= 1u128.checked_shl(u32::from(*byte)).unwrap_or(0);
        let class = class_of(*byte);
        turns += usize::from(class != before);
        before = class;
    }
    let classes = value.iter().fold(0u8, |mask, b| mask | class_of(*b));
    // Letters and digits alternate at random in a drawn string, while words and numbers come in runs.
    classes & 7 == 7
        && seen.count_ones() as usize >= (value.len() * 2 / 5).min(24)
        && turns * 5 >= value.len() * 2
}

fn class_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 1,
        b'A'..=b'Z' => 2,
        b'a'..=b'z' => 4,
        _ => 8,
    }
}

/// Whether a value looks like a password people choose or a generator makes: 8 to 32 characters, no space, at least
/// three of the four classes, one of them punctuation that ordinary codes and addresses do not use.
#[must_use]
pub fn is_password_like(value: &[u8]) -> bool {
    let classes = value.iter().fold(0u8, |mask, b| mask | class_of(*b));
    (8..=32).contains(&value.len())
        && value.is_ascii()
        && classes & 6 == 6
        && classes & 1 == 1
        && value.iter().any(|b| b"!#$%^&*+=?<>~|{}[]@".contains(b))
        && value.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms() {
        for secret in [
            "AKIAIOSFODNN7EXAMPLE",                     // AWS documentation
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a", // GitHub documentation
            "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk", // RFC 7515 A.1, shortened
            "-----BEGIN RSA PRIVATE KEY-----\nMIIB",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", // bcrypt's worked example
            "sk_test_4eC39HqLyjWDarjtT1zdp7dc",                             // Stripe documentation
        ] {
            assert!(is_known_secret(secret.as_bytes()), "{secret}");
            assert!(secret.bytes().next().is_some_and(may_begin), "{secret}");
        }
        assert!(PREFIXES.iter().all(|(p, _)| p.first().is_some_and(|b| may_begin(*b))));
        assert!(
            !is_known_secret(b"-----BEGIN CERTIFICATE-----")
                && !is_known_secret(b"ACCOUNT")
                && !is_known_secret(b"AKIA1")
        );
    }

    #[test]
    fn randomness() {
        assert!(is_random_token(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")); // AWS documentation
        assert!(!is_random_token(b"Quarterly-Report-Final-2024-Version-12"));
        assert!(!is_random_token(b"d41d8cd98f00b204e9800998ecf8427e"));
        assert!(
            is_password_like(b"+3XxO@q2$1")
                && !is_password_like(b"Hello world1!")
                && !is_password_like(b"ABC-1234")
        );
    }
}
