//! The same over MongoDB and Redis.

use crate::{
    harness::{Cluster, Heard, each, unlimited},
    store::fixture,
};
use futures_util::future::join_all;
use rookery_api::config::{ApiConfig, ClusterConfig};
use rookery_shared::{
    bus::{RedisBus, SharedBus},
    config::Env,
    envelope::Kind,
    ids::StreamId,
    limits::{RedisLimits, SharedLimits},
    presence::RedisPresence,
    redis_link::RedisConfig,
    telemetry::Metrics,
    testing::{RedisServer, free_port},
    token::random_secret,
};
use serde_json::json;
use std::{collections::HashSet, future::pending, sync::Arc};
use tokio::net::TcpListener;

/// Two apis on MongoDB and Redis, each with connections of its own.
async fn cluster(redis: &RedisServer, config: ApiConfig) -> Cluster {
    let settings = RedisConfig::single(redis.url());
    let heard = Arc::new(Heard::default());
    let node = RedisBus::connect(settings.clone(), Some(heard.clone())).await.expect("connects");
    let (mut buses, mut limits) = (Vec::<SharedBus>::new(), Vec::<SharedLimits>::new());
    for _ in 0..2 {
        buses.push(RedisBus::connect(settings.clone(), None).await.expect("connects"));
        limits.push(Arc::new(RedisLimits::new(&settings).expect("is valid")));
    }
    let presence = Arc::new(RedisPresence::new(&settings).expect("is valid"));
    Cluster::on(fixture::mongo().await, (node, heard), buses, limits, presence, config).await
}

#[tokio::test]
async fn people_talk_through_two_apis_on_mongodb_and_redis() {
    let redis = RedisServer::start().await;
    let cluster = cluster(&redis, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    cluster.bus.subscribe(&[StreamId::Room(room.parse().expect("an id"))]).await.expect("subscribes");
    let talking = [&ada, &ben].map(|person| {
        let room = room.clone();
        async move {
            for index in 0..30 {
                person.says(&room, &index.to_string()).await;
            }
        }
    });
    join_all(talking).await;
    let log = ada.sync(&room, "?limit=200").await;
    let seqs: Vec<u64> = each(&log, "seq").into_iter().map(|seq| seq.as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=62).collect::<Vec<_>>());
    let heard = cluster.heard.wait(Kind::Message, 60).await;
    assert_eq!(heard.iter().map(|event| event.header.seq).collect::<HashSet<_>>().len(), 60);
    assert_eq!(each(&ben.get("/rooms").await.ok(), "unreadCount"), [30]);
}

#[tokio::test]
async fn the_same_client_id_five_times_at_once_through_two_apis_makes_one_message_there() {
    let redis = RedisServer::start().await;
    let config = ApiConfig { limits: ApiConfig::default().limits, ..unlimited() };
    let cluster = cluster(&redis, config).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let sending = (0..5).map(|index| {
        let (person, room) = (ada.at(cluster.url(index % 2)), room.clone());
        async move { person.tries_to_say(&room, json!({ "content": "once", "clientId": "a" })).await.created() }
    });
    let ids: HashSet<String> = join_all(sending).await.iter().map(|message| message["id"].to_string()).collect();
    assert_eq!((ids.len(), &ada.sync(&room, "").await["head"]), (1, &json!(2)));
    // They counted once: four more pass, through either api, and the next does not.
    for index in 0..4 {
        ada.at(cluster.url(index % 2)).says(&room, "another").await;
    }
    ada.tries_to_say(&room, json!({ "content": "too many" })).await.problem(429, "rate_limited");
}

#[tokio::test]
async fn two_who_open_a_conversation_at_once_make_one_room_there() {
    let redis = RedisServer::start().await;
    let cluster = cluster(&redis, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let opening = (0..6).map(|index| {
        let (one, other) = if index % 2 == 0 { (&ada, &ben) } else { (&ben, &ada) };
        let (one, body) = (one.at(cluster.url(index / 3)), json!({ "userIds": [other.id] }));
        async move { one.post("/conversations", body).await.body["id"].as_str().expect("an id").to_owned() }
    });
    assert_eq!(join_all(opening).await.into_iter().collect::<HashSet<_>>().len(), 1);
}

#[tokio::test]
async fn an_api_does_not_start_without_its_backends_and_says_why() {
    let secret = random_secret().replace(['-', '_'], "0");
    let nowhere = free_port();
    let env = Env::from_pairs([
        ("ROOKERY_MONGODB_URI", format!("mongodb://127.0.0.1:{nowhere}/?serverSelectionTimeoutMS=200")),
        ("ROOKERY_REDIS_URLS", format!("redis://127.0.0.1:{nowhere}")),
        ("ROOKERY_TOKEN_SECRET", secret.clone()),
        ("ROOKERY_INTERNAL_SECRET", secret),
    ]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = ClusterConfig::read(&env).expect("is complete");
    let error = rookery_api::run(listener, config, Metrics::detached(), pending()).await.expect_err("does not start");
    assert!(error.to_string().contains("ROOKERY_MONGODB_URI"), "{error}");
}
