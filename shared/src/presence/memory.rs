//! Presence inside one process.

use super::{Arrival, Device, LEASE, Presence, PresenceCall, Seen};
use crate::{
    clock::{self, Time},
    ids::{ConnectionId, Incarnation, UserId},
    model::{NodeReport, Status},
};
use std::{
    collections::{HashMap, HashSet},
    future::ready,
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
    /// The devices of each user, oldest first; nobody without one.
    users: HashMap<UserId, Vec<Registered>>,
    last_seen: HashMap<UserId, Time>,
}

struct Registered {
    connection: ConnectionId,
    node: Incarnation,
    leaving: bool,
}

struct Node {
    until: Instant,
    /// False until it has beaten: a lease that came with a device does not make the node known.
    known: bool,
    devices: HashSet<Device>,
    report: Option<NodeReport>,
}

impl Node {
    fn until(until: Instant) -> Self {
        Self { until, known: false, devices: HashSet::new(), report: None }
    }
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
        self.users.get(&user).is_some_and(|devices| devices.iter().any(|device| self.alive(device.node)))
    }

    fn connect(&mut self, node: Incarnation, device: Device, most: usize) -> Arrival {
        let came_online = !self.online(device.user);
        let devices = self.users.entry(device.user).or_default();
        match devices.iter_mut().find(|known| known.connection == device.connection) {
            Some(known) => (known.node, known.leaving) = (node, false),
            None => devices.push(Registered { connection: device.connection, node, leaving: false }),
        }
        if let Some(node) = self.nodes.get_mut(&node) {
            node.devices.insert(device);
        }
        Arrival { came_online, surplus: self.surplus(device.user, most) }
    }

    fn surplus(&self, user: UserId, most: usize) -> Vec<ConnectionId> {
        let devices = self.users.get(&user).into_iter().flatten();
        let standing = devices.filter(|device| !device.leaving && self.alive(device.node));
        let standing: Vec<ConnectionId> = standing.map(|device| device.connection).collect();
        standing[..standing.len().saturating_sub(most)].to_vec()
    }

    fn leaving(&mut self, device: Device) {
        let devices = self.users.get_mut(&device.user).into_iter().flatten();
        for known in devices.filter(|known| known.connection == device.connection) {
            known.leaving = true;
        }
    }

    /// Takes a device back if this incarnation registered it; whether its user is offline by that.
    fn release(&mut self, node: Incarnation, device: Device) -> bool {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.devices.remove(&device);
        }
        let Some(devices) = self.users.get_mut(&device.user) else { return false };
        let count = devices.len();
        devices.retain(|known| known.connection != device.connection || known.node != node);
        if devices.len() == count || self.online(device.user) {
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
        let entry = state.nodes.entry(node).or_insert_with(|| Node::until(until));
        let known = entry.known && entry.until > Instant::now();
        (entry.known, entry.until) = (true, until);
        Box::pin(ready(Ok(known)))
    }

    fn connect<'a>(&'a self, node: Incarnation, devices: &'a [Device], most: u32) -> PresenceCall<'a, Vec<Arrival>> {
        let now = Instant::now();
        let mut state = self.state();
        let entry = state.nodes.entry(node).or_insert_with(|| Node::until(now));
        if entry.until <= now {
            (entry.known, entry.until) = (false, now + self.lease);
        }
        let came = devices.iter().map(|device| state.connect(node, *device, most as usize)).collect();
        Box::pin(ready(Ok(came)))
    }

    fn leaving<'a>(&'a self, devices: &'a [Device]) -> PresenceCall<'a, ()> {
        let mut state = self.state();
        for device in devices {
            state.leaving(*device);
        }
        Box::pin(ready(Ok(())))
    }

    fn disconnect<'a>(&'a self, node: Incarnation, devices: &'a [Device]) -> PresenceCall<'a, Vec<bool>> {
        let mut state = self.state();
        let went = devices.iter().map(|device| state.release(node, *device)).collect();
        Box::pin(ready(Ok(went)))
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
        Box::pin(ready(Ok(seen)))
    }

    fn count(&self) -> PresenceCall<'_, u64> {
        let count = self.state().users.len() as u64;
        Box::pin(ready(Ok(count)))
    }

    fn report<'a>(&'a self, report: &'a NodeReport) -> PresenceCall<'a, ()> {
        if let Some(node) = self.state().nodes.get_mut(&report.id) {
            node.report = Some(report.clone());
        }
        Box::pin(ready(Ok(())))
    }

    fn nodes(&self) -> PresenceCall<'_, Vec<NodeReport>> {
        let state = self.state();
        let alive = state.nodes.iter().filter(|(id, _)| state.alive(**id));
        let mut reports: Vec<NodeReport> = alive.filter_map(|(_, node)| node.report.clone()).collect();
        reports.sort_unstable_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Box::pin(ready(Ok(reports)))
    }

    fn sweep(&self) -> PresenceCall<'_, Vec<UserId>> {
        let mut state = self.state();
        let dead: Vec<_> = state.nodes.keys().copied().filter(|node| !state.alive(*node)).collect();
        let users = dead.into_iter().flat_map(|node| state.drain(node)).collect();
        Box::pin(ready(Ok(users)))
    }

    fn retire(&self, node: Incarnation) -> PresenceCall<'_, ()> {
        self.state().drain(node);
        Box::pin(ready(Ok(())))
    }
}
