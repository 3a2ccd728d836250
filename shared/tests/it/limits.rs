//! What limits guarantee.

use crate::harness::apart;
use rookery_shared::{
    limits::{Limit, Limits as _, MemoryLimits, RedisLimits, SharedLimits, Take, Verdict},
    redis_link::RedisConfig,
    testing::{RedisCluster, RedisServer, poll},
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Handles on the same limits, as two processes have them.
struct Handles<S> {
    one: SharedLimits,
    two: SharedLimits,
    _server: S,
}

fn memory() -> Handles<()> {
    let one: SharedLimits = Arc::new(MemoryLimits::new());
    Handles { two: one.clone(), one, _server: () }
}

fn over_redis<S>(config: &RedisConfig, server: S) -> Handles<S> {
    let handle = || Arc::new(RedisLimits::new(config).expect("is valid"));
    Handles { one: handle(), two: handle(), _server: server }
}

async fn redis() -> Handles<RedisServer> {
    let server = RedisServer::start().await;
    over_redis(&apart(RedisConfig::single(server.url())), server)
}

const HOUR: Duration = Duration::from_hours(1);

fn take(key: &str, max: u32, window: Duration) -> Take {
    Take { key: key.to_owned(), token: Uuid::new_v4().to_string(), limit: Limit { max, window } }
}

fn passed(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Passed { .. })).count()
}

async fn of_many_at_once_exactly_the_limit_passes<S>(handles: &mut Handles<S>) {
    let takes: Vec<Take> = (0..40).map(|_| take("a", 25, HOUR)).collect();
    let more: Vec<Take> = (0..40).map(|_| take("a", 25, HOUR)).collect();
    let (first, second) = tokio::join!(handles.one.take(&takes), handles.two.take(&more));
    assert_eq!(passed(&first) + passed(&second), 25);
    let refused = first.iter().chain(&second).find_map(|verdict| match verdict {
        Verdict::Refused { retry_after } => Some(*retry_after),
        Verdict::Passed { .. } => None,
    });
    assert!(refused.is_some_and(|after| after > HOUR / 2 && after <= HOUR), "{refused:?}");
}

async fn each_take_is_judged_on_its_own_and_in_order<S>(handles: &mut Handles<S>) {
    let takes = [take("a", 2, HOUR), take("b", 1, HOUR), take("a", 2, HOUR), take("b", 1, HOUR), take("c", 0, HOUR)];
    let verdicts = handles.one.take(&takes).await;
    let remaining = |remaining| Verdict::Passed { remaining };
    assert_eq!(verdicts[..3], [remaining(1), remaining(0), remaining(0)]);
    assert_eq!(passed(&verdicts[3..]), 0);
    assert!(handles.one.take(&[]).await.is_empty());
}

async fn the_same_token_counts_once<S>(handles: &mut Handles<S>) {
    let once = take("a", 2, HOUR);
    handles.one.take(std::slice::from_ref(&once)).await;
    let verdicts = handles.two.take(&[once.clone(), take("a", 2, HOUR), once.clone()]).await;
    assert_eq!(passed(&verdicts), 3);
    assert_eq!(passed(&handles.one.take(&[take("a", 2, HOUR), once]).await), 1);
}

async fn what_is_given_back_never_counted<S>(handles: &mut Handles<S>) {
    let first = take("a", 1, HOUR);
    assert_eq!(passed(&handles.one.take(std::slice::from_ref(&first)).await), 1);
    handles.two.give_back(&[first]).await;
    assert_eq!(passed(&handles.one.take(&[take("a", 1, HOUR)]).await), 1);
    assert_eq!(passed(&handles.one.take(&[take("a", 1, HOUR)]).await), 0);
}

async fn a_key_that_is_cleared_begins_anew<S>(handles: &mut Handles<S>) {
    assert_eq!(passed(&handles.one.take(&[take("a", 1, HOUR)]).await), 1);
    handles.two.clear("a").await;
    assert_eq!(passed(&handles.one.take(&[take("a", 1, HOUR)]).await), 1);
}

async fn a_place_gets_free_when_its_window_is_over<S>(handles: &mut Handles<S>) {
    let window = Duration::from_millis(300);
    assert_eq!(passed(&handles.one.take(&[take("a", 1, window)]).await), 1);
    let started = std::time::Instant::now();
    poll("the window passes", async || {
        let passed = passed(&handles.one.take(&[take("a", 1, window)]).await) == 1;
        passed.then_some(())
    })
    .await;
    assert!(started.elapsed() > window / 2, "it got free too early");
}

macro_rules! suite {
    ($start:expr) => {
        crate::harness::each_with!($start;
            of_many_at_once_exactly_the_limit_passes,
            each_take_is_judged_on_its_own_and_in_order,
            the_same_token_counts_once,
            what_is_given_back_never_counted,
            a_key_that_is_cleared_begins_anew,
            a_place_gets_free_when_its_window_is_over,
        );
    };
}

mod in_memory {
    suite!(std::future::ready(super::memory()));
}

mod redis_alone {
    suite!(super::redis());
}

/// One cluster for all, as it takes seconds to form.
#[tokio::test]
async fn a_cluster_conforms() {
    let cluster = RedisCluster::start(3).await;
    let fresh = || over_redis(&apart(RedisConfig::cluster(cluster.urls())), ());
    of_many_at_once_exactly_the_limit_passes(&mut fresh()).await;
    each_take_is_judged_on_its_own_and_in_order(&mut fresh()).await;
    the_same_token_counts_once(&mut fresh()).await;
    what_is_given_back_never_counted(&mut fresh()).await;
    a_key_that_is_cleared_begins_anew(&mut fresh()).await;
    a_place_gets_free_when_its_window_is_over(&mut fresh()).await;
}

#[tokio::test]
async fn without_redis_each_process_counts_for_itself() {
    let mut server = RedisServer::start().await;
    let limits = RedisLimits::new(&apart(RedisConfig::single(server.url()))).expect("is valid");
    server.kill();
    let takes: Vec<Take> = (0..5).map(|_| take("a", 3, HOUR)).collect();
    assert_eq!(passed(&limits.take(&takes).await), 3);
    limits.give_back(&takes[..1]).await;
    server.restart().await;
    poll("Redis counts again", async || {
        let verdicts = limits.take(&[take("fresh", 1_000_000, HOUR)]).await;
        assert_eq!(passed(&verdicts), 1);
        let keys: i64 = server.command(&redis::cmd("DBSIZE")).await;
        (keys > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_stalls_does_not_stall_a_send() {
    let server = RedisServer::start().await;
    let limits = RedisLimits::new(&apart(RedisConfig::single(server.url()))).expect("is valid");
    limits.take(&[take("a", 1, HOUR)]).await;
    server.pause();
    assert_eq!(passed(&limits.take(&[take("b", 1, HOUR), take("b", 1, HOUR)]).await), 1);
    server.resume();
}

#[tokio::test]
async fn memory_forgets_windows_that_are_over() {
    let limits = MemoryLimits::new();
    let over_at_once = Duration::from_nanos(1);
    for round in 0..20 {
        let takes: Vec<Take> = (0..1000).map(|n| take(&format!("{round}/{n}"), 1, over_at_once)).collect();
        limits.take(&takes).await;
    }
    assert!(limits.keys() < 4000, "{}", limits.keys());
}
