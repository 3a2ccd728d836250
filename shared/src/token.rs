//! Access tokens: JWTs that an api signs and every process verifies.
//!
//! Two sorts of keys. A set of Ed25519 keys is for production: who only verifies holds public keys and cannot mint.
//! A shared secret (HS256) is for development and for the one process of `standalone`. A token never chooses its own
//! algorithm: the keys decide which one is accepted.

use crate::{
    clock::{self, Time},
    ids::{SessionId, UserId},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, Jwk},
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};

/// `iss` and `aud` of every token: it is from us, and for us.
const NAME: &str = "rookery";

/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    pub sub: UserId,
    /// Which signed-in device.
    pub sid: SessionId,
    /// When it was made, seconds since 1970.
    pub iat: i64,
    /// When it ends, seconds since 1970.
    pub exp: i64,
}

impl Claims {
    /// Claims that begin now.
    pub fn new(user: UserId, session: SessionId, lifetime: Duration) -> Self {
        let now = clock::now().seconds();
        let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        Self { sub: user, sid: session, iat: now, exp: now.saturating_add(lifetime) }
    }

    /// When the token ends.
    pub fn expires_at(&self) -> Time {
        Time(self.exp.saturating_mul(1000))
    }
}

/// The claims as they are signed.
#[derive(Serialize, Deserialize)]
struct Signed {
    iss: String,
    aud: String,
    #[serde(flatten)]
    claims: Claims,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "lowercase")]
pub enum TokenError {
    /// It was good, and its time is over.
    #[error("the token has expired")]
    Expired,
    /// Not a token, not ours, or signed by someone else.
    #[error("the token is not valid")]
    Invalid,
    /// Nobody can tell now: whoever knows the keys of its issuer does not answer.
    #[error("the token cannot be checked now")]
    Unavailable,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key set cannot be read.
    #[error("the key set cannot be used: {0}")]
    KeySet(String),
    /// No key of the set can sign.
    #[error("the key set has no private key (a key with \"d\"), so nothing can be signed")]
    CannotSign,
    /// The library refused a key.
    #[error("the key cannot be used: {0}")]
    Key(String),
}

/// A new secret of 256 random bits as text (base64url), for `standalone` and for tests.
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Whether a token that is not ours may be one of a foreign identity provider: a JWT that names another issuer. Says
/// nothing about whether it is good, but keeps what is surely not from there away from those who would have to look.
pub fn may_be_foreign(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok().and_then(|json| serde_json::from_slice::<Issued>(&json).ok());
    claims.is_some_and(|claims| claims.iss != NAME)
}

/// The keys of an installation: makes a verifier, and an issuer where a private key is there.
#[derive(Clone)]
pub struct TokenKeys {
    verifying: Vec<(Option<String>, DecodingKey)>,
    signing: Option<(Option<String>, EncodingKey)>,
    algorithm: Algorithm,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.verifying.iter().map(|(kid, _)| kid.as_deref().unwrap_or("-")).collect();
        f.debug_struct("TokenKeys").field("algorithm", &self.algorithm).field("kids", &kids).finish_non_exhaustive()
    }
}

/// A JSON Web Key of which only an Ed25519 one is used; `d` is the private half.
#[derive(Serialize, Deserialize)]
struct Key {
    #[serde(flatten)]
    public: Jwk,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

impl TokenKeys {
    /// One secret that signs and verifies (HS256). Its strength is checked where it is
    /// configured.
    pub fn shared_secret(secret: &[u8]) -> Self {
        Self {
            verifying: vec![(None, DecodingKey::from_secret(secret))],
            signing: Some((None, EncodingKey::from_secret(secret))),
            algorithm: Algorithm::HS256,
        }
    }

