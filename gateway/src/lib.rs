//! The gateway: sockets of clients, and everything that reaches them, in order and once.

pub mod backend;
pub mod config;
pub mod feed;
pub mod handshake;
pub mod hub;
pub mod node;
pub mod session;
pub mod transport;

use axum::Router;
use backend::HttpBackend;
use config::ClusterConfig;
use hub::inbox::{Inbox, Mail};
use node::{Node, Parts, interest::Interest};
use rookery_shared::{
    backend::Backend,
    bus::{SharedBus, redis::RedisBus},
    lifecycle,
    presence::{SharedPresence, redis::RedisPresence},
    redis_link::BadRedisConfig,
    telemetry::Metrics,
    token::TokenVerifier,
};
use std::{io, sync::Arc};
use tokio::{net::TcpListener, runtime::Handle, task::AbortHandle};

/// Serves a gateway of a cluster on a bound listener until `shutdown` completes, and stops in good order: clients are
/// sent elsewhere first, then what is under way is answered.
pub async fn run(
    listener: TcpListener,
    config: ClusterConfig,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let ClusterConfig { common, gateway, api_urls, internal_secret, redis, tokens } = config;
    let interest = interest(&gateway);
    let bus = RedisBus::connect(redis.clone(), Some(interest.clone())).await?;
    let presence = Arc::new(RedisPresence::new(&redis)?);
    let backend = Arc::new(HttpBackend::new(api_urls, &internal_secret)?);
    let needs = Needs { config: gateway, verifier: tokens.verifier(), backend, bus, presence, interest };
    let gateway = Gateway::start(needs)?;
    let app = gateway.sockets().merge(gateway.operations(metrics));
    let node = gateway.node.clone();
    let drained = async move {
        shutdown.await;
        node.drain_and_wait().await;
    };
    lifecycle::serve(listener, app, drained, common.shutdown_deadline).await;
    gateway.node.retire().await;
    Ok(())
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration of Redis cannot work.
    #[error(transparent)]
    Redis(#[from] BadRedisConfig),
    /// The client for the apis could not be made.
    #[error("the way to the apis could not be made: {0}")]
    Http(#[from] reqwest::Error),
    /// The cores could not be started.
    #[error("the cores could not be started: {0}")]
    Cores(#[from] io::Error),
}

/// A running gateway, without a port of its own. Dropping it ends its cores and its standing tasks.
pub struct Gateway {
    /// The node behind it.
    pub node: Arc<Node>,
    standing: Vec<AbortHandle>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.standing.iter().for_each(AbortHandle::abort);
        self.node.tell_cores(|| Mail::Stop);
    }
}

/// What a gateway needs from outside.
pub struct Needs {
    /// Settings.
    pub config: config::GatewayConfig,
    /// Checks tokens.
    pub verifier: TokenVerifier,
    /// The way to the api.
    pub backend: Arc<dyn Backend>,
    /// Between nodes; made with [`interest`] as its sink.
    pub bus: SharedBus,
    /// Who is there.
    pub presence: SharedPresence,
    /// The sink that the bus was made with.
    pub interest: Arc<Interest>,
}

/// Makes the sink that a gateway's bus has to be made with.
pub fn interest(config: &config::GatewayConfig) -> Arc<Interest> {
    Interest::new((0..config.cores).map(|_| Arc::new(Inbox::new(config.inbox_bytes / config.cores))).collect())
}

impl Gateway {
    /// Starts the cores and the node's standing tasks, on the runtime that this is called on.
    pub fn start(needs: Needs) -> io::Result<Self> {
        let Needs { config, verifier, backend, bus, presence, interest } = needs;
        let node = Node::new(Parts { config, verifier, backend, bus, presence, interest }, Handle::current());
        hub::start_cores(&node)?;
        let standing = vec![
            tokio::spawn(node.clone().watch_generation()).abort_handle(),
            tokio::spawn(node.clone().beat()).abort_handle(),
            tokio::spawn(node.clone().sweep()).abort_handle(),
            tokio::spawn(node.clone().obey()).abort_handle(),
        ];
        Ok(Self { node, standing })
    }

    /// The sockets' part of the gateway's routes.
    pub fn sockets(&self) -> Router {
        handshake::router(self.node.clone())
    }

    /// What operators ask: health, readiness, metrics.
    pub fn operations(&self, metrics: Metrics) -> Router {
        handshake::operations(self.node.clone(), metrics)
    }
}
