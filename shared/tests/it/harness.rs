//! What the suites share.

use rookery_shared::{
    bus::BusSink,
    envelope::{Event, Header, Kind},
    ids::{RoomId, StreamId},
    redis_link::RedisConfig,
    testing::poll,
};
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Makes a test of every function of a suite, with a fresh backend for each.
macro_rules! each_with {
    ($start:expr; $($test:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            super::$test(&mut $start.await).await;
        })*
    };
}
pub(crate) use each_with;

/// A sink that remembers everything.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Recorded>);

/// What a sink was given.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) events: Vec<Event>,
    pub(crate) lost: Vec<Option<Vec<StreamId>>>,
}

impl BusSink for Recorder {
    fn event(&self, event: Event) {
        self.recorded().events.push(event);
    }

    fn lost(&self, streams: Option<Vec<StreamId>>) {
        self.recorded().lost.push(streams);
    }
}

impl Recorder {
    pub(crate) fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// The places of the events of a stream, in the order they came.
    pub(crate) fn seqs(&self, stream: StreamId) -> Vec<u64> {
        let recorded = self.recorded();
        recorded.events.iter().filter(|event| event.header.stream == stream).map(|event| event.header.seq).collect()
    }

    /// Waits until so many events of a stream have come.
    pub(crate) async fn has(&self, stream: StreamId, count: usize) {
        poll("the events arrive", async || (self.seqs(stream).len() >= count).then_some(())).await;
    }

    /// Waits until the bus has said that this stream may have missed something.
    pub(crate) async fn has_lost(&self, stream: StreamId) {
        let hit = |streams: &Option<Vec<StreamId>>| streams.as_ref().is_none_or(|streams| streams.contains(&stream));
        poll("the loss is told", async || self.recorded().lost.iter().any(hit).then_some(())).await;
    }
}

pub(crate) fn stream() -> StreamId {
    StreamId::Room(RoomId::new())
}

pub(crate) fn durable(stream: StreamId, seq: u64) -> Event {
    Event { header: Header::new(Kind::Message, stream, seq), data: format!("{{\"n\":{seq}}}").into() }
}

pub(crate) fn ephemeral(stream: StreamId) -> Event {
    Event { header: Header::new(Kind::UserTyping, stream, 0), data: "{}".into() }
}

/// A configuration with names that no other test uses.
pub(crate) fn apart(config: RedisConfig) -> RedisConfig {
    RedisConfig { prefix: Uuid::new_v4().simple().to_string(), ..config }
}
