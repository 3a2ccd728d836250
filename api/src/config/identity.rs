//! The settings of a foreign identity provider.

use crate::identity::roots;
use http::Uri;
use rookery_shared::config::{ConfigError, Env};
use std::sync::Arc;
use tokio_rustls::rustls::RootCertStore;

/// A foreign identity provider (`OpenID` Connect), whose tokens sign people in.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// `ROOKERY_IDENTITY_ISSUER`: `iss` of its tokens, to the letter. Without it there is no such provider.
    pub issuer: String,
    /// `ROOKERY_IDENTITY_AUDIENCE`: what `aud` of its tokens names. Needed with an issuer.
    pub audience: String,
    /// `ROOKERY_IDENTITY_KEYS_URL`: its JSON Web Key Set, http or https. Needed with an issuer.
    pub keys_url: Uri,
    /// The authorities that its certificate may come from; `ROOKERY_IDENTITY_CA_FILE` (PEM) adds to those of browsers.
    pub roots: Arc<RootCertStore>,
    /// What an account is made of at first sight.
    pub claims: ClaimNames,
}

/// Which claims an account is made of at first sight.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    /// `ROOKERY_IDENTITY_CLAIM_USERNAME`. Default `preferred_username`.
    pub username: String,
    /// `ROOKERY_IDENTITY_CLAIM_EMAIL`. Default `email`.
    pub email: String,
    /// `ROOKERY_IDENTITY_CLAIM_NAME`: the display name. Default `name`.
    pub name: String,
    /// `ROOKERY_IDENTITY_CLAIM_FIRST_NAME`. Default `given_name`.
    pub first_name: String,
    /// `ROOKERY_IDENTITY_CLAIM_LAST_NAME`. Default `family_name`.
    pub last_name: String,
    /// `ROOKERY_IDENTITY_CLAIM_PICTURE`: a URL. Default `picture`.
    pub picture: String,
}

impl IdentityConfig {
    pub(super) fn read(env: &Env) -> Result<Option<Self>, ConfigError> {
        const ISSUER: &str = "ROOKERY_IDENTITY_ISSUER";
        const KEYS_URL: &str = "ROOKERY_IDENTITY_KEYS_URL";
        const CA_FILE: &str = "ROOKERY_IDENTITY_CA_FILE";
        let why = "ROOKERY_IDENTITY_ISSUER needs it";
        let why_issuer = "ROOKERY_IDENTITY_AUDIENCE or ROOKERY_IDENTITY_KEYS_URL is, and belongs to an issuer";
        let Some(issuer) = env.optional(ISSUER)? else {
            // Whoever set the rest forgot it, and would wonder why nobody gets in.
            return match ["ROOKERY_IDENTITY_AUDIENCE", KEYS_URL].into_iter().find(|name| env.text(name).is_some()) {
                Some(_) => Err(ConfigError::Missing(ISSUER, why_issuer)),
                None => Ok(None),
            };
        };
        let keys_url: Uri = env.required(KEYS_URL, why)?;
        if !matches!(keys_url.scheme_str(), Some("http" | "https")) || keys_url.host().is_none_or(str::is_empty) {
            return Err(ConfigError::Invalid(KEYS_URL, "it begins with http:// or https:// and names a host".into()));
        }
        let wrong = |error: String| ConfigError::Invalid(CA_FILE, error);
        let pem = env.text(CA_FILE).map(std::fs::read).transpose().map_err(|error| wrong(error.to_string()))?;
        let claim = |name, default: &str| env.get(name, default.to_owned());
        Ok(Some(Self {
            issuer,
            audience: env.required("ROOKERY_IDENTITY_AUDIENCE", why)?,
            keys_url,
            roots: Arc::new(roots(pem.as_deref()).map_err(wrong)?),
            claims: ClaimNames {
                username: claim("ROOKERY_IDENTITY_CLAIM_USERNAME", "preferred_username")?,
                email: claim("ROOKERY_IDENTITY_CLAIM_EMAIL", "email")?,
                name: claim("ROOKERY_IDENTITY_CLAIM_NAME", "name")?,
                first_name: claim("ROOKERY_IDENTITY_CLAIM_FIRST_NAME", "given_name")?,
                last_name: claim("ROOKERY_IDENTITY_CLAIM_LAST_NAME", "family_name")?,
                picture: claim("ROOKERY_IDENTITY_CLAIM_PICTURE", "picture")?,
            },
        }))
    }
}
