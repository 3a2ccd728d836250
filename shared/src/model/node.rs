//! Gateways, as administrators see them.

use crate::{clock::Time, ids::Incarnation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a gateway says of itself with each heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// This life of this process.
    pub id: Incarnation,
    /// What it calls itself: `Rookery-Node` in the answers to upgrades.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Open sockets.
    pub connections: u64,
    /// Logs that it follows.
    pub streams: u64,
    /// When it started.
    pub started_at: Time,
    /// Whether it takes no new connections, and has sent its clients away.
    pub draining: bool,
}
