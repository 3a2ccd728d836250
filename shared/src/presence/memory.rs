//! Presence inside one process.

use super::{Device, LEASE, Presence, PresenceCall, Seen};
use crate::{
    clock::{self, Time},
    ids::{ConnectionId, Incarnation, UserId},
    model::Status,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Presence of a process that shares it with no other. `lastSeen` is kept as long as the process lives.
pub struct MemoryPresence {
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: HashMap<Incarnation, Node>,
    users: HashMap<UserId, HashMap<ConnectionId, Incarnation>>,
    last_seen: HashMap<UserId, Time>,
}

struct Node {
    until: Instant,
    /// False until it has beaten: a lease that came with a device does not make the node known.
    known: bool,
    devices: HashSet<Device>,
}

impl Default for MemoryPresence {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryPresence {
    /// Nobody is there; heartbeats hold for [`LEASE`].
    pub fn new() -> Self {
        Self::with_lease(LEASE)
    }

    /// The same with heartbeats that hold for another time.
    pub fn with_lease(lease: Duration) -> Self {
        Self { lease, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn alive(&self, node: Incarnation) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.until > Instant::now())
    }

    fn online(&self, user: UserId) -> bool {
        self.users.get(&user).is_some_and(|devices| devices.values().any(|node| self.alive(*node)))
    }

    fn connect(&mut self, node: Incarnation, device: Device) -> bool {
        let online = self.online(device.user);
        self.users.entry(device.user).or_default().insert(device.connection, node);
        if let Some(node) = self.nodes.get_mut(&node) {
            node.devices.insert(device);
        }
        !online
    }

    /// Takes a device back if this incarnation registered it; whether its user is offline by that.
    fn release(&mut self, node: Incarnation, device: Device) -> bool {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.devices.remove(&device);
        }
        let Some(devices) = self.users.get_mut(&device.user) else { return false };
        if devices.get(&device.connection) != Some(&node) {
            return false;
        }
        devices.remove(&device.connection);
        if self.online(device.user) {
            return false;
        }
        // What dead incarnations left goes too, so that nobody reports this user a second time.
        self.users.remove(&device.user);
        self.last_seen.insert(device.user, clock::now());
        true
    }

    fn drain(&mut self, node: Incarnation) -> Vec<UserId> {
        let devices = self.nodes.remove(&node).map(|node| node.devices).unwrap_or_default();
        devices.into_iter().filter(|device| self.release(node, *device)).map(|device| device.user).collect()
    }
}

impl Presence for MemoryPresence {
    fn beat(&self, node: Incarnation) -> PresenceCall<'_, bool> {
        let until = Instant::now() + self.lease;
        let mut state = self.state();
        let entry = state.nodes.entry(node).or_insert_with(|| Node { until, known: false, devices: HashSet::new() });
        let known = entry.known && entry.until > Instant::now();
        (entry.known, entry.until) = (true, until);
        Box::pin(std::future::ready(Ok(known)))
    }

    fn connect<'a>(&'a self, node: Incarnation, devices: &'a [Device]) -> PresenceCall<'a, Vec<bool>> {
        let now = Instant::now();
        let mut state = self.state();
        let entry =
            state.nodes.entry(node).or_insert_with(|| Node { until: now, known: false, devices: HashSet::new() });
        if entry.until <= now {
            (entry.known, entry.until) = (false, now + self.lease);
        }
        let came = devices.iter().map(|device| state.connect(node, *device)).collect();
        Box::pin(std::future::ready(Ok(came)))
    }

    fn disconnect<'a>(&'a self, node: Incarnation, devices: &'a [Device]) -> PresenceCall<'a, Vec<bool>> {
        let mut state = self.state();
        let went = devices.iter().map(|device| state.release(node, *device)).collect();
        Box::pin(std::future::ready(Ok(went)))
    }

    fn seen<'a>(&'a self, users: &'a [UserId]) -> PresenceCall<'a, Vec<Seen>> {
        let state = self.state();
        let seen = users.iter().map(|user| {
            if state.online(*user) {
                Seen { status: Status::Online, last_seen: None }
            } else {
                Seen { status: Status::Offline, last_seen: state.last_seen.get(user).copied() }
            }
        });
        let seen = seen.collect();
        Box::pin(std::future::ready(Ok(seen)))
    }

    fn sweep(&self) -> PresenceCall<'_, Vec<UserId>> {
        let mut state = self.state();
        let dead: Vec<_> = state.nodes.keys().copied().filter(|node| !state.alive(*node)).collect();
        let users = dead.into_iter().flat_map(|node| state.drain(node)).collect();
        Box::pin(std::future::ready(Ok(users)))
    }

    fn retire(&self, node: Incarnation) -> PresenceCall<'_, ()> {
        self.state().drain(node);
        Box::pin(std::future::ready(Ok(())))
    }
}
