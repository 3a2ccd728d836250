//! The api's settings, read from the environment here and nowhere else.

mod identity;

pub use identity::{ClaimNames, IdentityConfig};

use crate::{address::Network, search::IndexerConfig, writer::WriterConfig};
use rookery_shared::{
    config::{Common, ConfigError, Env, token_keys},
    limits::Limit,
    redis_link::RedisConfig,
    token::TokenKeys,
};
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Settings of the api that do not depend on where its data lies; `standalone` uses them too.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// How long people stay signed in.
    pub sessions: SessionConfig,
    /// What is limited.
    pub limits: LimitConfig,
    /// Who may call from where.
    pub http: HttpConfig,
    /// How messages are written.
    pub writer: WriterConfig,
    /// In which rooms presence is told.
    pub presence: PresenceConfig,
    /// In which rooms it is told who has read what.
    pub receipts: ReceiptConfig,
    /// How messages come into the search index. Not read from the environment.
    pub indexer: IndexerConfig,
    /// Whose tokens sign people in beside our own. Default: nobody's.
    pub identity: Option<IdentityConfig>,
}

/// In which rooms it is told who has read what; in larger ones it can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptConfig {
    /// `ROOKERY_RECEIPTS_MAX_ROOM`: members of the largest such room. Default 100.
    pub max_room: u64,
}

impl Default for ReceiptConfig {
    fn default() -> Self {
        Self { max_room: 100 }
    }
}

/// In which rooms presence is told.
#[derive(Clone, Copy, Debug)]
pub struct PresenceConfig {
    /// `ROOKERY_PRESENCE_MAX_ROOM`: members of the largest such room. Default 100.
    pub max_room: u64,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self { max_room: 100 }
    }
}

/// How long people stay signed in.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// `ROOKERY_ACCESS_TOKEN_SECONDS`: life of an access token. Default 900 s.
    pub access_lifetime: Duration,
    /// `ROOKERY_REFRESH_TOKEN_SECONDS`: life of a session that is not used. Default 2,592,000 s (30 days).
    pub refresh_lifetime: Duration,
    /// `ROOKERY_REFRESH_GRACE_SECONDS`: how long a rotated refresh token works once more. Default 30 s.
    pub refresh_grace: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            access_lifetime: Duration::from_mins(15),
            refresh_lifetime: Duration::from_hours(30 * 24),
            refresh_grace: Duration::from_secs(30),
        }
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    /// `ROOKERY_LIMIT_MESSAGES` in `ROOKERY_LIMIT_MESSAGES_WINDOW_SECONDS`: accepted messages of a user in a room.
    /// Default 5 in any 10 s.
    pub messages: Limit,
    /// `ROOKERY_LIMIT_SIGN_IN` in `ROOKERY_LIMIT_SIGN_IN_WINDOW_SECONDS`: sign-ins and registrations of an address.
    /// Default 20 in any 900 s.
    pub sign_in: Limit,
    /// `ROOKERY_LIMIT_FAILED_SIGN_IN`, in the window of sign-ins: failures of an account from one address. Default 5.
    pub failed_sign_in: Limit,
    /// `ROOKERY_LIMIT_FAILED_SIGN_IN_ACCOUNT`, in the window of sign-ins: failures of an account from everywhere.
    /// Default 50.
    pub failed_sign_in_account: Limit,
    /// `ROOKERY_LIMIT_REQUESTS`: REST requests per minute of a user, or of an address without a token, of one api.
    /// Default 600; as many may come at once.
    pub requests: u32,
    /// What one message may hold.
    pub content: ContentLimit,
}

/// What one message may hold.
#[derive(Clone, Copy, Debug)]
pub struct ContentLimit {
    /// `ROOKERY_MAX_CONTENT_CHARACTERS`: as people count them (extended grapheme clusters). Default 4,000.
    pub characters: usize,
    /// `ROOKERY_MAX_CONTENT_BYTES`: of UTF-8. Default 16,384.
    pub bytes: usize,
}

impl Default for ContentLimit {
    fn default() -> Self {
        Self { characters: 4_000, bytes: 16 * 1024 }
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        let sign_in = Duration::from_mins(15);
        Self {
            messages: Limit { max: 5, window: Duration::from_secs(10) },
            sign_in: Limit { max: 20, window: sign_in },
            failed_sign_in: Limit { max: 5, window: sign_in },
            failed_sign_in_account: Limit { max: 50, window: sign_in },
            requests: 600,
            content: ContentLimit::default(),
        }
    }
}

