//! Reading settings from the environment: one reader, errors that name the variable, nothing read twice.
//!
//! Every crate has its own struct of settings and fills it through [`Env`] in its `config.rs`, before a port is bound.

use crate::token::TokenKeys;
use std::{collections::HashMap, fmt::Display, net::SocketAddr, str::FromStr, time::Duration};

/// A setting that is missing or wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Needed, and not set.
    #[error("{0} is not set: {1}")]
    Missing(&'static str, &'static str),
    /// Set to something else than expected. The value is not repeated, as it may be a secret.
    #[error("{0} is not valid: {1}")]
    Invalid(&'static str, String),
}

/// The settings of a process, as text.
#[derive(Clone, Debug, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// The environment of this process. An empty value counts as not set.
    pub fn process() -> Self {
        Self::from_pairs(std::env::vars())
    }

    /// Settings given one by one, for tests.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self(pairs.filter(|(_, value): &(String, String)| !value.is_empty()).collect())
    }

    /// The text of a setting, where set.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A setting with a default.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &'static str, default: T) -> Result<T, ConfigError> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// A setting that may be absent.
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Option<T>, ConfigError> {
        let parse = |text: &str| text.trim().parse().map_err(|e: T::Err| ConfigError::Invalid(name, e.to_string()));
        self.text(name).map(parse).transpose()
    }

    /// A setting that must be there; `why` goes into the error.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &'static str, why: &'static str) -> Result<T, ConfigError> {
        self.optional(name)?.ok_or(ConfigError::Missing(name, why))
    }

    /// A duration in whole seconds, with a default.
    pub fn seconds(&self, name: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        Ok(self.optional(name)?.map_or(default, Duration::from_secs))
    }

    /// A list with commas; empty if not set.
    pub fn list<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Vec<T>, ConfigError> {
        let items = self.text(name).unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| item.parse().map_err(|e: T::Err| ConfigError::Invalid(name, e.to_string()))).collect()
    }

    /// A secret of at least 32 bytes that is not an example's.
    pub fn secret(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text.len() < 32 {
            return Err(ConfigError::Invalid(name, "a secret has at least 32 bytes".into()));
        }
        let lower = text.to_ascii_lowercase();
        if ["change", "example", "secret", "default"].iter().any(|word| lower.contains(word)) {
            return Err(ConfigError::Invalid(name, "this is an example's secret; make one of your own".into()));
        }
        Ok(Some(text.to_owned()))
    }
}

/// What every program has.
#[derive(Clone, Debug)]
pub struct Common {
    /// `ROOKERY_LISTEN`: address and port to listen on.
    pub listen: SocketAddr,
    /// `ROOKERY_LOG`: which log lines are written, in the words of tracing's filter. Default `info`.
    pub log: String,
    /// `ROOKERY_LOG_FORMAT`: `text` (default) or `json`.
    pub log_json: bool,
    /// `ROOKERY_OTLP_ENDPOINT`: where traces go (gRPC). Default: nowhere.
    pub otlp_endpoint: Option<String>,
    /// `ROOKERY_SHUTDOWN_DEADLINE_SECONDS`: how long a stop may take before it is hardened. Default 30 s.
    pub shutdown_deadline: Duration,
}

impl Common {
    /// Reads what every program has; `listen` is the program's own default.
    pub fn read(env: &Env, listen: SocketAddr) -> Result<Self, ConfigError> {
        let log_json = match env.text("ROOKERY_LOG_FORMAT") {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => return Err(ConfigError::Invalid("ROOKERY_LOG_FORMAT", "expected text or json".into())),
        };
        Ok(Self {
            listen: env.get("ROOKERY_LISTEN", listen)?,
            log: env.get("ROOKERY_LOG", "info".to_owned())?,
            log_json,
            otlp_endpoint: env.optional("ROOKERY_OTLP_ENDPOINT")?,
            shutdown_deadline: env.seconds("ROOKERY_SHUTDOWN_DEADLINE_SECONDS", Duration::from_secs(30))?,
        })
    }
}

/// Reads the keys of tokens: a key set in the file that `file` names, or a secret in `ROOKERY_TOKEN_SECRET` that is
/// for development.
pub fn token_keys(env: &Env, file: &'static str) -> Result<TokenKeys, ConfigError> {
    if let Some(path) = env.text(file) {
        let wrong = |error: String| ConfigError::Invalid(file, error);
        let json = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        return TokenKeys::from_key_set(&json).map_err(|error| wrong(error.to_string()));
    }
    let secret = env.secret("ROOKERY_TOKEN_SECRET")?;
    let missing = ConfigError::Missing(file, "tokens need a key set, or ROOKERY_TOKEN_SECRET for development");
    secret.map(|secret| TokenKeys::shared_secret(secret.as_bytes())).ok_or(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_and_its_value_is_not_repeated() {
        let env = Env::from_pairs([("ROOKERY_TOKEN_SECRET", "hunter2"), ("ROOKERY_CORES", "many")]);
        let error = env.secret("ROOKERY_TOKEN_SECRET").expect_err("too short").to_string();
        assert!(error.contains("ROOKERY_TOKEN_SECRET") && !error.contains("hunter2"));
        assert!(env.get("ROOKERY_CORES", 1_usize).is_err());
    }

    #[test]
    fn a_secret_out_of_an_example_is_refused() {
        let env = Env::from_pairs([("S", "change-me-change-me-change-me-change-me")]);
        assert!(env.secret("S").is_err());
    }

    #[test]
    fn an_empty_setting_is_not_set() {
        let env = Env::from_pairs([("A", ""), ("B", "1, 2,")]);
        assert_eq!(env.get("A", 7), Ok(7));
        assert_eq!(env.list::<u8>("B"), Ok(vec![1, 2]));
    }
}
