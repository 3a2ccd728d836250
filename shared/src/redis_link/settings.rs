//! The settings of Redis, the same for every program of a cluster.

use super::RedisConfig;
use crate::config::{ConfigError, Env};

impl RedisConfig {
    /// Reads `ROOKERY_REDIS_URLS` (with commas; needed), `ROOKERY_REDIS_MODE` (`single` by default, `sentinel` or
    /// `cluster`), `ROOKERY_REDIS_SENTINEL_MASTER` (in that mode) and `ROOKERY_REDIS_PREFIX` (`rookery` by default).
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let urls: Vec<String> = env.list("ROOKERY_REDIS_URLS")?;
        if urls.is_empty() {
            return Err(ConfigError::Missing(
                "ROOKERY_REDIS_URLS",
                "the nodes of a cluster reach one another by Redis",
            ));
        }
        Ok(Self {
            urls,
            mode: env.get("ROOKERY_REDIS_MODE", default.mode)?,
            sentinel_master: env.optional("ROOKERY_REDIS_SENTINEL_MASTER")?,
            prefix: env.get("ROOKERY_REDIS_PREFIX", default.prefix.clone())?,
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_link::RedisMode;

    #[test]
    fn redis_is_read_from_the_environment_and_never_assumed() {
        assert!(RedisConfig::read(&Env::default()).is_err());
        let env =
            Env::from_pairs([("ROOKERY_REDIS_URLS", "redis://a:1, redis://b:2"), ("ROOKERY_REDIS_MODE", "cluster")]);
        let config = RedisConfig::read(&env).expect("in order");
        assert_eq!((config.urls.len(), config.mode), (2, RedisMode::Cluster));
    }
}
