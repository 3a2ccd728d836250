//! Occasional scripts for presence and limits, over pooled connections.
//!
//! Each connection is multiplexed: all calls of a batch are written before the first answer is read, in a cluster to
//! each master its own. A script is called by its hash, and sent in full to a server that does not know it.

use super::config::{BadRedisConfig, RedisConfig, RedisMode};
use deadpool_redis::{Runtime, cluster, sentinel};
use futures_util::future::join_all;
use redis::{Cmd, RedisError, Script, ServerErrorKind, Value, aio::ConnectionLike};
use std::time::Duration;

/// A script and how its calls are made.
pub(crate) struct Lua {
    text: &'static str,
    hash: String,
}

impl Lua {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }

    /// A call with keys and arguments.
    pub(crate) fn call(&self, keys: Vec<String>, arguments: Vec<String>) -> Call<'_> {
        Call { script: self, keys, arguments }
    }
}

/// A call that was not yet made.
pub(crate) struct Call<'a> {
    script: &'a Lua,
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Call<'_> {
    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

/// Why a script did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("no connection: {0}")]
    Pool(String),
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Slow,
}

/// The pool, by what stands behind it.
pub(crate) enum Scripts {
    Single(deadpool_redis::Pool),
    Sentinel(sentinel::Pool),
    Cluster(cluster::Pool),
}

impl Scripts {
    /// Makes a pool that has no connection yet.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, BadRedisConfig> {
        let endpoints = config.endpoints()?;
        let bad = |_| BadRedisConfig("a URL cannot be used".to_owned());
        let size = config.pool_size.max(1);
        let wait = Some(config.response_timeout);
        Ok(match config.mode {
            RedisMode::Single => {
                let info = config.infos()?.swap_remove(0);
                let manager = deadpool_redis::Manager::new(info).map_err(bad)?;
                let builder = deadpool_redis::Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1);
                Self::Single(builder.timeouts(timeouts(wait)).build().map_err(|_| unbuildable())?)
            }
            RedisMode::Sentinel => {
                let settings = config.infos()?.swap_remove(0).redis_settings().clone();
                let login = redis::sentinel::SentinelNodeConnectionInfo::default().set_redis_connection_info(settings);
                let sentinels: Vec<_> = config
                    .infos()?
                    .into_iter()
                    .map(|info| {
                        // Sentinels have no databases.
                        let settings = info.redis_settings().clone().set_db(0);
                        info.set_redis_settings(settings)
                    })
                    .collect();
                let node = Some(login.into());
                let kind = sentinel::SentinelServerType::Master;
                let manager = sentinel::Manager::new(sentinels, endpoints.sentinel_master, node, kind).map_err(bad)?;
                let builder = sentinel::Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1);
                Self::Sentinel(builder.timeouts(timeouts(wait)).build().map_err(|_| unbuildable())?)
            }
            RedisMode::Cluster => {
                let manager = cluster::Manager::new(config.infos()?, false).map_err(bad)?;
                let builder = cluster::Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1);
                Self::Cluster(builder.timeouts(timeouts(wait)).build().map_err(|_| unbuildable())?)
            }
        })
    }

    /// Makes all calls at once. Answers in their order; the first error counts, as then nothing more is known.
    pub(crate) async fn run(&self, calls: &[Call<'_>], within: Duration) -> Result<Vec<Value>, ScriptError> {
        tokio::time::timeout(within, self.run_all(calls)).await.map_err(|_| ScriptError::Slow)?
    }

    async fn run_all(&self, calls: &[Call<'_>]) -> Result<Vec<Value>, ScriptError> {
        let pool = |error: String| ScriptError::Pool(error);
        match self {
            Self::Single(it) => run_on(&*it.get().await.map_err(|e| pool(e.to_string()))?, calls).await,
            Self::Sentinel(it) => run_on(&*it.get().await.map_err(|e| pool(e.to_string()))?, calls).await,
            Self::Cluster(it) => run_on(&*it.get().await.map_err(|e| pool(e.to_string()))?, calls).await,
        }
    }

    /// Runs one command that names its key.
    pub(crate) async fn command(&self, command: &Cmd, within: Duration) -> Result<Value, ScriptError> {
        let run = async {
            let pool = |error: String| ScriptError::Pool(error);
            Ok(match self {
                Self::Single(it) => command.query_async(&mut it.get().await.map_err(|e| pool(e.to_string()))?).await?,
                Self::Sentinel(it) => {
                    command.query_async(&mut it.get().await.map_err(|e| pool(e.to_string()))?).await?
                }
                Self::Cluster(it) => command.query_async(&mut it.get().await.map_err(|e| pool(e.to_string()))?).await?,
            })
        };
        tokio::time::timeout(within, run).await.map_err(|_| ScriptError::Slow)?
    }
}

fn timeouts(wait: Option<Duration>) -> deadpool_redis::Timeouts {
    deadpool_redis::Timeouts { wait, create: wait, recycle: wait }
}

fn unbuildable() -> BadRedisConfig {
    BadRedisConfig("the pool cannot be built".to_owned())
}

async fn run_on<C: ConnectionLike + Clone>(connection: &C, calls: &[Call<'_>]) -> Result<Vec<Value>, ScriptError> {
    let run = calls.iter().map(|call| {
        let mut connection = connection.clone();
        async move {
            let by_hash = call.command("EVALSHA", &call.script.hash).query_async(&mut connection).await;
            match by_hash {
                Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                    call.command("EVAL", call.script.text).query_async(&mut connection).await
                }
                other => other,
            }
        }
    });
    let answers: Result<Vec<Value>, RedisError> = join_all(run).await.into_iter().collect();
    Ok(answers?)
}
