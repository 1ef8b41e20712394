//! The keys of an identity provider (RFC 7517): read when they are needed, kept for a while, and read again when a token
//! names one that is not among them.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

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
    shelf: Arc<Shelf>,
    /// The last reading that began.
    last: Mutex<Option<Reading>>,
    tasks: TaskTracker,
    /// [`PAUSE`].
    pause: Duration,
    /// [`FRESH_FOR`].
    fresh_for: Duration,
}

/// The end of a reading, which comes whoever waits for it.
type Reading = Shared<BoxFuture<'static, ()>>;

/// What was read, and from where.
struct Shelf {
    fetch: Fetch,
    known: RwLock<Option<Known>>,
    /// When the next reading may begin.
    next: Mutex<Instant>,
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
    /// Readings are among `tasks`.
    ///
    /// # Errors
    /// As [`Fetch::new`].
    pub(super) fn new(given: &Oidc, tasks: TaskTracker) -> Result<Self> {
        let (known, next) = (RwLock::default(), Mutex::new(Instant::now()));
        let shelf = Arc::new(Shelf { fetch: Fetch::new(given)?, known, next });
        Ok(Self { shelf, last: Mutex::default(), tasks, pause: PAUSE, fresh_for: FRESH_FOR })
    }

    /// The key of this id that may sign so; a token without an id means the only key that may. Nobody waits for the
    /// provider whose key is known.
    ///
    /// # Errors
    /// `Temporary` when the keys cannot be had.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Option<DecodingKey>> {
        let known = self.shelf.known();
        let found = known.as_ref().and_then(|known| known.find(id, algorithm));
        let is_fresh = known.is_some_and(|known| known.read_at.elapsed() < self.fresh_for);
        if found.is_some() && is_fresh {
            return Ok(found);
        }
        let reading = self.reading();
        if found.is_some() {
            return Ok(found);
        }
        if let Some(reading) = reading {
            reading.await;
        }
        let known = self.shelf.known().ok_or_else(|| {
            Error::temporary("the keys of the identity provider cannot be had").help("try again later")
        })?;
        Ok(known.find(id, algorithm))
    }

    /// The last reading: one that begins now, if the time for that has come.
    fn reading(&self) -> Option<Reading> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it begins: what becomes of it, or of who waits for it, brings the next one no nearer.
        if self.shelf.is_due(self.pause) {
            let shelf = Arc::clone(&self.shelf);
            let reading = self.tasks.spawn(async move { shelf.read().await });
            *last = Some(reading.map(|_| ()).boxed().shared());
        }
        last.clone()
    }
}

impl Shelf {
    fn known(&self) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| known.read_at.elapsed() < GOOD_FOR)
    }

    /// Whether a reading may begin; the next one then not before `pause` is over.
    fn is_due(&self, pause: Duration) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = now >= *next;
        if is_due {
            *next = now + pause;
        }
        is_due
    }

    /// Reads the keys. Where they cannot be had, those that are known stay.
    async fn read(&self) {
        let read = self.fetch.keys().await.map(|set| keys_of(&set)).and_then(|keys| {
            if keys.is_empty() {
                return Err(Error::temporary("the identity provider publishes no key that can be used"));
            }
            Ok(Known { keys: Arc::new(keys), read_at: Instant::now() })
        });
        match read {
            Ok(read) => *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(read),
            Err(error) => {
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) =
                    Instant::now() + PAUSE_AFTER_FAULT;
                tracing::warn!(%error, "the keys of the identity provider cannot be read");
            }
        }
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
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    fn algorithms(jwk: Value) -> Vec<Algorithm> {
        keys_of(&json!({"keys": [jwk]})).pop().map(|key| key.algorithms).unwrap_or_default()
    }

    /// A provider on this machine.
    #[derive(Clone, Default)]
    struct Provider {
        published: Arc<RwLock<Value>>,
        /// It takes requests and answers none.
        hangs: Arc<AtomicBool>,
        asked: Arc<AtomicUsize>,
    }

    impl Provider {
        /// Its keys, as we know them.
        async fn start(&self) -> (Keys, JoinHandle<()>) {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let issuer = format!("http://{}", listener.local_addr().unwrap());
            let provider = self.clone();
            let keys = async move || {
                provider.asked.fetch_add(1, Ordering::SeqCst);
                if provider.hangs.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                Json(provider.published.read().unwrap().clone())
            };
            let router = Router::new().route("/keys", get(keys));
            let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            let given = Oidc {
                issuer: issuer.clone(),
                audience: "sealift".into(),
                jwks_url: Some(format!("{issuer}/keys")),
                ca_file: None,
                roles_claim: "groups".into(),
                roles: Default::default(),
            };
            (Keys::new(&given, TaskTracker::new()).unwrap(), serving)
        }

        fn publish(&self, id: &str) {
            let point = URL_SAFE_NO_PAD.encode([7_u8; 32]);
            *self.published.write().unwrap() =
                json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": id, "x": point, "y": point}]});
        }
    }

    async fn is_known(keys: &Keys, id: &str) -> bool {
        keys.find(Some(id), Algorithm::ES256).await.unwrap().is_some()
    }

    fn may_be_read_again(keys: &Keys) {
        *keys.shelf.next.lock().unwrap() = Instant::now();
    }

    #[tokio::test]
    async fn a_key_that_is_published_later_is_found_after_the_pause_and_one_that_is_gone_is_not() {
        let provider = Provider::default();
        let (keys, serving) = provider.start().await;
        provider.publish("old");
        assert!(is_known(&keys, "old").await);
        provider.publish("new");
        assert!(!is_known(&keys, "new").await, "within the pause nobody is asked again");
        may_be_read_again(&keys);
        assert!(is_known(&keys, "new").await);
        assert!(!is_known(&keys, "old").await);
        // What is known is good while there is nothing better.
        *provider.published.write().unwrap() = json!({"error": "maintenance"});
        may_be_read_again(&keys);
        assert!(!is_known(&keys, "newer").await);
        assert!(is_known(&keys, "new").await);
        serving.abort();
        let _ = serving.await;
        may_be_read_again(&keys);
        assert!(!is_known(&keys, "newer").await);
        assert!(is_known(&keys, "new").await);
    }

    #[tokio::test]
    async fn a_provider_that_hangs_holds_nobody_up_whose_key_is_known_and_is_not_asked_again_and_again() {
        let provider = Provider::default();
        let (mut keys, _serving) = provider.start().await;
        provider.publish("known");
        assert!(is_known(&keys, "known").await);
        provider.hangs.store(true, Ordering::SeqCst);
        may_be_read_again(&keys);
        for _ in 0..3 {
            // Whoever does not wait for the end does not make us ask once more.
            let unknown = timeout(Duration::from_millis(200), is_known(&keys, "unknown")).await;
            assert!(unknown.is_err(), "it is being looked for");
        }
        keys.fresh_for = Duration::ZERO;
        assert!(timeout(Duration::from_millis(200), is_known(&keys, "known")).await.unwrap());
        assert_eq!(provider.asked.load(Ordering::SeqCst), 2);
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
