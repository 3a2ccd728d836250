//! The bus inside one process: several nodes can attach to it, as in tests, or one, as in the standalone program.

use super::{Bus, BusCall, BusSink, SharedBus};
use crate::{envelope::Event, ids::StreamId};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use uuid::Uuid;

/// Announced heads that are kept. Beyond it the map starts again under a new generation, as the heads of the store
/// tell the rest.
const MAX_HEADS: usize = 1_000_000;

/// A hub to which the parts of a process attach.
#[derive(Default)]
pub struct MemoryBus {
    // One lock is enough: one process, and sinks only put events into queues of their own. It is held while they are
    // called, so a sink must not call the bus from within.
    state: Mutex<State>,
    next_node: AtomicUsize,
}

/// A node by its number, and where its events go.
type Follower = (usize, Arc<dyn BusSink>);

struct State {
    followers: HashMap<StreamId, Vec<Follower>>,
    heads: HashMap<StreamId, u64>,
    generation: String,
}

impl Default for State {
    fn default() -> Self {
        Self { followers: HashMap::new(), heads: HashMap::new(), generation: new_generation() }
    }
}

fn new_generation() -> String {
    Uuid::new_v4().simple().to_string()
}

impl MemoryBus {
    /// A hub without nodes.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Attaches a node; its subscriptions end with the handle.
    pub fn node(self: &Arc<Self>, sink: Arc<dyn BusSink>) -> SharedBus {
        self.attach(Some(sink))
    }

    /// Attaches a part that only publishes. Its subscriptions are accepted and bring nothing.
    pub fn publisher(self: &Arc<Self>) -> SharedBus {
        self.attach(None)
    }

    fn attach(self: &Arc<Self>, sink: Option<Arc<dyn BusSink>>) -> SharedBus {
        let id = self.next_node.fetch_add(1, Ordering::Relaxed);
        Arc::new(Attached { id, hub: Arc::clone(self), sink, subscribed: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, node: usize, streams: impl IntoIterator<Item = StreamId>) {
        let mut state = self.state();
        for stream in streams {
            if let Some(followers) = state.followers.get_mut(&stream) {
                followers.retain(|(id, _)| *id != node);
                if followers.is_empty() {
                    state.followers.remove(&stream);
                }
            }
        }
    }
}

/// One part's handle.
struct Attached {
    id: usize,
    hub: Arc<MemoryBus>,
    sink: Option<Arc<dyn BusSink>>,
    subscribed: Mutex<HashSet<StreamId>>,
}

impl Attached {
    fn subscribed(&self) -> MutexGuard<'_, HashSet<StreamId>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus for Attached {
    fn publish(&self, events: Vec<Event>) {
        // The lock is held over the calls, so that two publishers cannot reorder what one of them published.
        let state = self.hub.state();
        for event in events {
            for (_, sink) in state.followers.get(&event.header.stream).into_iter().flatten() {
                sink.event(event.clone());
            }
        }
    }

    fn announce(&self, heads: &[(StreamId, u64)]) {
        let mut state = self.hub.state();
        if state.heads.len() + heads.len() > MAX_HEADS {
            state.heads.clear();
            state.generation = new_generation();
        }
        for (stream, head) in heads {
            let known = state.heads.entry(*stream).or_default();
            *known = (*known).max(*head);
        }
    }

    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, Vec<Option<u64>>> {
        let state = self.hub.state();
        let heads = streams.iter().map(|stream| state.heads.get(stream).copied()).collect();
        Box::pin(std::future::ready(Ok(heads)))
    }

    fn subscribe<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, ()> {
        if let Some(sink) = &self.sink {
            let mut subscribed = self.subscribed();
            let mut state = self.hub.state();
            for stream in streams.iter().filter(|stream| subscribed.insert(**stream)) {
                state.followers.entry(*stream).or_default().push((self.id, Arc::clone(sink)));
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn unsubscribe(&self, streams: &[StreamId]) {
        let mut subscribed = self.subscribed();
        self.hub.leave(self.id, streams.iter().copied().filter(|stream| subscribed.remove(stream)));
    }

    fn generation(&self) -> BusCall<'_, String> {
        Box::pin(std::future::ready(Ok(self.hub.state().generation.clone())))
    }

    fn renew_generation(&self) -> BusCall<'_, ()> {
        self.hub.state().generation = new_generation();
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let subscribed = std::mem::take(&mut *self.subscribed());
        self.hub.leave(self.id, subscribed);
    }
}
