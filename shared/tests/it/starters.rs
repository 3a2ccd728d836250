//! The starters themselves.

use rookery_shared::testing::{RedisCluster, RedisSentinel, RedisServer};

#[tokio::test]
async fn a_redis_that_was_killed_comes_back_empty_on_its_port() {
    let mut server = RedisServer::start().await;
    server.command::<()>(redis::cmd("SET").arg("a").arg(1)).await;
    let url = server.url();
    server.kill();
    assert!(server.connection().await.is_err());
    server.restart().await;
    assert_eq!(server.url(), url);
    assert_eq!(server.command::<i64>(redis::cmd("EXISTS").arg("a")).await, 0);
}

#[tokio::test]
async fn a_cluster_serves_every_slot_and_survives_a_restart_of_a_master() {
    let mut cluster = RedisCluster::start(3).await;
    assert_eq!((cluster.owner(0), cluster.owner(16_383)), (0, 2));
    cluster.master(1).restart().await;
    cluster.agreed().await;
}

#[tokio::test]
async fn a_sentinel_knows_its_master() {
    let sentinel = RedisSentinel::start().await;
    assert_eq!(sentinel.master_name(), "rookery");
}

#[cfg(feature = "testing-mongo")]
#[tokio::test]
async fn a_mongod_is_primary_and_keeps_its_data_over_a_restart() {
    use mongodb::{
        Client,
        bson::{Document, doc},
    };
    use rookery_shared::testing::MongoServer;

    let mut server = MongoServer::start().await;
    let client = Client::with_uri_str(server.uri()).await.expect("connects");
    let notes = client.database("test").collection::<Document>("notes");
    notes.insert_one(doc! { "_id": 1 }).await.expect("is stored");
    server.restart().await;
    let client = Client::with_uri_str(server.uri()).await.expect("connects");
    let notes = client.database("test").collection::<Document>("notes");
    assert!(notes.find_one(doc! { "_id": 1 }).await.expect("answers").is_some());
}
