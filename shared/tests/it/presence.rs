//! What presence guarantees.

use crate::harness::apart;
use rookery_shared::{
    clock::Time,
    ids::{ConnectionId, Incarnation, UserId},
    model::{NodeReport, Status},
    presence::{Device, MemoryPresence, Presence, RedisPresence, SharedPresence},
    redis_link::RedisConfig,
    testing::{RedisCluster, RedisSentinel, RedisServer, poll},
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Handles on the same presence, as two processes have them.
struct Handles<S> {
    one: SharedPresence,
    two: SharedPresence,
    _server: S,
}

/// Presence of one sort, with heartbeats that hold so long.
trait Presences {
    type Server;
    fn handles(&self, lease: Duration) -> impl Future<Output = Handles<Self::Server>>;
}

struct Memory;

impl Presences for Memory {
    type Server = ();
    async fn handles(&self, lease: Duration) -> Handles<()> {
        let one: SharedPresence = Arc::new(MemoryPresence::with_lease(lease));
        Handles { two: one.clone(), one, _server: () }
    }
}

fn over_redis<S>(config: &RedisConfig, lease: Duration, server: S) -> Handles<S> {
    let handle = || Arc::new(RedisPresence::with_times(config, lease, Duration::ZERO).expect("is valid"));
    Handles { one: handle(), two: handle(), _server: server }
}

struct Redis;

impl Presences for Redis {
    type Server = RedisServer;
    async fn handles(&self, lease: Duration) -> Handles<RedisServer> {
        let server = RedisServer::start().await;
        over_redis(&apart(RedisConfig::single(server.url())), lease, server)
    }
}

impl Presences for RedisCluster {
    type Server = ();
    async fn handles(&self, lease: Duration) -> Handles<()> {
        over_redis(&apart(RedisConfig::cluster(self.urls())), lease, ())
    }
}

/// Longer than any test.
const LONG: Duration = Duration::from_mins(10);

/// Over soon; tests that use it never expect anyone to be alive under it.
const SHORT: Duration = Duration::from_millis(50);

fn device(user: UserId) -> Device {
    Device { user, connection: ConnectionId::new() }
}

/// Connects as many as one likes; whether their users came online with them.
async fn came(presence: &dyn Presence, node: Incarnation, devices: &[Device]) -> Vec<bool> {
    let arrivals = presence.connect(node, devices, u32::MAX).await.expect("answers");
    arrivals.into_iter().map(|arrival| arrival.came_online).collect()
}

/// Connects a device of a user who may have `most`; which are too many.
async fn surplus(presence: &SharedPresence, node: Incarnation, device: Device, most: u32) -> Vec<ConnectionId> {
    presence.connect(node, &[device], most).await.expect("answers").swap_remove(0).surplus
}

fn report(node: Incarnation, name: &str) -> NodeReport {
    NodeReport {
        id: node,
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        connections: 7,
        streams: 9,
        started_at: Time(1_700_000_000_000),
        draining: false,
    }
}

async fn status(presence: &SharedPresence, user: UserId) -> Status {
    presence.seen(&[user]).await.expect("answers")[0].status
}

async fn only_the_first_device_brings_a_user_online_and_only_the_last_takes_them_off<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b, user) = (Incarnation::new(), Incarnation::new(), UserId::new());
    let (first, second) = (device(user), device(user));
    one.beat(a).await.expect("answers");
    two.beat(b).await.expect("answers");
    assert_eq!(came(&*one, a, &[first]).await, [true]);
    assert_eq!(came(&*two, b, &[second]).await, [false]);
    assert_eq!(came(&*one, a, &[first]).await, [false], "again");
    assert_eq!(two.seen(&[user]).await.expect("answers")[0].last_seen, None);
    assert_eq!(two.disconnect(b, &[first]).await.expect("answers"), [false], "of another node");
    assert_eq!(one.disconnect(a, &[first]).await.expect("answers"), [false]);
    assert_eq!(status(&one, user).await, Status::Online);
    assert_eq!(two.disconnect(b, &[second]).await.expect("answers"), [true]);
    assert_eq!(two.disconnect(b, &[second]).await.expect("answers"), [false], "again");
    let seen = one.seen(&[user]).await.expect("answers")[0];
    assert_eq!(seen.status, Status::Offline);
    assert!(seen.last_seen.is_some());
}

