//! The bus when its Redis fails.

use crate::{
    bus::{Buses as _, OverRedis, cluster, redis},
    harness::{apart, durable, ephemeral, stream},
};
use rookery_shared::{
    bus::{BusError, RedisBus, SharedBus},
    ids::StreamId,
    keys::Keys,
    redis_link::RedisConfig,
    testing::{RedisSentinel, RedisServer, poll},
};
use std::time::Duration;

async fn generation(bus: &SharedBus) -> String {
    poll("the generation can be read", async || bus.generation().await.ok()).await
}

async fn generation_other_than(bus: &SharedBus, old: &str) {
    poll("the generation is renewed", async || bus.generation().await.ok().filter(|new| new != old)).await;
}

#[tokio::test]
async fn subscriptions_stand_again_after_redis_was_killed_and_came_back_empty() {
    let mut redis = redis().await;
    let (node, sink) = redis.node().await;
    let room = stream();
    node.subscribe(&[room]).await.expect("is acknowledged");
    node.announce(&[(room, 5)]);
    poll("the head is there", async || (node.heads(&[room]).await.ok()? == [Some(5)]).then_some(())).await;
    let first = generation(&node).await;

    redis.server.kill();
    poll("the loss is noticed", async || node.heads(&[room]).await.is_err().then_some(())).await;
    assert!(matches!(node.subscribe(&[stream()]).await, Err(BusError::Down)));
    redis.server.restart().await;

    sink.has_lost(room).await;
    node.publish(vec![durable(room, 6)]);
    sink.has(room, 1).await;
    generation_other_than(&node, &first).await;
    assert_eq!(node.heads(&[room]).await.expect("answers"), [None]);
}

#[tokio::test]
async fn a_stream_asked_for_while_redis_is_down_is_subscribed_later_and_told_as_lost() {
    let mut redis = redis().await;
    redis.server.kill();
    redis.config.response_timeout = Duration::from_millis(200);
    let (node, sink) = redis.node().await;
    let (room, given_up) = (stream(), stream());
    assert!(node.subscribe(&[room, given_up]).await.is_err());
    node.unsubscribe(&[given_up]);
    redis.server.restart().await;
    sink.has_lost(room).await;
    node.publish(vec![durable(given_up, 1), durable(room, 1)]);
    sink.has(room, 1).await;
    assert!(sink.seqs(given_up).is_empty());
}

