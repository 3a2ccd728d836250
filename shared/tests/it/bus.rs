//! What every bus guarantees.

use crate::harness::{Recorder, apart, durable, ephemeral, stream};
use rookery_shared::{
    bus::{MemoryBus, RedisBus, SharedBus},
    ids::StreamId,
    redis_link::RedisConfig,
    testing::{RedisCluster, RedisServer, poll},
};
use std::sync::Arc;

/// A bus of one sort, to which nodes and publishers can attach.
pub(crate) trait Buses {
    async fn node(&self) -> (SharedBus, Arc<Recorder>);
    async fn publisher(&self) -> SharedBus;
}

impl Buses for Arc<MemoryBus> {
    async fn node(&self) -> (SharedBus, Arc<Recorder>) {
        let sink = Arc::new(Recorder::default());
        (MemoryBus::node(self, sink.clone()), sink)
    }

    async fn publisher(&self) -> SharedBus {
        MemoryBus::publisher(self)
    }
}

/// Buses over Redis, and the server if it is theirs.
pub(crate) struct OverRedis<S> {
    pub(crate) server: S,
    pub(crate) config: RedisConfig,
}

impl<S> Buses for OverRedis<S> {
    async fn node(&self) -> (SharedBus, Arc<Recorder>) {
        let sink = Arc::new(Recorder::default());
        (RedisBus::connect(self.config.clone(), Some(sink.clone())).await.expect("is valid"), sink)
    }

    async fn publisher(&self) -> SharedBus {
        RedisBus::connect(self.config.clone(), None).await.expect("is valid")
    }
}

pub(crate) async fn redis() -> OverRedis<RedisServer> {
    let server = RedisServer::start().await;
    let config = apart(RedisConfig::single(server.url()));
    OverRedis { server, config }
}

pub(crate) async fn cluster() -> OverRedis<RedisCluster> {
    let server = RedisCluster::start(3).await;
    let config = apart(RedisConfig::cluster(server.urls()));
    OverRedis { server, config }
}

async fn events_arrive_in_the_order_published<B: Buses>(buses: &mut B) {
    let ((node, sink), publisher) = (buses.node().await, buses.publisher().await);
    let room = stream();
    node.subscribe(&[room]).await.expect("is acknowledged");
    for batch in 0..50 {
        publisher.publish((0..20).map(|n| durable(room, batch * 20 + n)).collect());
    }
    sink.has(room, 1000).await;
    assert_eq!(sink.seqs(room), (0..1000).collect::<Vec<_>>());
    assert_eq!(sink.recorded().events[7], durable(room, 7));
    assert!(sink.recorded().lost.is_empty());
}

async fn an_event_reaches_every_node_that_follows_and_no_other<B: Buses>(buses: &mut B) {
    let ((one, one_sink), (two, two_sink)) = (buses.node().await, buses.node().await);
    let (both, only_one) = (stream(), stream());
    one.subscribe(&[both, only_one]).await.expect("is acknowledged");
    two.subscribe(&[both]).await.expect("is acknowledged");
    two.publish(vec![durable(only_one, 1), ephemeral(both), durable(both, 1)]);
    one_sink.has(only_one, 1).await;
    one_sink.has(both, 2).await;
    two_sink.has(both, 2).await;
    assert!(two_sink.seqs(only_one).is_empty());
}

async fn thousands_of_streams_are_subscribed_at_once_and_again<B: Buses>(buses: &mut B) {
    let (node, sink) = buses.node().await;
    let rooms: Vec<StreamId> = (0..3000).map(|_| stream()).collect();
    node.subscribe(&rooms).await.expect("is acknowledged");
    node.subscribe(&rooms).await.expect("is acknowledged again");
    node.publish(rooms.iter().map(|room| durable(*room, 1)).collect());
    poll("every stream brings its event", async || (sink.recorded().events.len() >= 3000).then_some(())).await;
    assert!(rooms.iter().all(|room| sink.seqs(*room) == [1]));
}

