//! The bus between nodes: events by interest, announced heads, the generation of what is announced.
//!
//! The bus is a hint and never the truth. It may lose, double or reorder events; the feed of a gateway puts that
//! right from the log. What it must not do is lose *silently for ever*: whoever was subscribed learns through
//! [`BusSink::lost`] that it may have missed something.

pub mod memory;
pub mod redis;

pub use self::{memory::MemoryBus, redis::RedisBus};

use crate::{envelope::Event, ids::StreamId};
use std::{future::Future, pin::Pin, sync::Arc};

/// A call under way.
pub type BusCall<'a, T> = Pin<Box<dyn Future<Output = Result<T, BusError>> + Send + 'a>>;

/// Why the bus did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// Not connected, or the connection broke underneath.
    #[error("the bus is not reachable")]
    Down,
    /// The server refused.
    #[error("the bus refused: {0}")]
    Refused(String),
}

/// What a node does with what the bus brings. Called from the bus's reader: must neither block nor wait.
pub trait BusSink: Send + Sync + 'static {
    /// An event of a stream that is subscribed (or was, a moment ago).
    fn event(&self, event: Event);

    /// Anything may have been missed in these streams, and the subscription stands (again): get their heads from the
    /// store. `None` means every stream that the node follows.
    fn lost(&self, streams: Option<Vec<StreamId>>);
}

/// Publishing, subscribing, and announced heads.
///
/// Guarantees that every implementation gives, tried by the conformance suite:
///
/// - After [`subscribe`](Bus::subscribe) has returned Ok, every event published to the stream reaches the sink, at
///   least once, unless `lost` is called afterwards.
/// - Events published by one process to one stream arrive in the order published, while the connection stands.
/// - `publish` never blocks and never fails: it is a hint. Its queue is bounded in bytes; what does not fit, or could
///   not be delivered, makes [`generation`](Bus::generation) change for everyone as soon as the bus is reachable.
/// - A stream that is not subscribed brings no events, a moment after `unsubscribe`.
pub trait Bus: Send + Sync + 'static {
    /// Hands events over for publishing, in this order. Ephemeral ones are dropped when the bus is down.
    fn publish(&self, events: Vec<Event>);

    /// Says that these logs have, or are about to have, these heads. Unawaited, coalesced, never moving back.
    fn announce(&self, heads: &[(StreamId, u64)]);

    /// The announced heads, in the order asked; `None` is "unknown", never 0.
    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, Vec<Option<u64>>>;

    /// Subscribes; returns when the server has acknowledged all of them. Idempotent.
    fn subscribe<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, ()>;

    /// Gives subscriptions up; unawaited.
    fn unsubscribe(&self, streams: &[StreamId]);

    /// Changes whenever something stored may not have been announced: the bus was wiped, an api started, or could not
    /// publish for a while. Nodes that see it change get all heads from the store.
    fn generation(&self) -> BusCall<'_, String>;

    /// Makes a new generation; an api does so when it starts.
    fn renew_generation(&self) -> BusCall<'_, ()>;
}

/// A bus handle that several parts share.
pub type SharedBus = Arc<dyn Bus>;