    /// A JSON Web Key Set of Ed25519 keys, each with a `kid` of its own. All of them verify; the first that has its
    /// private half `d` signs. To rotate: add the new public key everywhere, then put the new private key first, and
    /// remove the old key when its last token has ended.
    pub fn from_key_set(json: &str) -> Result<Self, KeyError> {
        let set: KeySet = serde_json::from_str(json).map_err(|error| KeyError::KeySet(error.to_string()))?;
        let mut keys = Self { verifying: Vec::new(), signing: None, algorithm: Algorithm::EdDSA };
        for key in &set.keys {
            let kid = key.public.common.key_id.clone();
            let known = keys.verifying.iter().any(|(other, _)| *other == kid);
            if kid.is_none() || known {
                return Err(KeyError::KeySet("every key needs a kid of its own".to_owned()));
            }
            if !matches!(key.public.algorithm, AlgorithmParameters::OctetKeyPair(_)) {
                return Err(KeyError::KeySet("only Ed25519 keys (kty OKP) are used".to_owned()));
            }
            let verifying = DecodingKey::from_jwk(&key.public).map_err(|error| KeyError::Key(error.to_string()))?;
            if let (Some(d), None) = (&key.d, &keys.signing) {
                keys.signing = Some((kid.clone(), private_key(d)?));
            }
            keys.verifying.push((kid, verifying));
        }
        if keys.verifying.is_empty() {
            return Err(KeyError::KeySet("it is empty".to_owned()));
        }
        Ok(keys)
    }

    /// A new key set with one private key, as JSON.
    pub fn generate_key_set(kid: &str) -> Result<String, KeyError> {
        let seed = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut public = Jwk::from_encoding_key(&private_key(&seed)?, Algorithm::EdDSA)
            .map_err(|error| KeyError::Key(error.to_string()))?;
        public.common.key_id = Some(kid.to_owned());
        let set = KeySet { keys: vec![Key { public, d: Some(seed) }] };
        serde_json::to_string_pretty(&set).map_err(|error| KeyError::KeySet(error.to_string()))
    }

    /// The same key set without its private halves, as JSON: for processes that only verify.
    pub fn public_key_set(json: &str) -> Result<String, KeyError> {
        let mut set: KeySet = serde_json::from_str(json).map_err(|error| KeyError::KeySet(error.to_string()))?;
        set.keys.iter_mut().for_each(|key| key.d = None);
        serde_json::to_string_pretty(&set).map_err(|error| KeyError::KeySet(error.to_string()))
    }

    /// What tells good tokens from others.
    pub fn verifier(&self) -> TokenVerifier {
        let mut validation = Validation::new(self.algorithm);
        validation.leeway = 0;
        validation.set_issuer(&[NAME]);
        validation.set_audience(&[NAME]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        TokenVerifier(Arc::new(Verifying { keys: self.verifying.clone(), validation }))
    }

    /// What makes tokens. Fails where only public keys are known.
    pub fn issuer(&self) -> Result<TokenIssuer, KeyError> {
        let (kid, key) = self.signing.clone().ok_or(KeyError::CannotSign)?;
        let header = Header { kid, ..Header::new(self.algorithm) };
        let issuer = TokenIssuer(Arc::new((header, key)));
        // Signs once, so that a broken key is found at the start and not by the first user.
        issuer.issue(&Claims::new(UserId::NIL, SessionId::NIL, Duration::ZERO))?;
        Ok(issuer)
    }
}

/// The private key with this seed (base64url).
fn private_key(seed: &str) -> Result<EncodingKey, KeyError> {
    let seed = URL_SAFE_NO_PAD.decode(seed).map_err(|error| KeyError::Key(error.to_string()))?;
    if seed.len() != 32 {
        return Err(KeyError::Key("the private half of an Ed25519 key has 32 bytes".to_owned()));
    }
    Ok(EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &seed].concat()))
}

/// Makes tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenIssuer(Arc<(Header, EncodingKey)>);

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenIssuer").field(&self.0.0.alg).finish()
    }
}

