//! Tokens of an identity provider that publishes its keys over HTTP.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use sealift::govern::Role;
use sealift::serve::Entrance;
use sealift::spec::access::{Access, Oidc};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{is_told, status};
use crate::serve::world::World;
use crate::servers::postgres::openssl;

const AUDIENCE: &str = "sealift";

/// A key of a provider.
struct Key {
    id: &'static str,
    algorithm: Algorithm,
    signs: EncodingKey,
    public_pem: Vec<u8>,
}

impl Key {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kind: &[&str] = match algorithm {
            Algorithm::ES256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Algorithm::EdDSA => &["-algorithm", "ED25519"],
            _ => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        };
        openssl(folder.path(), &[&["genpkey", "-out", "key.pem"], kind].concat());
        openssl(folder.path(), &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        let pem = std::fs::read(folder.path().join("key.pem")).unwrap();
        let signs = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem),
            _ => EncodingKey::from_rsa_pem(&pem),
        };
        let public_pem = std::fs::read(folder.path().join("public.pem")).unwrap();
        Self { id, algorithm, signs: signs.unwrap(), public_pem }
    }

    fn published(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signs, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.signs).unwrap()
    }
}

/// An identity provider; gone when dropped.
struct Provider {
    issuer: String,
    published: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Provider {
    async fn start(keys: &[&Key]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/bank", listener.local_addr().unwrap());
        let published = Arc::new(Mutex::new(set(keys)));
        let asked = Arc::new(AtomicUsize::new(0));
        let discovery = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
        let state = (Arc::clone(&published), Arc::clone(&asked));
        let keys = async |State((published, asked)): State<(Arc<Mutex<Value>>, Arc<AtomicUsize>)>| {
            asked.fetch_add(1, Ordering::SeqCst);
            Json(published.lock().unwrap().clone())
        };
        let router = Router::new()
            .route("/realms/bank/.well-known/openid-configuration", get(async || Json(discovery)))
            .route("/realms/bank/keys", get(keys))
            .with_state(state);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, published, asked, serving }
    }

    fn publish(&self, keys: &[&Key]) {
        *self.published.lock().unwrap() = set(keys);
    }

    fn entrance(&self) -> Entrance {
        let roles = [("dataops".to_owned(), BTreeSet::from([Role::Scheduler]))];
        let oidc = Oidc {
            issuer: self.issuer.clone(),
            audience: AUDIENCE.into(),
            jwks_url: None,
            ca_file: None,
            roles_claim: "realm_access.roles".into(),
            roles: roles.into(),
        };
        Entrance { access: Access { ldap: None, oidc: Some(oidc) }, ..Entrance::default() }
    }

