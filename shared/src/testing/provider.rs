//! A foreign identity provider: a key set behind HTTP, and tokens signed with its keys.

use super::poll;
use crate::{clock, lifecycle};
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The audience of its tokens.
const AUDIENCE: &str = "chat";

/// A key that was made for these tests, as making one takes long; it protects nothing. PKCS #1 in DER.
const RSA: &[u8] = include_bytes!("rsa.der");

/// What stands before the 32 bytes of a P-256 scalar and of an Ed25519 seed in PKCS #8 (RFC 5915, RFC 8410).
const EC_PREFIX: &[u8] = &[
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];
const ED_PREFIX: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The 32 bytes themselves.
const SCALAR: [u8; 32] = [7; 32];

/// A key of the provider's, as a token names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKey {
    /// RSA, used with RS256.
    Rsa,
    /// P-256, used with ES256.
    Ec,
    /// Ed25519, used with `EdDSA`.
    Ed,
}

impl ProviderKey {
    /// Its name in the key set.
    pub fn kid(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ec => "ec",
            Self::Ed => "ed",
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Rsa => Algorithm::RS256,
            Self::Ec => Algorithm::ES256,
            Self::Ed => Algorithm::EdDSA,
        }
    }

    fn signing(self) -> EncodingKey {
        match self {
            Self::Rsa => EncodingKey::from_rsa_der(RSA),
            Self::Ec => EncodingKey::from_ec_der(&[EC_PREFIX, &SCALAR].concat()),
            Self::Ed => EncodingKey::from_ed_der(&[ED_PREFIX, &SCALAR].concat()),
        }
    }

    fn public(self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing(), self.algorithm()).expect("has a public half");
        jwk.common.key_id = Some(self.kid().to_owned());
        serde_json::to_value(jwk).expect("is JSON")
    }
}

#[derive(Default)]
struct Served {
    keys: Mutex<Vec<ProviderKey>>,
    away: AtomicBool,
    asked: AtomicUsize,
}

/// An identity provider that ends with its handle.
pub struct IdentityProvider {
    address: SocketAddr,
    served: Arc<Served>,
    task: JoinHandle<()>,
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl IdentityProvider {
    /// A provider with these keys in its set.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn start(keys: &[ProviderKey]) -> Self {
        let served = Arc::new(Served { keys: Mutex::new(keys.to_vec()), ..Served::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/keys", get(key_set)).with_state(served.clone());
        let task = tokio::spawn(lifecycle::serve(listener, app, pending(), Duration::ZERO));
        Self { address, served, task }
    }

    /// The settings of whoever believes its tokens.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("ROOKERY_IDENTITY_ISSUER", self.issuer()),
            ("ROOKERY_IDENTITY_AUDIENCE", AUDIENCE.to_owned()),
            ("ROOKERY_IDENTITY_KEYS_URL", format!("http://{}/keys", self.address)),
        ]
    }

    /// The issuer of its tokens.
    pub fn issuer(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// Which keys are in the set from now on.
    pub fn serve(&self, keys: &[ProviderKey]) {
        *self.served.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.to_vec();
    }

    /// Whether it answers from now on.
    pub fn away(&self, away: bool) {
        self.served.away.store(away, Ordering::SeqCst);
    }

    /// How often it was asked for its keys.
    pub fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }

    /// Waits until it was asked once more.
    pub async fn is_asked_again(&self) {
        let before = self.asked();
        poll("the provider is asked", async || (self.asked() > before).then_some(())).await;
    }

    /// The claims of a good token that ends in five minutes.
    pub fn claims(&self, subject: &str) -> Value {
        let now = clock::now().seconds();
        json!({ "iss": self.issuer(), "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300 })
    }

    /// A good token, with more claims.
    pub fn token(&self, subject: &str, more: &Value) -> String {
        let mut claims = self.claims(subject);
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let first = self.served.keys.lock().unwrap_or_else(PoisonError::into_inner).first().copied();
        let key = first.unwrap_or(ProviderKey::Ed);
        sign(key, key.kid(), &claims)
    }
}

/// Signs claims with a key of the provider's, whatever name it gives the key.
///
/// # Panics
///
/// If the key cannot sign.
pub fn sign(key: ProviderKey, kid: &str, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(key.algorithm()) };
    jsonwebtoken::encode(&header, claims, &key.signing()).expect("signs")
}

/// Signs claims with a public key, as if it were a shared secret (HS256).
///
/// # Panics
///
/// If the claims cannot be written.
pub fn confuse(key: ProviderKey, claims: &Value) -> String {
    let public = key.public();
    let secret = public["x"].as_str().or(public["n"].as_str()).unwrap_or_default();
    let secret = URL_SAFE_NO_PAD.decode(secret).expect("base64");
    let header = Header { kid: Some(key.kid().to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&secret)).expect("signs")
}

async fn key_set(State(served): State<Arc<Served>>) -> axum::response::Response {
    served.asked.fetch_add(1, Ordering::SeqCst);
    if served.away.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let keys: Vec<Value> =
        served.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|key| key.public()).collect();
    Json(json!({ "keys": keys })).into_response()
}