/// Who may call from where.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `ROOKERY_ALLOWED_ORIGINS`: web origins that may call from a browser, with commas. Default: none but our own.
    pub allowed_origins: Vec<String>,
    /// `ROOKERY_TRUSTED_PROXIES`: addresses or networks (CIDR), with commas, whose `X-Forwarded-For` is believed.
    /// Default: none.
    pub trusted_proxies: Vec<Network>,
    /// `ROOKERY_MAX_BODY_BYTES`: the longest body of a REST request. Default 65,536.
    pub max_body_bytes: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { allowed_origins: Vec::new(), trusted_proxies: Vec::new(), max_body_bytes: 64 * 1024 }
    }
}

impl ApiConfig {
    /// Reads the settings.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let sessions = SessionConfig {
            access_lifetime: env.seconds("ROOKERY_ACCESS_TOKEN_SECONDS", default.sessions.access_lifetime)?,
            refresh_lifetime: env.seconds("ROOKERY_REFRESH_TOKEN_SECONDS", default.sessions.refresh_lifetime)?,
            refresh_grace: env.seconds("ROOKERY_REFRESH_GRACE_SECONDS", default.sessions.refresh_grace)?,
        };
        let limits = LimitConfig::read(env, default.limits)?;
        let http = HttpConfig {
            allowed_origins: env.list("ROOKERY_ALLOWED_ORIGINS")?,
            trusted_proxies: env.list("ROOKERY_TRUSTED_PROXIES")?,
            max_body_bytes: at_least_one(env, "ROOKERY_MAX_BODY_BYTES", default.http.max_body_bytes)?,
        };
        let presence = PresenceConfig { max_room: env.get("ROOKERY_PRESENCE_MAX_ROOM", default.presence.max_room)? };
        let receipts = ReceiptConfig { max_room: env.get("ROOKERY_RECEIPTS_MAX_ROOM", default.receipts.max_room)? };
        let writer =
            WriterConfig { shards: env.get("ROOKERY_WRITER_SHARDS", default.writer.shards)?, ..default.writer };
        let identity = IdentityConfig::read(env)?;
        Ok(Self { sessions, limits, http, writer, presence, receipts, indexer: default.indexer, identity })
    }
}

impl LimitConfig {
    fn read(env: &Env, default: Self) -> Result<Self, ConfigError> {
        let messages = env.seconds("ROOKERY_LIMIT_MESSAGES_WINDOW_SECONDS", default.messages.window)?;
        let sign_in = env.seconds("ROOKERY_LIMIT_SIGN_IN_WINDOW_SECONDS", default.sign_in.window)?;
        let limit = |name, max: u32, window| {
            let max: u32 = env.get(name, max)?;
            // A limit of nothing would shut everyone out, and is surely a mistake.
            if max == 0 || window == Duration::ZERO {
                return Err(ConfigError::Invalid(name, "a limit is at least 1, in a window of at least 1 s".into()));
            }
            Ok(Limit { max, window })
        };
        Ok(Self {
            messages: limit("ROOKERY_LIMIT_MESSAGES", default.messages.max, messages)?,
            sign_in: limit("ROOKERY_LIMIT_SIGN_IN", default.sign_in.max, sign_in)?,
            failed_sign_in: limit("ROOKERY_LIMIT_FAILED_SIGN_IN", default.failed_sign_in.max, sign_in)?,
            failed_sign_in_account: limit(
                "ROOKERY_LIMIT_FAILED_SIGN_IN_ACCOUNT",
                default.failed_sign_in_account.max,
                sign_in,
            )?,
            requests: limit("ROOKERY_LIMIT_REQUESTS", default.requests, Duration::from_mins(1))?.max,
            content: ContentLimit {
                characters: at_least_one(env, "ROOKERY_MAX_CONTENT_CHARACTERS", default.content.characters)?,
                bytes: at_least_one(env, "ROOKERY_MAX_CONTENT_BYTES", default.content.bytes)?,
            },
        })
    }
}

