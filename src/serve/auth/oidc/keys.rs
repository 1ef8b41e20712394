//! The keys of an identity provider (RFC 7517): read when they are needed, kept for a while, and read again when a token
//! names one that is not among them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::fetch::Fetch;
use crate::error::{Error, Result};
use crate::spec::access::Oidc;

/// Keys of this age are read again.
const FRESH_FOR: Duration = Duration::from_mins(15);
/// Keys that cannot be read again are used until this age.
const GOOD_FOR: Duration = Duration::from_hours(24);
/// The shortest time between two readings, whatever tokens name.
const PAUSE: Duration = Duration::from_mins(1);
/// The same after a reading that failed.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(5);
/// Most keys that are kept.
const MOST_KEYS: usize = 64;
/// Bytes of an RSA key's modulus: 2048 to 8192 bits (RFC 7518, section 3.3 asks for 2048 at least).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Whether only the provider can sign with it. With a secret that both know, its public key would do.
pub(super) const fn is_asymmetric(algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512 | ES256 | ES384 | EdDSA)
}

/// The keys of one provider.
pub(super) struct Keys {
    fetch: Fetch,
    known: RwLock<Option<Known>>,
    /// When the next reading may begin, for whoever is allowed to begin one.
    next: Mutex<Instant>,
    /// [`PAUSE`].
    pause: Duration,
}

#[derive(Clone)]
struct Known {
    keys: Arc<Vec<Key>>,
    read_at: Instant,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// # Errors
    /// As [`Fetch::new`].
    pub(super) fn new(given: &Oidc) -> Result<Self> {
        let next = Mutex::new(Instant::now());
        Ok(Self { fetch: Fetch::new(given)?, known: RwLock::default(), next, pause: PAUSE })
    }

    /// The key of this id that may sign so; a token without an id means the only key that may.
    ///
    /// # Errors
    /// `Temporary` when the keys cannot be had.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Option<DecodingKey>> {
        let known = self.known();
        if let Some(known) = &known
            && known.read_at.elapsed() < FRESH_FOR
            && let Some(key) = known.find(id, algorithm)
        {
            return Ok(Some(key));
        }
        let known = self.renewed(known).await?;
        Ok(known.find(id, algorithm))
    }

    fn known(&self) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| known.read_at.elapsed() < GOOD_FOR)
    }

    /// The keys, read again if the time for that has come; `seen` are those that were looked at.
    async fn renewed(&self, seen: Option<Known>) -> Result<Known> {
        let mut next = self.next.lock().await;
        let known = self.known();
        let is_newer = |known: &Known| seen.as_ref().is_none_or(|seen| seen.read_at < known.read_at);
        if let Some(known) = known.as_ref().filter(|known| is_newer(known)) {
            // Somebody else has read them meanwhile.
            return Ok(known.clone());
        }
        if Instant::now() >= *next {
            match self.fetch.keys().await {
                Ok(set) => {
                    *next = Instant::now() + self.pause;
                    let read = Known { keys: Arc::new(keys_of(&set)), read_at: Instant::now() };
                    *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
                    return Ok(read);
                }
                Err(error) => {
                    *next = Instant::now() + PAUSE_AFTER_FAULT;
                    tracing::warn!(%error, "the keys of the identity provider cannot be read");
                }
            }
        }
        known.ok_or_else(|| {
            Error::temporary("the keys of the identity provider cannot be had").help("try again later")
        })
    }
}

impl Known {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fit = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(id) => fit.find(|key| key.id.as_deref() == Some(id)).map(|key| key.key.clone()),
            None => match (fit.next(), fit.next()) {
                (Some(only), None) => Some(only.key.clone()),
                _ => None,
            },
        }
    }
}

/// The keys of a set that can check signatures; others are left out.
fn keys_of(set: &Value) -> Vec<Key> {
    let all = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let keys = all.iter().filter_map(|value| serde_json::from_value::<Jwk>(value.clone()).ok());
    keys.filter_map(|jwk| key_of(&jwk)).take(MOST_KEYS).collect()
}

