//! Which cores of this node follow which streams: the node subscribes with the first and leaves with the last.

use crate::hub::inbox::{Inbox, Mail};
use bytes::Bytes;
use rookery_shared::{
    bus::{Bus, BusSink},
    clock::micros,
    envelope::{Event, Header, Kind},
    ids::{Incarnation, StreamId, fnv1a},
};
use rustc_hash::FxHashMap;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// Parts of the table, each with a lock of its own, so that the bus's reader and sign-ins do not meet.
const SHARDS: usize = 64;

/// The cores that follow a stream, a bit each.
type Cores = u64;

/// The most cores that a node can have.
pub const MAX_CORES: usize = Cores::BITS as usize;

/// The table of interest, and the way of events to the cores.
pub struct Interest {
    shards: Vec<Mutex<FxHashMap<StreamId, Cores>>>,
    inboxes: Vec<Arc<Inbox>>,
    /// This life of this process.
    pub incarnation: Incarnation,
    /// The node's own stream, on which nothing happens but probes and orders.
    own: StreamId,
    /// The number of the last probe that came back.
    echoed: watch::Sender<u64>,
    /// Told when the node is ordered to drain.
    pub drain_ordered: Notify,
}

impl Interest {
    /// A table in which nobody follows anything.
    pub fn new(inboxes: Vec<Arc<Inbox>>) -> Arc<Self> {
        debug_assert!(inboxes.len() <= MAX_CORES);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let incarnation = Incarnation::new();
        let own = StreamId::of_node(incarnation);
        let echoed = watch::Sender::new(0);
        Arc::new(Self { shards, inboxes, incarnation, own, echoed, drain_ordered: Notify::new() })
    }

    /// Subscribes to the node's own stream. A bus that is down remembers it.
    pub async fn listen(&self, bus: &dyn Bus) {
        if let Err(error) = bus.subscribe(&[self.own]).await {
            tracing::debug!(%error, "orders to this node have to wait for the bus");
        }
    }

    /// Whether an event that this node publishes comes back to it, within a time.
    pub async fn probe(&self, bus: &dyn Bus, patience: Duration) -> bool {
        let number = micros();
        let header = Header { ref_seq: number, ..Header::new(Kind::UserTyping, self.own, 0) };
        let mut echoed = self.echoed.subscribe();
        let comes_back = async {
            bus.subscribe(&[self.own]).await.is_ok() && {
                bus.publish(vec![Event { header, data: Bytes::new() }]);
                echoed.wait_for(|seen| *seen >= number).await.is_ok()
            }
        };
        timeout(patience, comes_back).await.unwrap_or(false)
    }

    /// The inboxes, one a core.
    pub fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// Core `core` follows these from now on; gives those that nobody of this node followed before.
    pub fn add(&self, core: usize, streams: &[StreamId]) -> Vec<StreamId> {
        let first = |stream: &&StreamId| {
            let mut shard = self.shard(**stream);
            let cores = shard.entry(**stream).or_default();
            let first = *cores == 0;
            *cores |= 1 << core;
            first
        };
        streams.iter().filter(first).copied().collect()
    }

    /// Core `core` follows these no longer; gives those that nobody of this node follows now.
    pub fn remove(&self, core: usize, streams: &[StreamId]) -> Vec<StreamId> {
        let last = |stream: &&StreamId| {
            let mut shard = self.shard(**stream);
            let Some(cores) = shard.get_mut(*stream) else { return false };
            *cores &= !(1 << core);
            let last = *cores == 0;
            if last {
                shard.remove(*stream);
            }
            last
        };
        streams.iter().filter(last).copied().collect()
    }

    /// How many streams the node follows.
    pub fn followed(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, stream: StreamId) -> MutexGuard<'_, FxHashMap<StreamId, Cores>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash do")]
        let index = fnv1a(&stream.uuid().as_bytes()[8..]) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BusSink for Interest {
    fn event(&self, event: Event) {
        if event.header.stream == self.own {
            match event.header.kind {
                Kind::DrainNode => self.drain_ordered.notify_one(),
                _ => drop(self.echoed.send_replace(event.header.ref_seq)),
            }
            return;
        }
        let mut cores = self.shard(event.header.stream).get(&event.header.stream).copied().unwrap_or(0);
        while cores != 0 {
            let core = cores.trailing_zeros() as usize;
            cores &= cores - 1;
            if cores == 0 {
                self.inboxes[core].event(event);
                return;
            }
            self.inboxes[core].event(event.clone());
        }
    }

    fn lost(&self, streams: Option<Vec<StreamId>>) {
        metrics::counter!("rookery_bus_lost_total").increment(1);
        for inbox in &self.inboxes {
            inbox.mail(Mail::Lost(streams.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::ids::RoomId;

    #[test]
    fn a_node_subscribes_with_its_first_core_and_leaves_with_its_last() {
        let interest = Interest::new((0..2).map(|_| Arc::new(Inbox::new(1000))).collect());
        let stream = StreamId::Room(RoomId::new());
        assert_eq!(interest.add(0, &[stream, stream]), [stream]);
        assert_eq!(interest.add(1, &[stream]), []);
        assert_eq!(interest.followed(), 1);
        assert_eq!(interest.remove(0, &[stream]), []);
        assert_eq!(interest.remove(0, &[stream]), []);
        assert_eq!(interest.remove(1, &[stream]), [stream]);
        assert_eq!(interest.followed(), 0);
    }
}
