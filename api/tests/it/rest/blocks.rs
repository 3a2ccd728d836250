//! Blocks between people.

use crate::{
    harness::{Cluster, each, unlimited},
    store::fixture,
};
use futures_util::future::join_all;
use reqwest::Method;
use rookery_shared::ids::UserId;
use serde_json::json;

#[tokio::test]
async fn a_block_refuses_a_conversation_in_both_directions_until_it_is_taken_back() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
        let path = format!("/users/{}/block", ben.id);
        let open = |ids: &[UserId]| json!({ "userIds": ids, "type": "consumer-to-consumer" });
        ben.post("/conversations", open(&[ada.id])).await.created();
        for _ in 0..2 {
            ada.request(Method::PUT, &path, None).await.expect(204);
        }
        // The conversation that is there is not given out either, and neither is one with others in it.
        for ids in [vec![ada.id], vec![ada.id, eve.id]] {
            ben.post("/conversations", open(&ids)).await.problem(403, "blocked");
        }
        ada.post("/conversations", open(&[ben.id])).await.problem(403, "blocked");
        eve.post("/conversations", open(&[ada.id, ben.id])).await.created();
        for _ in 0..2 {
            ada.delete(&path).await.expect(204);
        }
        ada.post("/conversations", open(&[ben.id])).await.ok();
    }
}

#[tokio::test]
async fn whom_one_blocks_is_listed_for_oneself_alone() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let ada = cluster.person("ada").await;
    let others = [cluster.person("ben").await, cluster.person("eve").await, cluster.person("dan").await];
    for other in &others {
        ada.request(Method::PUT, &format!("/users/{}/block", other.id), None).await.expect(204);
    }
    let list = ada.get("/users/me/blocks?limit=2").await.ok();
    assert_eq!(each(&list, "username"), ["dan", "eve"]);
    let rest = ada.get(&format!("/users/me/blocks?after={}", list["next"].as_str().expect("more"))).await.ok();
    assert_eq!(each(&rest, "userId"), [&json!(others[0].id)]);
    assert_eq!(each(&others[0].get("/users/me/blocks").await.ok(), "userId").len(), 0);
}

#[tokio::test]
async fn nobody_blocks_themselves_or_someone_who_is_not_there() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let block = async |id: UserId, method| ada.request(method, &format!("/users/{id}/block"), None).await;
    assert_eq!(block(ada.id, Method::PUT).await.problem(422, "invalid"), ["id"]);
    block(UserId::new(), Method::PUT).await.problem(404, "not_found");
    block(UserId::new(), Method::DELETE).await.problem(404, "not_found");
    cluster.visitor(0).delete(&format!("/users/{}/block", ada.id)).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn blocks_at_once_are_one() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let path = format!("/users/{}/block", ben.id);
    let at_once = (0..6).map(|index| {
        let ada = ada.at(cluster.url(index % 2));
        let path = path.clone();
        async move { ada.request(Method::PUT, &path, None).await.expect(204) }
    });
    join_all(at_once).await;
    assert_eq!(each(&ada.get("/users/me/blocks").await.ok(), "userId").len(), 1);
}