async fn a_stream_that_was_given_up_falls_silent<B: Buses>(buses: &mut B) {
    let ((node, sink), publisher) = (buses.node().await, buses.publisher().await);
    let (left, kept) = (stream(), stream());
    node.subscribe(&[left, kept]).await.expect("is acknowledged");
    node.unsubscribe(&[left]);
    poll("the stream falls silent", async || {
        let before = sink.seqs(kept).len();
        sink.recorded().events.retain(|event| event.header.stream != left);
        publisher.publish(vec![durable(left, 1), durable(kept, 1)]);
        sink.has(kept, before + 1).await;
        sink.seqs(left).is_empty().then_some(())
    })
    .await;
    node.unsubscribe(&[left, stream()]);
    node.subscribe(&[left]).await.expect("is acknowledged");
    publisher.publish(vec![durable(left, 2)]);
    poll("the stream is back", async || sink.seqs(left).contains(&2).then_some(())).await;
}

async fn the_last_of_quick_changes_of_mind_counts<B: Buses>(buses: &mut B) {
    let (node, sink) = buses.node().await;
    let room = stream();
    for _ in 0..50 {
        node.subscribe(&[room]).await.expect("is acknowledged");
        node.unsubscribe(&[room]);
    }
    node.subscribe(&[room]).await.expect("is acknowledged");
    node.publish(vec![durable(room, 9)]);
    sink.has(room, 1).await;
}

async fn an_announced_head_never_moves_back<B: Buses>(buses: &mut B) {
    let (one, two) = (buses.publisher().await, buses.publisher().await);
    let rooms: Vec<StreamId> = (0..500).map(|_| stream()).collect();
    one.announce(&rooms.iter().map(|room| (*room, 10)).collect::<Vec<_>>());
    poll("the heads are there", async || {
        let heads = two.heads(&rooms).await.expect("answers");
        heads.iter().all(|head| *head == Some(10)).then_some(())
    })
    .await;
    two.announce(&[(rooms[0], 9), (rooms[1], 11), (rooms[2], 12), (rooms[2], 7)]);
    // Announcements of one publisher are applied in order, so the last one tells that all were.
    two.announce(&[(rooms[499], 20)]);
    let asked = [rooms[499], rooms[2], stream(), rooms[0], rooms[1]];
    let expected = [Some(20), Some(12), None, Some(10), Some(11)];
    poll("the heads are raised", async || {
        let heads = one.heads(&asked).await.expect("answers");
        assert_eq!(heads[3], Some(10), "a lower head won");
        (heads == expected).then_some(())
    })
    .await;
    assert!(one.heads(&[]).await.expect("answers").is_empty());
}

async fn the_generation_stays_until_it_is_renewed<B: Buses>(buses: &mut B) {
    let (one, two) = (buses.publisher().await, buses.publisher().await);
    let first = one.generation().await.expect("answers");
    assert_eq!(two.generation().await.expect("answers"), first);
    two.renew_generation().await.expect("is renewed");
    let second = one.generation().await.expect("answers");
    assert_ne!(second, first);
    assert_eq!(two.generation().await.expect("answers"), second);
}

macro_rules! suite {
    ($start:expr) => {
        crate::harness::each_with!($start;
            events_arrive_in_the_order_published,
            an_event_reaches_every_node_that_follows_and_no_other,
            thousands_of_streams_are_subscribed_at_once_and_again,
            a_stream_that_was_given_up_falls_silent,
            the_last_of_quick_changes_of_mind_counts,
            an_announced_head_never_moves_back,
            the_generation_stays_until_it_is_renewed,
        );
    };
}

mod memory {
    suite!(std::future::ready(rookery_shared::bus::MemoryBus::new()));
}

mod redis_alone {
    suite!(super::redis());
}

/// One cluster for all, as it takes seconds to form.
#[tokio::test]
async fn a_cluster_conforms() {
    let mut cluster = cluster().await;
    events_arrive_in_the_order_published(&mut cluster).await;
    an_event_reaches_every_node_that_follows_and_no_other(&mut cluster).await;
    thousands_of_streams_are_subscribed_at_once_and_again(&mut cluster).await;
    a_stream_that_was_given_up_falls_silent(&mut cluster).await;
    the_last_of_quick_changes_of_mind_counts(&mut cluster).await;
    an_announced_head_never_moves_back(&mut cluster).await;
    the_generation_stays_until_it_is_renewed(&mut cluster).await;
}