/// A size of nothing would refuse everything, and is surely a mistake.
fn at_least_one(env: &Env, name: &'static str, default: usize) -> Result<usize, ConfigError> {
    match env.get(name, default)? {
        0 => Err(ConfigError::Invalid(name, "expected at least 1".into())),
        size => Ok(size),
    }
}

/// Settings of the `rookery-api` program.
pub struct ClusterConfig {
    /// What every program has. Listens on 127.0.0.1:8081 by default.
    pub common: Common,
    /// What does not depend on where data lies.
    pub api: ApiConfig,
    /// Where its data lies.
    pub store: StoreConfig,
    /// `ROOKERY_REDIS_URLS` and its kin: how to reach Redis. Needed.
    pub redis: RedisConfig,
    /// `ROOKERY_INTERNAL_SECRET`: what gateways show at `/internal/v1`, at least 32 bytes. Needed.
    pub internal_secret: String,
    /// `ROOKERY_TOKEN_KEYS_FILE` (a JSON Web Key Set of Ed25519 keys, for production) or `ROOKERY_TOKEN_SECRET` (at
    /// least 32 bytes, shared with the gateways, for development). One of them is needed.
    pub tokens: TokenKeys,
}

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URI may hold a password.
        f.debug_struct("ClusterConfig").field("common", &self.common).field("api", &self.api).finish_non_exhaustive()
    }
}

/// Where a cluster's data lies: what commands need that do not serve.
#[derive(Clone)]
pub struct StoreConfig {
    /// `ROOKERY_MONGODB_URI`: the replica set. Needed.
    pub mongodb_uri: String,
    /// `ROOKERY_MONGODB_DATABASE`: the database. Default `rookery`.
    pub mongodb_database: String,
}

impl StoreConfig {
    /// Reads the settings.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            mongodb_uri: env.required("ROOKERY_MONGODB_URI", "the cluster's api keeps its data in MongoDB")?,
            mongodb_database: env.get("ROOKERY_MONGODB_DATABASE", "rookery".to_owned())?,
        })
    }
}

impl ClusterConfig {
    /// Reads the settings; fails with the name of what is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let why = "gateways and apis of a cluster share it";
        Ok(Self {
            common: Common::read(env, SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)))?,
            api: ApiConfig::read(env)?,
            store: StoreConfig::read(env)?,
            redis: RedisConfig::read(env)?,
            internal_secret: env
                .secret("ROOKERY_INTERNAL_SECRET")?
                .ok_or(ConfigError::Missing("ROOKERY_INTERNAL_SECRET", why))?,
            tokens: token_keys(env, "ROOKERY_TOKEN_KEYS_FILE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "b5f5e2a4c3d94a0c8a1f6a7be2d1c0ff";

    fn env(change: (&str, &str)) -> Env {
        let mut pairs = vec![
            ("ROOKERY_MONGODB_URI", "mongodb://127.0.0.1"),
            ("ROOKERY_REDIS_URLS", "redis://127.0.0.1"),
            ("ROOKERY_INTERNAL_SECRET", SECRET),
            ("ROOKERY_TOKEN_SECRET", SECRET),
        ];
        pairs.retain(|(name, _)| *name != change.0);
        pairs.push(change);
        Env::from_pairs(pairs)
    }

    #[test]
    fn what_a_cluster_needs_is_named_when_it_is_missing_or_weak() {
        assert!(ClusterConfig::read(&env(("ROOKERY_LIMIT_MESSAGES", "7"))).is_ok());
        for (name, value) in [
            ("ROOKERY_MONGODB_URI", ""),
            ("ROOKERY_REDIS_URLS", ""),
            ("ROOKERY_INTERNAL_SECRET", ""),
            ("ROOKERY_INTERNAL_SECRET", "short"),
            ("ROOKERY_TOKEN_SECRET", ""),
            ("ROOKERY_TOKEN_KEYS_FILE", "/does/not/exist"),
            ("ROOKERY_LIMIT_MESSAGES", "0"),
            ("ROOKERY_MAX_CONTENT_BYTES", "0"),
            ("ROOKERY_TRUSTED_PROXIES", "nowhere/8"),
            ("ROOKERY_IDENTITY_AUDIENCE", "chat"),
            ("ROOKERY_IDENTITY_ISSUER", "https://id.example.org"),
        ] {
            let error = ClusterConfig::read(&env((name, value))).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
