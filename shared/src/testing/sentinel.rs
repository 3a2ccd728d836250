//! A master, a replica, and one Sentinel that watches them.

use super::{
    RedisServer, free_port,
    process::{Process, poll, program},
};
use std::ffi::OsString;

/// The name under which the Sentinel knows its master.
const MASTER: &str = "rookery";

/// A master with one replica and one Sentinel, on free ports of 127.0.0.1, that end with this handle.
#[derive(Debug)]
pub struct RedisSentinel {
    master: RedisServer,
    replica: RedisServer,
    _sentinel: Process,
    port: u16,
}

impl RedisSentinel {
    /// Starts all three and waits until the Sentinel knows the replica.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn start() -> Self {
        let master = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]).await;
        let port_text = master.port().to_string();
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port_text]).await;
        let port = free_port();
        let sentinel = Process::start(program("REDIS_SERVER", "redis-server"), |folder| {
            let config = format!(
                "port {port}\nbind 127.0.0.1\nlogfile log\nsentinel monitor {MASTER} 127.0.0.1 {port_text} 1\n\
                 sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 5000\n"
            );
            // The Sentinel writes what it learns into this file.
            std::fs::write(folder.join("sentinel.conf"), config).expect("the folder is writable");
            ["sentinel.conf", "--sentinel"].map(OsString::from).to_vec()
        });
        let started = Self { master, replica, _sentinel: sentinel, port };
        started.replica_known().await;
        started
    }

    /// The URL of the Sentinel.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The name of the master.
    pub fn master_name(&self) -> &'static str {
        MASTER
    }

    /// Kills the first master; the Sentinel promotes the replica a few seconds later.
    pub fn kill_master(&mut self) {
        self.master.kill();
    }

    /// The server that was the replica at first.
    pub fn replica(&self) -> &RedisServer {
        &self.replica
    }

    async fn replica_known(&self) {
        poll("the Sentinel knows the replica", async || {
            let client = redis::Client::open(self.url()).ok()?;
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let mut replicas = redis::cmd("SENTINEL");
            let list: Vec<redis::Value> =
                replicas.arg("REPLICAS").arg(MASTER).query_async(&mut connection).await.ok()?;
            let role: redis::Value =
                redis::cmd("ROLE").query_async(&mut self.replica.connection().await.ok()?).await.ok()?;
            let synchronised = format!("{role:?}").contains("connected");
            (!list.is_empty() && synchronised).then_some(())
        })
        .await;
    }
}
