//! Presence as a lease: who is there, on which devices, for as long as the node that says so is alive.
//!
//! A device's entry names the incarnation of its node and is valid while that incarnation's heartbeat is. Nobody
//! compares clocks: the store's own time decides when a heartbeat is over, and which device came first.

pub mod memory;
pub mod redis;

pub use self::{memory::MemoryPresence, redis::RedisPresence};

use crate::{
    clock::Time,
    ids::{ConnectionId, Incarnation, UserId},
    model::{NodeReport, Status},
};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A call under way.
pub type PresenceCall<'a, T> = Pin<Box<dyn Future<Output = Result<T, PresenceError>> + Send + 'a>>;

/// Presence is not to be had now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("presence is not reachable: {0}")]
pub struct PresenceError(pub String);

/// How long a heartbeat holds. A node beats at a third of it; no ghost outlives it by more than a sweep.
pub const LEASE: Duration = Duration::from_secs(12);

/// One connected device, as its node registers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Whose.
    pub user: UserId,
    /// Which socket.
    pub connection: ConnectionId,
}

/// What came of registering a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Whether its user has come online with it.
    pub came_online: bool,
    /// The oldest of the user's devices, as many as are too many.
    pub surplus: Vec<ConnectionId>,
}

/// What is known of a user's devices; what they want others to know is not this module's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Offline unless a valid device is there.
    pub status: Status,
    /// When the last device went; `None` while one is there, or if none ever was.
    pub last_seen: Option<Time>,
}

/// Who is there.
///
/// Guarantees, tried by the conformance suite:
/// - `connect` says `came_online` exactly for the device that turned its user from offline to online, across all nodes.
/// - Of the devices that are valid and not leaving, `connect` names those as surplus that have `most` newer ones. It
///   names them again until they are gone. A device that registers again keeps its age.
/// - `disconnect` answers true exactly for the one that turned its user offline.
/// - A device whose incarnation has not beaten for [`LEASE`] does not count, for anyone, from then on.
/// - `sweep` gives a user that a dead incarnation left offline to exactly one caller.
/// - Every operation is idempotent.
pub trait Presence: Send + Sync + 'static {
    /// Keeps this incarnation alive for [`LEASE`] from now. False if it was not known: then every device of this node
    /// has to be registered again.
    fn beat(&self, node: Incarnation) -> PresenceCall<'_, bool>;

    /// Registers devices of this node, of which a user may have `most`; for each, what came of it.
    fn connect<'a>(&'a self, node: Incarnation, devices: &'a [Device], most: u32) -> PresenceCall<'a, Vec<Arrival>>;

    /// These devices have gone and are about to be taken back: they count for their users' presence, and no longer
    /// among the devices that a user may have.
    fn leaving<'a>(&'a self, devices: &'a [Device]) -> PresenceCall<'a, ()>;

    /// Takes devices back; for each, whether its user has gone offline with it.
    fn disconnect<'a>(&'a self, node: Incarnation, devices: &'a [Device]) -> PresenceCall<'a, Vec<bool>>;

    /// What is known of users, in the order asked.
    fn seen<'a>(&'a self, users: &'a [UserId]) -> PresenceCall<'a, Vec<Seen>>;

    /// How many users have devices; those that dead incarnations left count until they are swept.
    fn count(&self) -> PresenceCall<'_, u64>;

    /// What this incarnation says of itself, for as long as it beats.
    fn report<'a>(&'a self, report: &'a NodeReport) -> PresenceCall<'a, ()>;

    /// What the incarnations that are alive have reported, by name.
    fn nodes(&self) -> PresenceCall<'_, Vec<NodeReport>>;

    /// Removes what dead incarnations left; gives the users that are offline by it.
    fn sweep(&self) -> PresenceCall<'_, Vec<UserId>>;

    /// Ends this incarnation in good order: what it still holds counts no longer, and is not swept as dead.
    fn retire(&self, node: Incarnation) -> PresenceCall<'_, ()>;
}

/// A presence handle that several parts share.
pub type SharedPresence = Arc<dyn Presence>;