impl TokenIssuer {
    /// Signs these claims.
    pub fn issue(&self, claims: &Claims) -> Result<String, KeyError> {
        let signed = Signed { iss: NAME.to_owned(), aud: NAME.to_owned(), claims: *claims };
        jsonwebtoken::encode(&self.0.0, &signed, &self.0.1).map_err(|error| KeyError::Key(error.to_string()))
    }
}

struct Verifying {
    keys: Vec<(Option<String>, DecodingKey)>,
    validation: Validation,
}

/// Tells good tokens from others. Cheap to clone.
#[derive(Clone)]
pub struct TokenVerifier(Arc<Verifying>);

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenVerifier").field(&self.0.validation.algorithms).finish()
    }
}

impl TokenVerifier {
    /// What a good token says. Says nothing about its session, which may have ended: only an api knows that.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let key = self.0.keys.iter().find(|(kid, _)| *kid == header.kid || kid.is_none());
        let (_, key) = key.ok_or(TokenError::Invalid)?;
        match jsonwebtoken::decode::<Signed>(token, key, &self.0.validation) {
            Ok(token) => Ok(token.claims.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(TokenError::Expired),
            Err(_) => Err(TokenError::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn claims() -> Claims {
        Claims::new(UserId::new(), SessionId::new(), MINUTE)
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let sets = [
            TokenKeys::shared_secret(random_secret().as_bytes()),
            TokenKeys::from_key_set(&TokenKeys::generate_key_set("a").expect("generates")).expect("reads"),
        ];
        for keys in sets {
            let claims = claims();
            let token = keys.issuer().expect("signs").issue(&claims).expect("signs");
            assert_eq!(keys.verifier().verify(&token), Ok(claims));
        }
    }

    #[test]
    fn an_expired_token_is_told_from_a_forged_one() {
        let keys = TokenKeys::shared_secret(b"one");
        let past = Claims { exp: clock::now().seconds() - 1, ..claims() };
        let token = keys.issuer().expect("signs").issue(&past).expect("signs");
        assert_eq!(keys.verifier().verify(&token), Err(TokenError::Expired));
        assert_eq!(TokenKeys::shared_secret(b"two").verifier().verify(&token), Err(TokenError::Invalid));
        assert_eq!(keys.verifier().verify("no.token.atall"), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_cannot_choose_another_algorithm() {
        let json = TokenKeys::generate_key_set("a").expect("generates");
        let keys = TokenKeys::from_key_set(&json).expect("reads");
        let foreign = TokenKeys::shared_secret(json.as_bytes()).issuer().expect("signs");
        let token = foreign.issue(&claims()).expect("signs");
        assert_eq!(keys.verifier().verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn a_rotated_key_verifies_until_it_is_removed() {
        let old: KeySet = serde_json::from_str(&TokenKeys::generate_key_set("old").expect("generates")).expect("reads");
        let new: KeySet = serde_json::from_str(&TokenKeys::generate_key_set("new").expect("generates")).expect("reads");
        let read = |set: &KeySet| TokenKeys::from_key_set(&serde_json::to_string(set).expect("writes")).expect("reads");
        let claims = claims();
        let token = read(&old).issuer().expect("signs").issue(&claims).expect("signs");
        assert_eq!(read(&new).verifier().verify(&token), Err(TokenError::Invalid));
        let both = KeySet { keys: new.keys.into_iter().chain(old.keys).collect() };
        assert_eq!(read(&both).verifier().verify(&token), Ok(claims));
    }

    #[test]
    fn public_keys_verify_and_cannot_sign() {
        let json = TokenKeys::generate_key_set("a").expect("generates");
        let token = TokenKeys::from_key_set(&json).expect("reads").issuer().expect("signs").issue(&claims());
        let public = TokenKeys::public_key_set(&json).expect("reads");
        assert!(!public.contains("\"d\""));
        let public = TokenKeys::from_key_set(&public).expect("reads");
        assert!(public.verifier().verify(&token.expect("signs")).is_ok());
        assert!(matches!(public.issuer(), Err(KeyError::CannotSign)));
    }
}
