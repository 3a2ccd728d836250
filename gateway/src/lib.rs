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
use hub::inbox::Inbox;
use node::{Node, Parts, interest::Interest};
use rookery_shared::{
    backend::Backend, bus::SharedBus, presence::SharedPresence, telemetry::Metrics, token::TokenVerifier,
};
use std::{io, sync::Arc};
use tokio::runtime::Handle;

/// A running gateway, without a port of its own.
pub struct Gateway {
    /// The node behind it.
    pub node: Arc<Node>,
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
        tokio::spawn(node.clone().watch_generation());
        tokio::spawn(node.clone().beat());
        tokio::spawn(node.clone().sweep());
        Ok(Self { node })
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
