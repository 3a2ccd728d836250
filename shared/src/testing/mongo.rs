//! One `mongod` as a replica set of one member.

use super::process::{Process, free_port, poll, program};
use mongodb::{Client, bson::doc, error::Error};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Where a `mongod` that is not installed is kept, below the workspace.
const CACHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/mongod/mongod");

/// A MongoDB replica set of one member on a free port of 127.0.0.1, that ends with this handle.
///
/// The program is `$MONGOD`, else `mongod` of `PATH`, else `.cache/mongod/mongod` of the workspace.
#[derive(Debug)]
pub struct MongoServer {
    process: Process,
    port: u16,
}

impl MongoServer {
    /// Starts an empty server and waits until it is primary.
    ///
    /// # Panics
    /// If it does not get there.
    pub async fn start() -> Self {
        loop {
            let port = free_port();
            let process = Process::start(mongod(), |folder| arguments(port, folder));
            let mut server = Self { process, port };
            if server.primary().await {
                return server;
            }
            let log = server.process.log();
            assert!(log.contains("Address already in use"), "mongod ended: {log}");
        }
    }

    /// A connection string that names the replica set.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?replicaSet=rs0", self.port)
    }

    /// Ends the server as `kill -9` does; what was majority-committed is in its journal.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Kills the server if it runs, starts it on the same port with the same data, and waits until it is primary.
    ///
    /// # Panics
    /// If it does not get there.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process.spawn();
        assert!(self.primary().await, "mongod ended: {}", self.process.log());
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

    /// Waits until the server is primary, initiating the set if need be; false if the process ended instead.
    async fn primary(&mut self) -> bool {
        let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=1000", self.port);
        let client = Client::with_uri_str(uri).await.expect("the connection string is right");
        poll("mongod is primary", async || {
            if self.process.has_ended() {
                return Some(false);
            }
            self.is_primary(&client).await.ok().filter(|primary| *primary)
        })
        .await
    }

    async fn is_primary(&self, client: &Client) -> Result<bool, Error> {
        let admin = client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).await?;
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return Ok(true);
        }
        if !hello.contains_key("setName") {
            let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", self.port) };
            let config = doc! { "_id": "rs0", "members": [member] };
            admin.run_command(doc! { "replSetInitiate": config }).await?;
        }
        Ok(false)
    }
}

fn arguments(port: u16, folder: &Path) -> Vec<OsString> {
    let port = port.to_string();
    let fixed = ["--bind_ip", "127.0.0.1", "--replSet", "rs0", "--logpath", "log", "--nounixsocket", "--port", &port];
    // Small, because several run beside one another on a test machine.
    let small = ["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"];
    // As docs/configuration.md asks of every server: what a killed api holds locked is free again soon.
    let as_documented = ["--setParameter", "transactionLifetimeLimitSeconds=3"];
    let mut arguments: Vec<OsString> = fixed.iter().chain(&small).chain(&as_documented).map(OsString::from).collect();
    arguments.extend(["--dbpath".into(), folder.into()]);
    arguments
}

#[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
fn mongod() -> PathBuf {
    let named = program("MONGOD", "mongod");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        named.components().count() > 1 || std::env::split_paths(&path).any(|folder| folder.join(&named).is_file());
    if found { named } else { CACHED.into() }
}
