//! What presence guarantees.

use crate::harness::apart;
use rookery_shared::{
    ids::{ConnectionId, Incarnation, UserId},
    model::Status,
    presence::{Device, MemoryPresence, Presence as _, RedisPresence, SharedPresence},
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

async fn status(presence: &SharedPresence, user: UserId) -> Status {
    presence.seen(&[user]).await.expect("answers")[0].status
}

async fn only_the_first_device_brings_a_user_online_and_only_the_last_takes_them_off<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (a, b, user) = (Incarnation::new(), Incarnation::new(), UserId::new());
    let (first, second) = (device(user), device(user));
    one.beat(a).await.expect("answers");
    two.beat(b).await.expect("answers");
    assert_eq!(one.connect(a, &[first]).await.expect("answers"), [true]);
    assert_eq!(two.connect(b, &[second]).await.expect("answers"), [false]);
    assert_eq!(one.connect(a, &[first]).await.expect("answers"), [false], "again");
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
    let (came_a, came_b) = tokio::join!(one.connect(a, &on_a), two.connect(b, &on_b));
    let once = |(a, b): (bool, bool)| a != b;
    assert!(came_a.expect("answers").into_iter().zip(came_b.expect("answers")).all(once));
    let (went_a, went_b) = tokio::join!(one.disconnect(a, &on_a), two.disconnect(b, &on_b));
    assert!(went_a.expect("answers").into_iter().zip(went_b.expect("answers")).all(once));
}

async fn many_users_are_seen_in_the_order_asked<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let node = Incarnation::new();
    let users: Vec<UserId> = (0..2000).map(|_| UserId::new()).collect();
    let devices: Vec<Device> = users.iter().step_by(2).map(|user| device(*user)).collect();
    assert!(one.connect(node, &devices).await.expect("answers").into_iter().all(|came| came));
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
    one.connect(node, &devices).await.expect("answers");
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
    assert_eq!(two.connect(node, &[device(first)]).await.expect("answers"), [true]);
}

async fn a_living_node_is_known_and_not_swept<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (node, user) = (Incarnation::new(), UserId::new());
    assert!(!one.beat(node).await.expect("answers"));
    assert!(one.beat(node).await.expect("answers"));
    one.connect(node, &[device(user)]).await.expect("answers");
    assert!(two.sweep().await.expect("answers").is_empty());
    assert!(one.beat(node).await.expect("answers"));
    assert_eq!(status(&two, user).await, Status::Online);
}

async fn a_device_under_a_lost_lease_counts_and_makes_its_node_register_again<P: Presences>(presences: &mut P) {
    let Handles { one, two, _server } = presences.handles(LONG).await;
    let (node, user) = (Incarnation::new(), UserId::new());
    assert_eq!(one.connect(node, &[device(user)]).await.expect("answers"), [true]);
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
    one.connect(a, &on_a).await.expect("answers");
    two.connect(b, &[device(users[0])]).await.expect("answers");
    one.retire(a).await.expect("answers");
    assert_eq!(status(&two, users[0]).await, Status::Online);
    assert_eq!(status(&two, users[1]).await, Status::Offline);
    assert!(two.sweep().await.expect("answers").is_empty());
    assert!(!one.beat(a).await.expect("answers"));
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
    presence.connect(node, &[device(user)]).await.expect("answers");
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
    assert_eq!(presence.connect(node, &[device(user)]).await.expect("answers"), [true]);
    sentinel.kill_master();
    poll("the new master answers", async || presence.beat(node).await.ok()).await;
    presence.connect(node, &[device(user)]).await.expect("answers");
    assert_eq!(presence.seen(&[user]).await.expect("answers")[0].status, Status::Online);
}
