//! How a process reaches Redis.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use std::{fmt, str::FromStr, time::Duration};

/// What sort of Redis stands behind the URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisMode {
    /// One server; classic pub/sub.
    #[default]
    Single,
    /// One master behind Sentinels, which are asked for it at every connect; classic pub/sub.
    Sentinel,
    /// A Redis Cluster, version 7 or later; sharded pub/sub.
    Cluster,
}

impl FromStr for RedisMode {
    type Err = BadRedisConfig;

    fn from_str(text: &str) -> Result<Self, BadRedisConfig> {
        match text {
            "single" => Ok(Self::Single),
            "sentinel" => Ok(Self::Sentinel),
            "cluster" => Ok(Self::Cluster),
            _ => Err(BadRedisConfig("the mode is single, sentinel or cluster".to_owned())),
        }
    }
}

/// How to reach Redis, and how much to keep for it.
#[derive(Clone)]
pub struct RedisConfig {
    /// What stands behind the URLs. Default: single.
    pub mode: RedisMode,
    /// `redis://[user[:password]@]host[:port][/database]`: the server; or the Sentinels; or some nodes of the cluster.
    /// User, password and database of the first hold for every server, Sentinels included (which have no databases).
    /// Default: `redis://127.0.0.1:6379`.
    pub urls: Vec<String>,
    /// The name under which the Sentinels know the master; needed in that mode. Default: none.
    pub sentinel_master: Option<String>,
    /// What every name in Redis begins with. Default: `rookery`.
    pub prefix: String,
    /// Bytes of published events that may wait for Redis, per master; more are dropped, and heal. Default: 16 MiB.
    pub publish_queue_bytes: usize,
    /// Longest time to connect and sign in, and longest silence of a server that owes an answer. Default: 3 s.
    pub response_timeout: Duration,
    /// Seconds that an announced head is kept. Default: 1 day.
    pub head_seconds: u32,
    /// Connections for presence and limits, each of which carries many calls at once. Default: 4.
    pub pool_size: usize,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            mode: RedisMode::Single,
            urls: vec!["redis://127.0.0.1:6379".to_owned()],
            sentinel_master: None,
            prefix: "rookery".to_owned(),
            publish_queue_bytes: 16 << 20,
            response_timeout: Duration::from_secs(3),
            head_seconds: 86_400,
            pool_size: 4,
        }
    }
}

/// URLs may hold a password, so they are not shown.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("mode", &self.mode).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A configuration that cannot work, whether Redis is up or not. Holds no URL, as that may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration of Redis is not valid: {0}")]
pub struct BadRedisConfig(pub(crate) String);

/// A configuration that was read.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) mode: RedisMode,
    pub(crate) addresses: Vec<String>,
    pub(crate) sentinel_master: String,
    pub(crate) login: Login,
}

/// Who we are to a server.
#[derive(Clone, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl RedisConfig {
    /// A single server at this URL, everything else as by default.
    pub fn single(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }

    /// A cluster with these nodes among its nodes, everything else as by default.
    pub fn cluster(urls: Vec<String>) -> Self {
        Self { mode: RedisMode::Cluster, urls, ..Self::default() }
    }

    /// A master of this name behind these Sentinels, everything else as by default.
    pub fn sentinel(urls: Vec<String>, master: impl Into<String>) -> Self {
        Self { mode: RedisMode::Sentinel, urls, sentinel_master: Some(master.into()), ..Self::default() }
    }

    /// The URLs as redis-rs reads them.
    pub(crate) fn infos(&self) -> Result<Vec<ConnectionInfo>, BadRedisConfig> {
        let parse = |url: &String| {
            url.as_str().into_connection_info().map_err(|_| BadRedisConfig("a URL cannot be read".to_owned()))
        };
        self.urls.iter().map(parse).collect()
    }

    /// Checks everything that can be checked without a server.
    pub(crate) fn endpoints(&self) -> Result<Endpoints, BadRedisConfig> {
        let infos = self.infos()?;
        let first = infos.first().ok_or_else(|| BadRedisConfig("no URL is given".to_owned()))?;
        let settings = first.redis_settings();
        let login = Login {
            user: settings.username().map(ToOwned::to_owned),
            password: settings.password().map(ToOwned::to_owned),
            database: settings.db(),
        };
        if self.mode == RedisMode::Cluster && login.database != 0 {
            return Err(BadRedisConfig("a cluster has no database but 0".to_owned()));
        }
        if self.mode == RedisMode::Sentinel && self.sentinel_master.is_none() {
            return Err(BadRedisConfig("the Sentinels' name of the master is missing".to_owned()));
        }
        let address = |info: &ConnectionInfo| match info.addr() {
            ConnectionAddr::Tcp(host, port) => Ok(format!("{host}:{port}")),
            _ => Err(BadRedisConfig("only redis:// URLs are supported".to_owned())),
        };
        let addresses = infos.iter().map(address).collect::<Result<_, _>>()?;
        let sentinel_master = self.sentinel_master.clone().unwrap_or_default();
        Ok(Endpoints { mode: self.mode, addresses, sentinel_master, login })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_work_is_refused() {
        let refused = |config: RedisConfig| config.endpoints().is_err();
        assert!(refused(RedisConfig { urls: Vec::new(), ..RedisConfig::default() }));
        assert!(refused(RedisConfig::single("http://127.0.0.1")));
        assert!(refused(RedisConfig { mode: RedisMode::Sentinel, ..RedisConfig::default() }));
        assert!(refused(RedisConfig::cluster(vec!["redis://127.0.0.1/3".to_owned()])));
    }

    #[test]
    fn the_login_is_read_from_the_url_and_never_shown() {
        let config = RedisConfig::single("redis://me:secret@localhost:7000/2");
        let endpoints = config.endpoints().expect("is valid");
        assert_eq!(endpoints.addresses, ["localhost:7000"]);
        assert_eq!(endpoints.login.password.as_deref(), Some("secret"));
        assert_eq!(endpoints.login.database, 2);
        assert!(!format!("{config:?}{endpoints:?}").contains("secret"));
    }
}
