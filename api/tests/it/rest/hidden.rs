//! Conversations that someone left: hidden until the next message. And what two people have said.

use super::on_both_stores;
use crate::harness::{Cluster, Person, each};
use rookery_shared::{
    envelope::Kind,
    ids::{StreamId, UserId},
    testing::poll,
};
use serde_json::{Value, json};

on_both_stores! {
    a_conversation_that_is_left_is_hidden_until_the_next_message,
    opening_a_hidden_conversation_shows_it_again,
}

async fn opens(person: &Person, other: &Person) -> Value {
    person.post("/conversations", json!({ "userIds": [other.id] })).await.body
}

async fn talk(cluster: &Cluster) -> (Person, Person, String) {
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let opened = opens(&ada, &ben).await;
    let room = opened["id"].as_str().expect("an id").to_owned();
    cluster.bus.subscribe(&[StreamId::User(ben.id)]).await.expect("subscribes");
    (ada, ben, room)
}

/// The conversations that someone sees listed.
async fn listed(person: &Person) -> usize {
    person.get("/conversations").await.ok()["items"].as_array().expect("items").len()
}

async fn a_conversation_that_is_left_is_hidden_until_the_next_message(cluster: Cluster) {
    let (ada, ben, room) = talk(&cluster).await;
    ada.says(&room, "before").await;
    for _ in 0..2 {
        ben.leaves(&room).await.expect(204);
    }
    assert_eq!((listed(&ben).await, listed(&ada).await), (0, 1));
    assert_eq!(each(&ben.get(&format!("/users/{}/rooms", ben.id)).await.ok(), "id"), Vec::<&Value>::new());
    let removed = cluster.heard.wait(Kind::RoomRemoved, 1).await;
    assert_eq!(removed.len(), 1, "told once");
    // Nothing has happened to anyone else, and they are in it as before.
    assert_eq!(ada.get(&format!("/rooms/{room}")).await.ok()["memberCount"], 2);
    assert!(each(&ada.sync(&room, "").await, "type").iter().all(|kind| *kind != "user_left"));
    let said = ada.at(cluster.url(1)).says(&room, "after").await;
    assert_eq!(listed(&ben).await, 1, "at once");
    let added = poll("they are told", async || {
        let events = cluster.heard.events();
        events.into_iter().find(|event| event.header.kind == Kind::RoomAdded && event.header.seq > 2)
    })
    .await;
    let data: Value = serde_json::from_slice(&added.data).expect("JSON");
    assert_eq!((&data["id"], &data["lastMessage"]["content"]), (&json!(room), &json!("after")));
    assert!(added.header.ref_seq <= said["seq"].as_u64().expect("a number"), "from where on it is followed again");
    // It can be hidden anew.
    ben.leaves(&room).await.expect(204);
    assert_eq!(listed(&ben).await, 0);
    cluster.heard.wait(Kind::RoomRemoved, 2).await;
}

async fn opening_a_hidden_conversation_shows_it_again(cluster: Cluster) {
    let (ada, ben, room) = talk(&cluster).await;
    ben.leaves(&room).await.expect(204);
    // That another opens it changes nothing for who has hidden it.
    assert_eq!(opens(&ada, &ben).await["isNew"], false);
    assert_eq!(listed(&ben).await, 0);
    let opened = opens(&ben, &ada).await;
    assert_eq!((&opened["id"], &opened["isNew"]), (&json!(room), &json!(false)));
    assert_eq!(listed(&ben).await, 1);
    poll("the other devices are told", async || {
        cluster.heard.events().into_iter().find(|event| event.header.kind == Kind::RoomAdded && event.header.seq > 2)
    })
    .await;
}

#[tokio::test]
async fn the_history_of_two_is_theirs_and_empty_if_they_never_talked() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let room = opens(&ada, &ben).await["id"].as_str().expect("an id").to_owned();
    for content in ["one", "two", "three"] {
        ben.says(&room, content).await;
    }
    let with = |person: &Person| format!("/conversations/with/{}/messages", person.id);
    assert_eq!(each(&ada.get(&with(&ben)).await.ok(), "content"), ["one", "two", "three"]);
    assert_eq!(ada.get(&format!("{}?limit=2", with(&ben))).await.ok(), ben.history(&room, "?limit=2").await);
    let nothing = json!({ "items": [], "next": null, "prev": null });
    for (one, other) in [(&ada, &eve), (&eve, &ben), (&ada, &ada)] {
        assert_eq!(one.get(&with(other)).await.ok(), nothing);
    }
    let wrong = eve.get(&format!("{}?limit=0", with(&ben))).await;
    assert_eq!(wrong.problem(422, "invalid"), ["limit"]);
    ada.get(&format!("/conversations/with/{}/messages", UserId::new())).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_muted_conversation_says_so_in_the_list() {
    let cluster = Cluster::start().await;
    let (ada, ben, room) = talk(&cluster).await;
    ben.puts(&format!("/rooms/{room}/mute")).await.expect(204);
    ada.says(&room, "hello").await;
    let list = ben.get("/conversations").await.ok();
    assert_eq!((each(&list, "muted"), each(&list, "unreadCount")), (vec![&json!(true)], vec![&json!(1)]));
    assert_eq!(each(&ada.get("/conversations").await.ok(), "muted"), [false]);
}
