//! Reactions: once for each person and emoji, counted for everyone.

use crate::{
    harness::{Answer, Cluster, Person, each, id, unlimited},
    store::fixture::{self, Fixture},
};
use futures_util::future::join_all;
use reqwest::Method;
use rookery_api::store::{
    Part,
    records::{Area, RecordKey},
};
use serde_json::{Value, json};
use uuid::Uuid;

async fn react(person: &Person, message: &Value, emoji: &str) -> Answer {
    person.request(Method::PUT, &format!("/messages/{}/reactions/{emoji}", id(message)), None).await
}

async fn take_back(person: &Person, message: &Value, emoji: &str) -> Answer {
    person.request(Method::DELETE, &format!("/messages/{}/reactions/{emoji}", id(message)), None).await
}

#[tokio::test]
async fn a_reaction_is_there_once_and_goes_once() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let said = ada.says(&room, "good news").await;
    let one = react(&ada, &said, "👍").await.ok();
    assert_eq!(one["reactions"], json!([{ "emoji": "👍", "count": 1, "userIds": [ada.id] }]));
    assert_eq!(react(&ada, &said, "👍").await.ok(), one, "no second one");
    react(&ben, &said, "👍").await.ok();
    // Percent-encoded, as most clients write it.
    let two = react(&ben, &said, "%E2%9D%A4%EF%B8%8F").await.ok();
    let both = json!([{ "emoji": "👍", "count": 2, "userIds": [ada.id, ben.id] }, { "emoji": "❤️", "count": 1, "userIds": [ben.id] }]);
    assert_eq!((&two["reactions"], two.get("editedAt")), (&both, None));
    assert_eq!(ada.history(&room, "").await["items"][0]["reactions"], both);
    let head = ada.sync(&room, "").await["head"].as_u64().expect("a head");
    for _ in 0..2 {
        take_back(&ada, &said, "👍").await.expect(204);
        take_back(&ben, &said, "❤️").await.expect(204);
        take_back(&ben, &said, "🎉").await.expect(204);
    }
    let log = ada.sync(&room, &format!("?since={head}")).await;
    assert_eq!(each(&log, "type"), ["message_updated", "message_updated"]);
    let left = json!([{ "emoji": "👍", "count": 1, "userIds": [ben.id] }]);
    assert_eq!(log["items"][1]["data"]["reactions"], left);
    react(&ada, &said, "👍").await.ok();
}

#[tokio::test]
async fn only_one_emoji_is_a_reaction() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let said = ada.says(&room, "hm").await;
    for text in ["a", "1", "👍👍", "%F0%9F%91%8Da", "+1", "%20", &"👍".repeat(40)] {
        assert_eq!(react(&ada, &said, text).await.problem(422, "invalid"), ["emoji"], "{text}");
    }
    react(&ada, &said, "%FF").await.problem(404, "not_found");
    let stranger = cluster.person("ben").await;
    react(&stranger, &said, "👍").await.problem(403, "not_a_member");
    assert_eq!(ada.sync(&room, "").await["head"], 2);
}

#[tokio::test]
async fn a_message_has_at_most_fifty_different_emojis() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let said = ada.says(&room, "popular").await;
    let emojis: Vec<String> = ('\u{1f400}'..'\u{1f433}').map(String::from).collect();
    assert_eq!(emojis.len(), 51);
    for emoji in &emojis[..50] {
        react(&ada, &said, emoji).await.ok();
    }
    react(&ada, &said, &emojis[50]).await.problem(409, "conflict");
    react(&ada, &said, &emojis[7]).await.ok();
    take_back(&ada, &said, &emojis[7]).await.expect(204);
    react(&ada, &said, &emojis[50]).await.ok();
}

/// Many people react at the same moment, through two apis.
async fn everyone_counts(store: Fixture) {
    let handle = store.store.clone();
    let cluster = Cluster::with(store, 2, unlimited()).await;
    let people = join_all((0..23).map(|index| {
        let cluster = &cluster;
        async move { cluster.person(&format!("person{index}")).await }
    }))
    .await;
    let room = people[0].makes_public_room().await;
    for person in &people[1..] {
        person.joins(&room).await;
    }
    let said = people[0].says(&room, "who is in?").await;
    let answers = join_all(people.iter().map(|person| react(person, &said, "🙋"))).await;
    for answer in answers {
        answer.ok();
    }
    let now = || async { people[0].history(&room, "").await["items"][0]["reactions"].clone() };
    let reactions = now().await;
    assert_eq!((&reactions[0]["count"], reactions[0]["userIds"].as_array().map(Vec::len)), (&json!(23), Some(20)));

    // Who was named and goes makes place for one who was not named.
    let named: Vec<String> = serde_json::from_value(reactions[0]["userIds"].clone()).expect("ids");
    let leaver = people.iter().find(|person| person.id.to_string() == named[3]).expect("one of them");
    take_back(leaver, &said, "🙋").await.expect(204);
    let reactions = now().await;
    let named: Vec<String> = serde_json::from_value(reactions[0]["userIds"].clone()).expect("ids");
    assert_eq!((&reactions[0]["count"], named.len()), (&json!(22), 20));
    assert!(!named.contains(&leaver.id.to_string()));
    assert_eq!(named.iter().collect::<std::collections::HashSet<_>>().len(), 20, "each once");

    // With the message goes every trace of who reacted.
    let left = || async {
        let reacted = |person: &Person| RecordKey { area: Area::Reaction, owner: owner(&said), id: person.id.0 };
        let found = handle.records(&people.iter().map(reacted).collect::<Vec<_>>()).await.expect("read");
        let listed = handle.list_records(Area::Reaction, owner(&said), Part::First, 50).await.expect("read");
        assert_eq!(found.iter().flatten().count(), listed.len());
        listed.len()
    };
    assert_eq!(left().await, 22);
    people[0].deletes(&said).await.expect(204);
    assert_eq!(left().await, 0);
}

/// Whose the records of this test's emoji are: the first half of a hash, marked as an id of its own sort.
pub(super) fn owner(message: &Value) -> Uuid {
    use sha2::{Digest as _, Sha256};
    let id: Uuid = id(message).parse().expect("an id");
    let digest = Sha256::new().chain_update(id.as_bytes()).chain_update("🙋").finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_who_reacts_counts() {
    everyone_counts(fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_who_reacts_counts_on_mongodb() {
    everyone_counts(fixture::mongo().await).await;
}