fn key_of(jwk: &Jwk) -> Option<Key> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if jwk.common.public_key_use.as_ref().is_some_and(|use_| *use_ != PublicKeyUse::Signature) {
        return None;
    }
    let length = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if RSA_BYTES.contains(&length(&rsa.n)) => {
            vec![RS256, RS384, RS512, PS256, PS384, PS512]
        }
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 if (length(&curve.x), length(&curve.y)) == (32, 32) => vec![ES256],
            EllipticCurve::P384 if (length(&curve.x), length(&curve.y)) == (48, 48) => vec![ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => vec![EdDSA],
        _ => return None,
    };
    if let Some(named) = &jwk.common.key_algorithm {
        // A key that is for one algorithm is for no other.
        algorithms.retain(|algorithm| format!("{algorithm:?}") == named.to_string());
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (!algorithms.is_empty()).then(|| Key { id: jwk.common.key_id.clone(), algorithms, key })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn algorithms(jwk: Value) -> Vec<Algorithm> {
        keys_of(&json!({"keys": [jwk]})).pop().map(|key| key.algorithms).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_key_that_is_published_later_is_found_after_the_pause_and_one_that_is_gone_is_not() {
        use axum::{Json, Router, routing::get};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let point = URL_SAFE_NO_PAD.encode([7_u8; 32]);
        let set = move |id: &str| json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": id, "x": point, "y": point}]});
        let published = Arc::new(RwLock::new(set("old")));
        let shown = Arc::clone(&published);
        let router = Router::new().route("/keys", get(async move || Json(shown.read().unwrap().clone())));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let given = Oidc {
            issuer: issuer.clone(),
            audience: "sealift".into(),
            jwks_url: Some(format!("{issuer}/keys")),
            ca_file: None,
            roles_claim: "groups".into(),
            roles: Default::default(),
        };
        let mut keys = Keys::new(&given).unwrap();
        let is_known =
            async |keys: &Keys, id: &str| keys.find(Some(id), Algorithm::ES256).await.unwrap().is_some();
        assert!(is_known(&keys, "old").await);
        *published.write().unwrap() = set("new");
        assert!(!is_known(&keys, "new").await, "within the pause nobody is asked again");
        keys.pause = Duration::ZERO;
        *keys.next.get_mut() = Instant::now();
        assert!(is_known(&keys, "new").await);
        assert!(!is_known(&keys, "old").await);
        // What is known is good while nobody can be asked.
        serving.abort();
        let _ = serving.await;
        assert!(is_known(&keys, "new").await);
        assert!(!is_known(&keys, "newer").await);
    }

    #[test]
    fn a_key_signs_as_its_kind_and_its_word_say_and_a_secret_never() {
        let bytes = |count: usize| URL_SAFE_NO_PAD.encode(vec![7_u8; count]);
        let rsa = |size: usize, more: Value| {
            let mut jwk = json!({"kty": "RSA", "kid": "a", "e": "AQAB", "n": bytes(size)});
            jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            jwk
        };
        assert_eq!(algorithms(rsa(256, json!({}))).len(), 6);
        assert_eq!(algorithms(rsa(256, json!({"alg": "RS256", "use": "sig"}))), [Algorithm::RS256]);
        for bad in [
            rsa(128, json!({})),
            rsa(2048, json!({})),
            rsa(256, json!({"use": "enc"})),
            rsa(256, json!({"alg": "ES256"})),
            rsa(256, json!({"alg": "HS256"})),
            json!({"kty": "oct", "kid": "a", "k": bytes(32)}),
            json!({"kty": "oct", "kid": "a", "k": bytes(32), "alg": "RS256"}),
            json!({"kty": "EC", "crv": "P-256", "x": bytes(31), "y": bytes(32)}),
            json!({"kty": "EC", "crv": "P-521", "x": bytes(66), "y": bytes(66)}),
            json!({"kty": "?"}),
            json!("key"),
        ] {
            assert_eq!(algorithms(bad.clone()), [], "{bad}");
        }
        assert_eq!(
            algorithms(json!({"kty": "EC", "crv": "P-256", "x": bytes(32), "y": bytes(32)})),
            [Algorithm::ES256]
        );
        assert_eq!(algorithms(json!({"kty": "OKP", "crv": "Ed25519", "x": bytes(32)})), [Algorithm::EdDSA]);
        assert!(keys_of(&json!({"keys": vec![rsa(256, json!({})); 100]})).len() <= MOST_KEYS);
        assert!(keys_of(&json!({})).is_empty());
    }
}
