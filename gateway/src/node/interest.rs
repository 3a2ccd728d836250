//! Which cores of this node follow which streams: the node subscribes with the first and leaves with the last.

use crate::hub::inbox::{Inbox, Mail};
use rookery_shared::{
    bus::BusSink,
    envelope::Event,
    ids::{StreamId, fnv1a},
};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

impl Interest {
    /// A table in which nobody follows anything.
    pub fn new(inboxes: Vec<Arc<Inbox>>) -> Arc<Self> {
        debug_assert!(inboxes.len() <= MAX_CORES);
        Arc::new(Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), inboxes })
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

    fn shard(&self, stream: StreamId) -> MutexGuard<'_, FxHashMap<StreamId, Cores>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash do")]
        let index = fnv1a(&stream.uuid().as_bytes()[8..]) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BusSink for Interest {
    fn event(&self, event: Event) {
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
        assert_eq!(interest.remove(0, &[stream]), []);
        assert_eq!(interest.remove(0, &[stream]), []);
        assert_eq!(interest.remove(1, &[stream]), [stream]);
    }
}
