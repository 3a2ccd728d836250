//! The provider's key set: asked for when a key is not known and when it has become old, kept while the provider does
//! not answer.

use super::fetch::Fetcher;
use crate::config::IdentityConfig;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use rookery_shared::token::TokenError;
use serde::Deserialize;
use serde_json::Value;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long a set is believed: a key that the provider withdrew works for so long.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The shortest time between two requests to the provider: tokens with made-up keys must not become requests.
const AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Keys of a set that are looked at.
const MAX_KEYS: usize = 100;

/// RSA keys below 2,048 bits are refused (RFC 7518, section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// A key that verifies.
#[derive(Debug)]
pub(super) struct Key {
    kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: DecodingKey,
}

impl Key {
    /// The key in this JWK, if it is one that is used here: RSA with RS256, P-256 with ES256, Ed25519 with EdDSA.
    fn read(json: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
                (modulus.len() >= MIN_RSA_BYTES).then_some((Algorithm::RS256, KeyAlgorithm::RS256))?
            }
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let fits = jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == named);
        if !signs || !fits {
            return None;
        }
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, verifying: DecodingKey::from_jwk(&jwk).ok()? })
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// A set as it was read.
#[derive(Debug, Default)]
struct Known {
    keys: Vec<Arc<Key>>,
    read_at: Option<Instant>,
}

impl Known {
    /// The key of this name. A token that names none means the only one there is.
    fn find(&self, kid: Option<&str>) -> Option<Arc<Key>> {
        match (kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }

    fn is_young(&self) -> bool {
        self.read_at.is_some_and(|at| at.elapsed() < MAX_AGE)
    }
}

/// The set, wherever it comes from.
pub(super) struct KeySet {
    fetcher: Fetcher,
    known: RwLock<Arc<Known>>,
    /// When the provider was last asked, and whether it answered. Whoever asks holds it: the others wait for the answer.
    asked: Mutex<Option<(Instant, bool)>>,
}

impl KeySet {
    pub(super) fn new(config: &IdentityConfig) -> Self {
        Self { fetcher: Fetcher::new(config), known: RwLock::default(), asked: Mutex::default() }
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key of this name. `Invalid` if the provider has none, `Unavailable` if it cannot be asked.
    pub(super) async fn find(&self, kid: Option<&str>) -> Result<Arc<Key>, TokenError> {
        let known = self.known();
        let found = known.find(kid);
        match found {
            Some(key) if known.is_young() => return Ok(key),
            // One request sees after the age of the set, and the others go on with what there is.
            Some(key) => {
                let Ok(asked) = self.asked.try_lock() else { return Ok(key) };
                self.ask(asked, &known).await;
            }
            None => {
                let asked = self.asked.lock().await;
                if !self.ask(asked, &known).await {
                    return self.known().find(kid).ok_or(TokenError::Unavailable);
                }
            }
        }
        self.known().find(kid).ok_or(TokenError::Invalid)
    }

    /// Asks the provider, unless somebody did since this set was seen or a moment ago; whether it answered then.
    async fn ask(&self, mut asked: tokio::sync::MutexGuard<'_, Option<(Instant, bool)>>, seen: &Arc<Known>) -> bool {
        if !Arc::ptr_eq(seen, &self.known()) {
            return true;
        }
        if let Some((at, answered)) = *asked
            && at.elapsed() < AGAIN_AFTER
        {
            return answered;
        }
        let read_at = Instant::now();
        let answered = match self.fetcher.fetch().await.and_then(|bytes| read(&bytes)) {
            Ok(keys) => {
                let known = Arc::new(Known { keys, read_at: Some(read_at) });
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the key set of the identity provider cannot be read; the last one stays");
                false
            }
        };
        *asked = Some((Instant::now(), answered));
        answered
    }
}

/// The keys of a set that are used here; the others may be for somebody else.
fn read(bytes: &[u8]) -> Result<Vec<Arc<Key>>, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|_| "it is not a JSON Web Key Set".to_owned())?;
    let keys: Vec<_> = document.keys.into_iter().take(MAX_KEYS).filter_map(Key::read).map(Arc::new).collect();
    if keys.is_empty() { Err("it has no key for RS256, ES256 or EdDSA".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_keys_that_sign_are_used_and_each_with_its_own_algorithm() {
        let ed =
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let with = |field: &str, value: &str| {
            let mut key = ed.clone();
            key[field] = json!(value);
            key
        };
        assert_eq!(Key::read(ed.clone()).map(|key| key.algorithm), Some(Algorithm::EdDSA));
        assert!(Key::read(with("use", "sig")).is_some() && Key::read(with("alg", "EdDSA")).is_some());
        for refused in [with("use", "enc"), with("alg", "RS256"), with("kty", "oct"), with("crv", "X25519"), json!("x")]
        {
            assert!(Key::read(refused.clone()).is_none(), "{refused}");
        }
        let secret = json!({ "kty": "oct", "kid": "b", "k": "c2VjcmV0", "alg": "HS256" });
        let short = json!({ "kty": "RSA", "kid": "c", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xff; 128]) });
        let set = json!({ "keys": [secret, short, ed] }).to_string();
        let keys = read(set.as_bytes()).expect("one is left");
        assert_eq!(keys.iter().map(|key| key.kid.as_deref()).collect::<Vec<_>>(), [Some("a")]);
        assert!(read(br#"{"keys": []}"#).is_err() && read(b"nonsense").is_err());
    }
}