    /// Claims that are right.
    fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.issuer, "aud": [AUDIENCE, "another"], "sub": "svc|airflow", "iat": now, "nbf": now,
            "exp": now + 600, "realm_access": {"roles": ["chess", "dataops"]},
        })
    }

    /// The same, but for one claim; `null` leaves it out.
    fn with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn set(keys: &[&Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.published()).collect::<Vec<_>>()})
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_token_of_the_provider_is_let_in_with_the_roles_of_its_groups() {
    let keys = [
        Key::new("rsa", Algorithm::RS256),
        Key::new("pss", Algorithm::PS256),
        Key::new("ec", Algorithm::ES256),
        Key::new("ed", Algorithm::EdDSA),
    ];
    let provider = Provider::start(&keys.iter().collect::<Vec<_>>()).await;
    let world = World::through(provider.entrance()).await;
    for key in &keys {
        let token = key.sign(&provider.claims());
        assert_eq!(status(&world, "/v1/runs", &token).await, StatusCode::OK, "{}", key.id);
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "the keys are kept");
    let token = keys[2].sign(&provider.claims());
    let trigger = world.request(Method::POST, "/v1/pipelines/crm/runs").bearer_auth(&token);
    assert_eq!(trigger.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let rows = sealift::govern::audit::entries(&world.ledger, 50).await.unwrap();
    assert!(
        rows.iter().any(|row| row.actor == "oidc:svc|airflow" && row.action == "run.trigger"),
        "{rows:?}"
    );
    // A leeway for clocks that differ.
    let late = keys[0].sign(&provider.with("exp", json!(now() - 30)));
    assert_eq!(status(&world, "/v1/runs", &late).await, StatusCode::OK);
    // Our own tokens are good beside it.
    assert_eq!(status(&world, "/v1/runs", &world.token).await, StatusCode::OK);

    let stranger = keys[0].sign(&provider.with("realm_access", json!({"roles": ["chess"]})));
    assert_eq!(status(&world, "/v1/runs", &stranger).await, StatusCode::FORBIDDEN);
    is_told(&world, "oidc:svc|airflow", "no role").await;
}

#[tokio::test]
async fn a_forged_a_foreign_and_an_expired_token_are_denied_and_told_of() {
    let key = Key::new("rsa", Algorithm::RS256);
    let forger = Key::new("rsa", Algorithm::RS256);
    let unknown = Key::new("other", Algorithm::RS256);
    let provider = Provider::start(&[&key]).await;
    let good = key.sign(&provider.claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let mut admin = provider.claims();
    admin["sub"] = "svc|root".into();
    // The key that everybody knows, taken for a secret.
    let hmac = EncodingKey::from_secret(&key.public_pem).unwrap();
    let confused = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) };
    let none = encoded(&json!({"alg": "none", "kid": "rsa", "typ": "JWT"}));
    let other_type =
        Header { typ: Some("logout+jwt".into()), kid: Some("rsa".into()), ..Header::new(key.algorithm) };
    let cases = [
        ("its signature is wrong", forger.sign(&provider.claims())),
        ("its signature is wrong", format!("{header}.{}.{signature}", encoded(&admin))),
        ("its signature is wrong", format!("{head}.")),
        ("it is of another issuer", key.sign(&provider.with("iss", json!("https://evil.example")))),
        ("it is for another audience", key.sign(&provider.with("aud", json!("payroll")))),
        ("a claim is missing", key.sign(&provider.with("aud", Value::Null))),
        ("a claim is missing", key.sign(&provider.with("exp", Value::Null))),
        ("a claim is missing", key.sign(&provider.with("sub", Value::Null))),
        ("it has expired", key.sign(&provider.with("exp", json!(now() - 120)))),
        ("it is not valid yet", key.sign(&provider.with("nbf", json!(now() + 120)))),
        ("its algorithm is not allowed", encode(&confused, &provider.claims(), &hmac).unwrap()),
        ("it cannot be read", format!("{none}.{}.", encoded(&provider.claims()))),
        ("it cannot be read", format!("{none}.{}.{signature}", encoded(&provider.claims()))),
        ("its key is unknown", unknown.sign(&provider.claims())),
        ("it is of another type", encode(&other_type, &provider.claims(), &key.signs).unwrap()),
        ("it cannot be read", "a.b".into()),
    ];
    for some in cases.chunks(8) {
        let world = World::through(provider.entrance()).await;
        assert_eq!(status(&world, "/v1/runs", &good).await, StatusCode::OK);
        for (why, token) in some {
            assert_eq!(status(&world, "/v1/runs", token).await, StatusCode::UNAUTHORIZED, "{why}");
            is_told(&world, "address:127.0.0.1", why).await;
        }
        assert_eq!(status(&world, "/v1/runs", &good).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn strangers_cannot_make_us_ask_for_keys_again_and_again() {
    let first = Key::new("first", Algorithm::ES256);
    let second = Key::new("second", Algorithm::ES256);
    let provider = Provider::start(&[&first, &second]).await;
    let world = World::through(provider.entrance()).await;
    // Whoever asks first makes us read; a key that is there from the begin needs no second reading.
    assert_eq!(status(&world, "/v1/runs", &second.sign(&provider.claims())).await, StatusCode::OK);
    provider.publish(&[&first]);
    for number in 0..5 {
        let mut stranger = Key::new("first", Algorithm::ES256);
        stranger.id = ["a", "b", "c", "d", "e"][number];
        let answer = status(&world, "/v1/runs", &stranger.sign(&provider.claims())).await;
        assert_eq!(answer, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "once a minute is enough");
    assert_eq!(status(&world, "/v1/runs", &first.sign(&provider.claims())).await, StatusCode::OK);
    // To a daemon that has not read them before, a key that is gone is unknown.
    let world = World::through(provider.entrance()).await;
    assert_eq!(status(&world, "/v1/runs", &second.sign(&provider.claims())).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_provider_that_is_down_or_lies_lets_nobody_in_and_denies_nobody() {
    let key = Key::new("rsa", Algorithm::RS256);
    let provider = Provider::start(&[&key]).await;
    let token = key.sign(&provider.claims());
    provider.serving.abort();
    let mut entrance = provider.entrance();
    entrance.access.oidc.as_mut().unwrap().jwks_url = Some("http://127.0.0.1:1/keys".into());
    let world = World::through(entrance).await;
    assert_eq!(status(&world, "/v1/runs", &token).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&world, "/v1/runs", &world.token).await, StatusCode::OK);

    // Discovery that names another issuer is not believed.
    let honest = Provider::start(&[&key]).await;
    let mut entrance = honest.entrance();
    entrance.access.oidc.as_mut().unwrap().issuer = format!("{}/", honest.issuer);
    let world = World::through(entrance).await;
    assert_eq!(status(&world, "/v1/runs", &token).await, StatusCode::SERVICE_UNAVAILABLE);
}
