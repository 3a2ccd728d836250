//! One `redis-server`.

use super::process::{Process, free_port, poll, program};
use redis::{Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};
use std::ffi::OsString;

/// A Redis on a free port of 127.0.0.1, without persistence, that ends with this handle.
///
/// The program is `$REDIS_SERVER`, else `redis-server` of `PATH`.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
}

impl RedisServer {
    /// Starts an empty server and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts an empty server with more command line options.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn start_with(options: &[&str]) -> Self {
        loop {
            let port = free_port();
            let process = Process::start(program("REDIS_SERVER", "redis-server"), |_| {
                let port = port.to_string();
                let fixed = ["--port", &port, "--bind", "127.0.0.1", "--logfile", "log"];
                let memory_only = ["--save", "", "--appendonly", "no"];
                fixed.iter().chain(&memory_only).chain(options).map(OsString::from).collect()
            });
            let mut server = Self { process, port };
            if server.ready().await {
                return server;
            }
            let log = server.process.log();
            assert!(log.contains("Address already in use"), "redis-server ended: {log}");
        }
    }

    /// `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server as `kill -9` does; everything in it is lost.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Kills the server if it runs, and starts it empty on the same port.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process.spawn();
        assert!(self.ready().await, "redis-server ended: {}", self.process.log());
    }

    /// Stops the server in the middle of whatever it does; connections stay open and get no answer.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets a paused server run on.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// A connection of redis-rs.
    pub async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }

    /// Runs one command.
    ///
    /// # Panics
    /// If the server is down or refuses.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let mut connection = self.connection().await.expect("the server answers");
        command.query_async(&mut connection).await.expect("the server accepts the command")
    }

    /// Waits for an answer; false if the process ended instead.
    async fn ready(&mut self) -> bool {
        poll("redis-server answers", async || {
            if self.process.has_ended() {
                return Some(false);
            }
            let mut connection = self.connection().await.ok()?;
            redis::cmd("PING").query_async::<String>(&mut connection).await.ok().map(|_| true)
        })
        .await
    }
}
