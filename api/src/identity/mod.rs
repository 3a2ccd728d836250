//! A foreign identity provider: which of its tokens are believed, and what they say. What that means for accounts is
//! the business of the services.

mod fetch;
mod keys;

pub(crate) use fetch::roots;

use crate::config::IdentityConfig;
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use keys::KeySet;
use rookery_shared::{clock, token::TokenError};
use serde_json::{Map, Value};

/// By how much the provider's clock may be ahead of ours when it says from when on a token holds (seconds). Its end
/// is taken literally.
const LEEWAY: u64 = 60;

/// Longest subject, in bytes; `OpenID` Connect allows 255 characters of ASCII.
const MAX_SUBJECT: usize = 255;

/// The provider of the configuration.
pub(crate) struct Provider {
    config: IdentityConfig,
    keys: KeySet,
}

/// What a good token says of someone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stranger {
    /// Who, in the provider's words; never given to anybody else.
    pub(crate) subject: String,
    /// The token's own id, where it has one.
    pub(crate) token_id: Option<String>,
    /// When it was made and when it ends, seconds since 1970.
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
    /// What the account is made of at first sight.
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) picture: Option<String>,
}

impl Provider {
    pub(crate) fn new(config: IdentityConfig) -> Self {
        Self { keys: KeySet::new(&config), config }
    }

    /// Whose tokens these are.
    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// What a good token says. The key decides which algorithm it is checked with, never the token.
    pub(crate) async fn verify(&self, token: &str) -> Result<Stranger, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // Before anybody is asked for keys: what is signed with a secret, or not at all, is not from there.
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
            return Err(TokenError::Invalid);
        }
        let key = self.keys.find(header.kid.as_deref()).await?;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = match jsonwebtoken::decode::<Map<String, Value>>(token, &key.verifying, &validation) {
            Ok(token) => token.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => return Err(TokenError::Expired),
            Err(_) => return Err(TokenError::Invalid),
        };
        self.read(&claims)
    }

    fn read(&self, claims: &Map<String, Value>) -> Result<Stranger, TokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let owned = |name: &str| text(name).map(str::to_owned);
        let subject = text("sub").filter(|subject| subject.len() <= MAX_SUBJECT).ok_or(TokenError::Invalid)?;
        let expires_at = seconds(claims, "exp").ok_or(TokenError::Invalid)?;
        if expires_at <= clock::now().seconds() {
            return Err(TokenError::Expired);
        }
        let names = &self.config.claims;
        Ok(Stranger {
            subject: subject.to_owned(),
            token_id: owned("jti"),
            issued_at: seconds(claims, "iat").unwrap_or(expires_at).clamp(0, expires_at),
            expires_at,
            username: owned(&names.username),
            email: owned(&names.email),
            name: owned(&names.name),
            first_name: owned(&names.first_name),
            last_name: owned(&names.last_name),
            picture: owned(&names.picture),
        })
    }
}

/// A time of a token; RFC 7519 allows fractions.
fn seconds(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second more or less does not matter")]
    value.as_i64().or_else(|| value.as_f64().filter(|seconds| seconds.abs() < 1e15).map(|seconds| seconds as i64))
}
