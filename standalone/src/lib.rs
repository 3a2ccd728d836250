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
    time::Duration,
};
use tokio::net::TcpListener;

/// The standalone program, ready to be served.
pub struct Standalone {
    app: Router,
    gateway: Gateway,
    api: Api,
    deadline: Duration,
}

impl Standalone {
    /// Opens what is kept in the data folder, and starts both services.
    pub async fn start(config: StandaloneConfig, metrics: Metrics) -> anyhow::Result<Self> {
        Self::with_publisher(config, metrics, |bus| bus).await
    }

    /// [`start`](Self::start), with something between the api and the bus: tests publish badly through it.
    pub async fn with_publisher(
        config: StandaloneConfig,
        metrics: Metrics,
        publisher: impl FnOnce(SharedBus) -> SharedBus,
    ) -> anyhow::Result<Self> {
        let StandaloneConfig { common, data, mut api, gateway } = config;
        // Nobody else writes this store: what is not indexed was left by this program's last life.
        api.indexer.takeover_after = Duration::ZERO;
        let store = open_store(&data).await?;
        let tokens = TokenKeys::shared_secret(token_secret(&data)?.as_bytes());
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
        let app = api.router().merge(gateway.sockets());
        Ok(Self { app, gateway, api, deadline: common.shutdown_deadline })
    }

    /// Serves pages, REST and sockets on one port until `shutdown` completes, and stops in good order.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let node = self.gateway.node.clone();
        let drained = async move {
            shutdown.await;
            node.drain_and_wait().await;
        };
        lifecycle::serve(listener, self.app, drained, self.deadline).await;
        self.gateway.node.retire().await;
        self.api.finish().await;
    }
}

/// Opens what is kept in the data folder, and makes both where they are missing.
pub async fn open_store(data: &Path) -> anyhow::Result<Arc<SqliteStore>> {
    fs::create_dir_all(data).with_context(|| format!("cannot make the folder {}", data.display()))?;
    SqliteStore::open(&data.join("rookery.sqlite")).await.context("cannot open the store")
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