#[tokio::test]
async fn what_could_not_be_published_renews_the_generation_once_redis_is_back() {
    let mut redis = redis().await;
    let (publisher, observer) = (redis.publisher().await, redis.publisher().await);
    let first = generation(&observer).await;
    redis.server.kill();
    poll("the loss is noticed", async || publisher.generation().await.is_err().then_some(())).await;
    redis.server.restart().await;
    // The wipe alone has made a second generation; what is lost from here on makes a third.
    generation_other_than(&observer, &first).await;

    redis.server.kill();
    poll("the loss is noticed", async || publisher.generation().await.is_err().then_some(())).await;
    publisher.publish(vec![ephemeral(stream()), durable(stream(), 1)]);
    redis.server.restart().await;
    // Whatever generation the restart has made is replaced by one that means something.
    let key = Keys::new(&redis.config.prefix, 1).generation();
    redis.server.command::<()>(redis::cmd("SET").arg(&key).arg("known").arg("NX")).await;
    poll("the publisher heals", async || {
        let generation = observer.generation().await.ok()?;
        (generation != "known").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_renewal_of_the_generation_is_tried_again_on_the_same_connection() {
    let redis = redis().await;
    let publisher = redis.publisher().await;
    let first = generation(&publisher).await;
    let set = async |replicas: u32| {
        let command = redis::cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(replicas).clone();
        redis.server.command::<()>(&command).await;
    };
    // Without its replica this server refuses to write, and says so on a connection that stays.
    set(1).await;
    publisher.announce(&[(stream(), 1)]);
    poll("the renewal is refused", async || {
        let info: String = redis.server.command(redis::cmd("INFO").arg("errorstats")).await;
        let refused = info.lines().find_map(|line| line.strip_prefix("errorstat_NOREPLICAS:count="));
        refused.and_then(|count| count.trim().parse::<u32>().ok()).filter(|count| *count >= 2)
    })
    .await;
    set(0).await;
    generation_other_than(&publisher, &first).await;
}

#[tokio::test]
async fn an_overflow_of_the_queue_renews_the_generation() {
    let mut redis = redis().await;
    redis.config.publish_queue_bytes = 10_000;
    let ((node, sink), publisher) = (redis.node().await, redis.publisher().await);
    let room = stream();
    node.subscribe(&[room]).await.expect("is acknowledged");
    let first = generation(&node).await;
    publisher.publish((0..1000).map(|_| ephemeral(room)).collect());
    sink.has(room, 1).await;
    assert_eq!(generation(&node).await, first, "what is ephemeral needs no healing");
    publisher.publish((0..1000).map(|seq| durable(room, seq)).collect());
    generation_other_than(&node, &first).await;
    assert!(sink.seqs(room).len() < 2000);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_left_and_found_again() {
    let mut redis = redis().await;
    redis.config.response_timeout = Duration::from_millis(500);
    let (node, sink) = redis.node().await;
    let room = stream();
    node.subscribe(&[room]).await.expect("is acknowledged");
    redis.server.pause();
    poll("the silence is noticed", async || node.generation().await.is_err().then_some(())).await;
    redis.server.resume();
    sink.has_lost(room).await;
    node.publish(vec![durable(room, 1)]);
    sink.has(room, 1).await;
}

#[tokio::test]
async fn the_password_of_the_url_signs_in() {
    let server = RedisServer::start().await;
    server.command::<()>(redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("secret")).await;
    let config = apart(RedisConfig::single(format!("redis://:secret@127.0.0.1:{}/1", server.port())));
    let bus = RedisBus::connect(config.clone(), None).await.expect("is valid");
    poll("the bus is connected", async || bus.is_connected().then_some(())).await;
    let quick = RedisConfig { response_timeout: Duration::from_millis(200), ..config };
    let wrong = RedisConfig { urls: vec![server.url()], ..quick };
    assert!(!RedisBus::connect(wrong, None).await.expect("is valid").is_connected());
}

/// A stream whose tag has its slot at the master that satisfies the condition.
fn stream_at(condition: impl Fn(u16) -> bool) -> StreamId {
    std::iter::repeat_with(stream)
        .find(|stream| condition(Keys::slot_of_tag(Keys::tag(*stream))))
        .expect("there are many")
}

#[tokio::test]
async fn a_cluster_tells_the_streams_of_a_lost_master_and_no_others() {
    let OverRedis { mut server, config } = cluster().await;
    let buses = OverRedis { server: (), config };
    let (node, sink) = buses.node().await;
    let (hit, spared) = (stream_at(|slot| server.owner(slot) == 1), stream_at(|slot| server.owner(slot) == 2));
    node.subscribe(&[hit, spared]).await.expect("is acknowledged");
    server.master(1).kill();
    poll("the loss is noticed", async || node.subscribe(&[hit]).await.is_err().then_some(())).await;
    node.publish(vec![durable(spared, 1)]);
    sink.has(spared, 1).await;
    server.master(1).restart().await;
    sink.has_lost(hit).await;
    node.publish(vec![durable(hit, 1)]);
    sink.has(hit, 1).await;
    let told = |streams: &Option<Vec<StreamId>>| streams.as_ref().is_some_and(|streams| !streams.contains(&spared));
    assert!(sink.recorded().lost.iter().all(told));
}

#[tokio::test]
async fn a_stream_whose_slot_moved_is_followed_at_its_new_master() {
    let OverRedis { server, config } = cluster().await;
    let buses = OverRedis { server: (), config };
    let ((node, sink), publisher) = (buses.node().await, buses.publisher().await);
    let room = stream_at(|slot| server.owner(slot) == 0);
    node.subscribe(&[room]).await.expect("is acknowledged");
    let first = generation(&node).await;
    server.move_slot(Keys::slot_of_tag(Keys::tag(room)), 0, 1).await;
    sink.has_lost(room).await;
    // The publisher learns of the move by a refusal; what was refused is healed through the generation.
    poll("events arrive again", async || {
        publisher.publish(vec![durable(room, 1)]);
        sink.seqs(room).first().copied()
    })
    .await;
    generation_other_than(&node, &first).await;
}

#[tokio::test]
async fn a_failover_is_followed() {
    let mut sentinel = RedisSentinel::start().await;
    let config = apart(RedisConfig::sentinel(vec![sentinel.url()], sentinel.master_name()));
    let buses = OverRedis { server: (), config };
    let (node, sink) = buses.node().await;
    let room = stream();
    node.subscribe(&[room]).await.expect("is acknowledged");
    sentinel.kill_master();
    sink.has_lost(room).await;
    node.publish(vec![durable(room, 1)]);
    sink.has(room, 1).await;
}