async fn of_many_at_once_exactly_one_brings_the_user_online<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b) = (Incarnation::new(), Incarnation::new());
    let users: Vec<UserId> = (0..50).map(|_| UserId::new()).collect();
    let devices = || users.iter().map(|user| device(*user)).collect::<Vec<_>>();
    let (on_a, on_b) = (devices(), devices());
    let (came_a, came_b) = tokio::join!(came(&*one, a, &on_a), came(&*two, b, &on_b));
    let once = |(a, b): (bool, bool)| a != b;
    assert!(came_a.into_iter().zip(came_b).all(once));
    let (went_a, went_b) = tokio::join!(one.disconnect(a, &on_a), two.disconnect(b, &on_b));
    assert!(went_a.expect("answers").into_iter().zip(went_b.expect("answers")).all(once));
}

async fn many_users_are_seen_in_the_order_asked<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let node = Incarnation::new();
    let users: Vec<UserId> = (0..2000).map(|_| UserId::new()).collect();
    let devices: Vec<Device> = users.iter().step_by(2).map(|user| device(*user)).collect();
    assert!(came(&*one, node, &devices).await.into_iter().all(|came| came));
    let seen = two.seen(&users).await.expect("answers");
    assert!(seen.iter().step_by(2).all(|seen| seen.status == Status::Online));
    assert!(seen.iter().skip(1).step_by(2).all(|seen| seen.status == Status::Offline && seen.last_seen.is_none()));
}

async fn a_dead_nodes_users_are_offline_and_given_to_one_sweeper<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(SHORT).await;
    let node = Incarnation::new();
    one.beat(node).await.expect("answers");
    let users: HashSet<UserId> = (0..700).map(|_| UserId::new()).collect();
    let devices: Vec<Device> = users.iter().flat_map(|user| [device(*user), device(*user)]).collect();
    came(&*one, node, &devices).await;
    let first = devices[0].user;
    poll("the lease is over", async || (status(&two, first).await == Status::Offline).then_some(())).await;
    let mut swept = Vec::new();
    poll("everything is swept", async || {
        let (some, others) = tokio::join!(one.sweep(), two.sweep());
        swept.extend(some.expect("answers").into_iter().chain(others.expect("answers")));
        (swept.len() >= users.len()).then_some(())
    })
    .await;
    assert_eq!(swept.len(), users.len(), "each of them once");
    assert_eq!(swept.iter().copied().collect::<HashSet<_>>(), users);
    assert!(two.seen(&[first]).await.expect("answers")[0].last_seen.is_some());
    assert!(one.sweep().await.expect("answers").is_empty());
    assert!(!one.beat(node).await.expect("answers"), "its devices have to be registered again");
    assert_eq!(came(&*two, node, &[device(first)]).await, [true]);
}

async fn a_living_node_is_known_and_not_swept<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (node, user) = (Incarnation::new(), UserId::new());
    assert!(!one.beat(node).await.expect("answers"));
    assert!(one.beat(node).await.expect("answers"));
    came(&*one, node, &[device(user)]).await;
    assert!(two.sweep().await.expect("answers").is_empty());
    assert!(one.beat(node).await.expect("answers"));
    assert_eq!(status(&two, user).await, Status::Online);
}

async fn a_device_under_a_lost_lease_counts_and_makes_its_node_register_again<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (node, user) = (Incarnation::new(), UserId::new());
    assert_eq!(came(&*one, node, &[device(user)]).await, [true]);
    assert_eq!(status(&two, user).await, Status::Online);
    assert!(!one.beat(node).await.expect("answers"));
    assert!(one.beat(node).await.expect("answers"));
}

async fn a_node_that_retires_leaves_nothing_to_sweep<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b) = (Incarnation::new(), Incarnation::new());
    let users: Vec<UserId> = (0..20).map(|_| UserId::new()).collect();
    let on_a: Vec<Device> = users.iter().map(|user| device(*user)).collect();
    one.beat(a).await.expect("answers");
    came(&*one, a, &on_a).await;
    came(&*two, b, &[device(users[0])]).await;
    one.retire(a).await.expect("answers");
    assert_eq!(status(&two, users[0]).await, Status::Online);
    assert_eq!(status(&two, users[1]).await, Status::Offline);
    assert!(two.sweep().await.expect("answers").is_empty());
    assert!(!one.beat(a).await.expect("answers"));
}

