//! The standalone program as a library: gateway and api in one process, on embedded backends, on one port.

pub mod config;

use anyhow::Context as _;
use axum::Router;
use config::StandaloneConfig;
use rookery_api::{Api, Parts, store::sqlite::SqliteStore};
use rookery_gateway::{Gateway, Needs, interest};
use rookery_shared::{
    bus::{SharedBus, memory::MemoryBus},
    lifecycle,
    limits::memory::MemoryLimits,
    presence::memory::MemoryPresence,
    telemetry::Metrics,
    token::{TokenKeys, random_secret},
};
use std::{
    fs,
    future::Future,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};
use tokio::net::TcpListener;

/// Serves on a bound listener until `shutdown` completes: pages, REST and sockets on one port.
pub async fn run(
    listener: TcpListener,
    config: StandaloneConfig,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    run_with_bus(listener, config, metrics, shutdown, |bus| bus).await
}

/// [`run`], with something between the api and the bus: tests publish badly through it.
pub async fn run_with_bus(
    listener: TcpListener,
    config: StandaloneConfig,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
    publisher: impl FnOnce(SharedBus) -> SharedBus,
) -> anyhow::Result<()> {
    let StandaloneConfig { common, data, api, gateway } = config;
    fs::create_dir_all(&data).with_context(|| format!("cannot make the folder {}", data.display()))?;
    let tokens = TokenKeys::shared_secret(token_secret(&data)?.as_bytes());
    let store = SqliteStore::open(&data.join("rookery.sqlite")).await.context("cannot open the store")?;
    let bus = MemoryBus::new();
    let presence = Arc::new(MemoryPresence::new());
    let api = Api::new(Parts {
        store,
        bus: publisher(bus.publisher()),
        presence: presence.clone(),
        limits: Arc::new(MemoryLimits::new()),
        issuer: tokens.issuer()?,
        verifier: tokens.verifier(),
        metrics,
        internal_secret: None,
        config: api,
    });
    let interest = interest(&gateway);
    let gateway = Gateway::start(Needs {
        config: gateway,
        verifier: tokens.verifier(),
        backend: Arc::new(api.clone()),
        bus: bus.node(interest.clone()),
        presence,
        interest,
    })?;
    let app: Router = api.router().merge(gateway.sockets());
    let node = gateway.node.clone();
    let drained = async move {
        shutdown.await;
        node.drain_and_wait().await;
    };
    lifecycle::serve(listener, app, drained, common.shutdown_deadline).await;
    gateway.node.retire().await;
    Ok(())
}

/// The secret that signs tokens: made at the first start, then kept, so that people stay signed in over a restart.
fn token_secret(data: &Path) -> anyhow::Result<String> {
    let path = data.join("token.secret");
    let name = path.display();
    match fs::read_to_string(&path) {
        Ok(secret) => return Ok(secret.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
    }
    let secret = random_secret();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot make {name}"))?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).with_context(|| format!("cannot write {name}"))?;
    Ok(secret)
}
