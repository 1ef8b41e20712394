//! Signatures of webhooks, as Standard Webhooks 1.0 has them: HMAC-SHA-256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::secret::Reference;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Fewest and most bytes of a secret, as the specification asks.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key behind a reference.
///
/// # Errors
/// `Invalid` when it cannot be resolved, or is not `whsec_` and the base64 of 24 to 64 bytes.
pub(super) fn key(reference: &Reference) -> Result<hmac::Key> {
    let secret = reference.resolve()?;
    let text = secret.expose_str()?.trim();
    let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).map(Zeroizing::new);
    let bytes = bytes.filter(|bytes| BYTES.contains(&bytes.len())).ok_or_else(|| {
        Error::invalid("the secret of a webhook is not of its form")
            .help("make one with: echo whsec_$(openssl rand -base64 32)")
    })?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The header `webhook-signature`.
pub(super) fn sign(key: &hmac::Key, message_id: &str, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{message_id}.{seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_signature_of_the_specification() {
        // The example of the reference implementations.
        let key =
            hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let body = br#"{"test": 2432232314}"#;
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