async fn the_oldest_of_too_many_devices_are_named_across_nodes<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b, user) = (Incarnation::new(), Incarnation::new(), UserId::new());
    let devices: Vec<Device> = (0..6).map(|_| device(user)).collect();
    let id = |index: usize| devices[index].connection;
    for (index, device) in devices[..3].iter().enumerate() {
        let (presence, node) = if index % 2 == 0 { (&one, a) } else { (&two, b) };
        assert_eq!(surplus(presence, node, *device, 3).await, []);
    }
    assert_eq!(surplus(&two, b, devices[3], 3).await, [id(0)]);
    // Named again until it is gone; what registers again is as old as it was.
    assert_eq!(surplus(&one, a, devices[2], 3).await, [id(0)]);
    one.leaving(&devices[..1]).await.expect("answers");
    assert_eq!(surplus(&two, b, devices[1], 3).await, []);
    assert_eq!(one.disconnect(a, &devices[..1]).await.expect("answers"), [false]);
    // Who has just gone takes nobody's place, and is there for the others until taken back.
    two.leaving(&devices[3..4]).await.expect("answers");
    assert_eq!(surplus(&one, a, devices[4], 3).await, []);
    assert_eq!(surplus(&one, a, devices[5], 3).await, [id(1)]);
    assert_eq!(surplus(&one, a, devices[5], 1).await, [id(1), id(2), id(4)]);
    assert_eq!(surplus(&one, a, device(UserId::new()), 1).await, [], "somebody else's are counted apart");
    for (node, device) in [(b, 1), (a, 2), (b, 3), (a, 4)] {
        let went = one.disconnect(node, &devices[device..=device]).await.expect("answers");
        assert_eq!(went, [false], "the last one is there");
    }
    assert_eq!(two.disconnect(a, &devices[5..]).await.expect("answers"), [true]);
}

async fn the_devices_of_a_dead_node_are_not_too_many<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(SHORT).await;
    let (a, b, user) = (Incarnation::new(), Incarnation::new(), UserId::new());
    one.beat(a).await.expect("answers");
    came(&*one, a, &[device(user), device(user)]).await;
    poll("the lease is over", async || (status(&one, user).await == Status::Offline).then_some(())).await;
    assert_eq!(surplus(&two, b, device(user), 1).await, []);
}

async fn users_are_counted_once_and_until_their_last_device_is_gone<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b) = (Incarnation::new(), Incarnation::new());
    let users: Vec<UserId> = (0..10).map(|_| UserId::new()).collect();
    let on_a: Vec<Device> = users.iter().map(|user| device(*user)).collect();
    let on_b: Vec<Device> = users[..5].iter().map(|user| device(*user)).collect();
    came(&*one, a, &on_a).await;
    came(&*one, a, &on_a).await;
    came(&*two, b, &on_b).await;
    assert_eq!(two.count().await.expect("answers"), 10);
    one.disconnect(a, &on_a).await.expect("answers");
    one.disconnect(a, &on_a).await.expect("answers");
    assert_eq!(two.count().await.expect("answers"), 5);
    two.retire(b).await.expect("answers");
    assert_eq!(one.count().await.expect("answers"), 0);
}

async fn nodes_report_for_as_long_as_they_live<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b) = (Incarnation::new(), Incarnation::new());
    for (presence, node, name) in [(&one, a, "beta"), (&two, b, "alpha")] {
        presence.beat(node).await.expect("answers");
        presence.report(&report(node, name)).await.expect("answers");
    }
    assert_eq!(two.nodes().await.expect("answers"), [report(b, "alpha"), report(a, "beta")]);
    let now = NodeReport { draining: true, connections: 0, ..report(a, "beta") };
    one.report(&now).await.expect("answers");
    two.retire(b).await.expect("answers");
    assert_eq!(two.nodes().await.expect("answers"), [now]);
}

async fn a_dead_node_is_no_node<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(SHORT).await;
    let node = Incarnation::new();
    one.beat(node).await.expect("answers");
    one.report(&report(node, "dead")).await.expect("answers");
    poll("the lease is over", async || two.nodes().await.expect("answers").is_empty().then_some(())).await;
}

macro_rules! suite {
    ($start:expr) => {
        crate::harness::each_with!($start;
            only_the_first_device_brings_a_user_online_and_only_the_last_takes_them_off,
            of_many_at_once_exactly_one_brings_the_user_online,
            many_users_are_seen_in_the_order_asked,
            a_dead_nodes_users_are_offline_and_given_to_one_sweeper,
            a_living_node_is_known_and_not_swept,
            a_device_under_a_lost_lease_counts_and_makes_its_node_register_again,
            a_node_that_retires_leaves_nothing_to_sweep,
            the_oldest_of_too_many_devices_are_named_across_nodes,
            the_devices_of_a_dead_node_are_not_too_many,
            users_are_counted_once_and_until_their_last_device_is_gone,
            nodes_report_for_as_long_as_they_live,
            a_dead_node_is_no_node,
        );
    };
}

mod in_memory {
    suite!(std::future::ready(super::Memory));
}

mod redis_alone {
    suite!(std::future::ready(super::Redis));
}

/// One cluster for all, as it takes seconds to form.
#[tokio::test]
async fn a_cluster_conforms() {
    let mut cluster = RedisCluster::start(3).await;
    only_the_first_device_brings_a_user_online_and_only_the_last_takes_them_off(&mut cluster).await;
    of_many_at_once_exactly_one_brings_the_user_online(&mut cluster).await;
    many_users_are_seen_in_the_order_asked(&mut cluster).await;
    a_dead_nodes_users_are_offline_and_given_to_one_sweeper(&mut cluster).await;
    a_living_node_is_known_and_not_swept(&mut cluster).await;
    a_device_under_a_lost_lease_counts_and_makes_its_node_register_again(&mut cluster).await;
    a_node_that_retires_leaves_nothing_to_sweep(&mut cluster).await;
    the_oldest_of_too_many_devices_are_named_across_nodes(&mut cluster).await;
    the_devices_of_a_dead_node_are_not_too_many(&mut cluster).await;
    users_are_counted_once_and_until_their_last_device_is_gone(&mut cluster).await;
    nodes_report_for_as_long_as_they_live(&mut cluster).await;
    a_dead_node_is_no_node(&mut cluster).await;
}

#[tokio::test]
async fn after_a_loss_of_redis_nodes_register_again_and_nobody_is_swept_for_a_while() {
    let mut server = RedisServer::start().await;
    let config = apart(RedisConfig::single(server.url()));
    let presence = RedisPresence::with_times(&config, SHORT, LONG).expect("is valid");
    let (node, user) = (Incarnation::new(), UserId::new());
    presence.beat(node).await.expect("answers");
    server.kill();
    assert!(presence.beat(node).await.is_err());
    server.restart().await;
    let known = poll("Redis answers again", async || presence.beat(node).await.ok()).await;
    assert!(!known);
    came(&presence, node, &[device(user)]).await;
    let offline = async || (presence.seen(&[user]).await.ok()?[0].status == Status::Offline).then_some(());
    poll("the lease is over", offline).await;
    assert!(presence.sweep().await.expect("answers").is_empty());
}

#[tokio::test]
async fn presence_follows_a_failover() {
    let mut sentinel = RedisSentinel::start().await;
    let config = apart(RedisConfig::sentinel(vec![sentinel.url()], sentinel.master_name()));
    let presence = RedisPresence::new(&config).expect("is valid");
    let (node, user) = (Incarnation::new(), UserId::new());
    presence.beat(node).await.expect("answers");
    assert_eq!(came(&presence, node, &[device(user)]).await, [true]);
    sentinel.kill_master();
    poll("the new master answers", async || presence.beat(node).await.ok()).await;
    came(&presence, node, &[device(user)]).await;
    assert_eq!(presence.seen(&[user]).await.expect("answers")[0].status, Status::Online);
}
