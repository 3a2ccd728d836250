//! Conversations of exact people.

use crate::harness::{Cluster, Person, each, the_clock_moves, unlimited};
use crate::store::fixture;
use futures_util::future::join_all;
use rookery_shared::{
    envelope::Kind,
    ids::{StreamId, UserId},
};
use serde_json::{Value, json};
use std::collections::HashSet;

#[tokio::test]
async fn the_same_people_get_the_same_conversation() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let opened = ada.post("/conversations", json!({ "userIds": [ben.id] })).await.created();
    assert_eq!(
        (&opened["isNew"], &opened["type"], &opened["name"]),
        (&json!(true), &json!("consumer-to-consumer"), &Value::Null)
    );
    let again = ben
        .post("/conversations", json!({ "userIds": [ada.id, ben.id, ada.id], "type": "consumer-to-consumer" }))
        .await
        .ok();
    assert_eq!((&again["isNew"], &again["id"]), (&json!(false), &opened["id"]));
    let three = ada.post("/conversations", json!({ "userIds": [ben.id, eve.id] })).await.created();
    assert_ne!(three["id"], opened["id"]);
    eve.get(&format!("/rooms/{}", opened["id"].as_str().expect("an id"))).await.problem(404, "not_found");
}

#[tokio::test]
async fn two_who_open_it_at_once_make_one_room() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let opening = (0..8).map(|index| {
        let (one, other) = if index % 2 == 0 { (&ada, &ben) } else { (&ben, &ada) };
        let (one, body) = (one.at(cluster.url(index / 4)), json!({ "userIds": [other.id] }));
        async move { one.post("/conversations", body).await }
    });
    let opened: Vec<Value> = join_all(opening).await.into_iter().map(|answer| answer.body).collect();
    let rooms: HashSet<_> = opened.iter().map(|opened| opened["id"].as_str().expect("an id")).collect();
    assert_eq!((rooms.len(), opened.iter().filter(|opened| opened["isNew"] == true).count()), (1, 1));
}

#[tokio::test]
async fn a_conversation_needs_people_who_exist_and_support_where_it_is_for_support() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let cases = [
        (json!({ "userIds": [] }), "userIds"),
        (json!({}), "userIds"),
        (json!({ "userIds": [ada.id] }), "userIds"),
        (json!({ "userIds": [UserId::new()] }), "userIds"),
        (json!({ "userIds": [ben.id], "type": "room" }), "type"),
        (json!({ "userIds": [ben.id], "type": "party" }), "type"),
        (json!({ "userIds": [ben.id], "type": "consumer-to-support" }), "userIds"),
    ];
    for (body, field) in cases {
        assert_eq!(ada.post("/conversations", body.clone()).await.problem(422, "invalid"), [field], "{body}");
    }
}

#[tokio::test]
async fn support_and_consumers_have_a_conversation_of_their_own() {
    let cluster = Cluster::start().await;
    let (ada, helper, root) =
        (cluster.person("ada").await, cluster.person("helper").await, cluster.admin("root").await);
    let open = |person: &Person, other: &Person, kind: &str| {
        let (person, body) = (person.clone(), json!({ "userIds": [other.id], "type": kind }));
        async move { person.post("/conversations", body).await }
    };
    open(&ada, &helper, "consumer-to-support").await.problem(422, "invalid");
    root.patch(&format!("/users/{}", helper.id), json!({ "type": "support" })).await.ok();
    let opened = open(&ada, &helper, "consumer-to-support").await.created();
    assert_eq!((&opened["type"], &opened["isNew"]), (&json!("consumer-to-support"), &json!(true)));
    let found = open(&helper, &ada, "consumer-to-support").await.ok();
    assert_eq!((&found["id"], &found["isNew"]), (&opened["id"], &json!(false)));
    let plain = open(&ada, &helper, "consumer-to-consumer").await.created();
    assert_ne!(plain["id"], opened["id"], "of the same people, and of another type");
}

#[tokio::test]
async fn recent_conversations_come_first_with_what_is_unread() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let mut rooms = Vec::new();
    for name in ["ben", "cleo", "dan"] {
        let other = cluster.person(name).await;
        let opened = other.post("/conversations", json!({ "userIds": [ada.id] })).await.created();
        let room = opened["id"].as_str().expect("an id").to_owned();
        other.says(&room, &format!("I am {name}")).await;
        rooms.push((other, room));
    }
    ada.makes_public_room().await;
    // Stored times have milliseconds: the next one is surely later.
    the_clock_moves(std::time::Duration::ZERO).await;
    rooms[0].0.says(&rooms[0].1, "again").await;
    let list = ada.get("/conversations").await.ok();
    let said: Vec<_> = each(&list, "lastMessage").into_iter().map(|message| message["content"].clone()).collect();
    assert_eq!(said, ["again", "I am dan", "I am cleo"]);
    assert_eq!(each(&list, "unreadCount"), [2, 1, 1]);
    assert_eq!(each(&rooms[0].0.get("/conversations").await.ok(), "unreadCount"), [0], "one's own are not unread");
    let names = list["items"][0]["members"].as_array().expect("people");
    assert_eq!(names.iter().map(|person| &person["username"]).collect::<Vec<_>>(), ["ada", "ben"]);
    let first = ada.get("/conversations?limit=2").await.ok();
    let next = first["next"].as_str().expect("there is more");
    let second = ada.get(&format!("/conversations?limit=2&after={next}")).await.ok();
    assert_eq!((second["items"].as_array().map(Vec::len), &second["next"]), (Some(1), &Value::Null));
    let prev = second["prev"].as_str().expect("there is something before");
    assert_eq!(ada.get(&format!("/conversations?limit=2&before={prev}")).await.ok()["items"], first["items"]);
}

#[tokio::test]
async fn a_new_conversation_reaches_the_stream_of_everyone_in_it() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    cluster.bus.subscribe(&[StreamId::User(ada.id), StreamId::User(ben.id)]).await.expect("subscribes");
    ada.post("/conversations", json!({ "userIds": [ben.id] })).await.created();
    let events = cluster.heard.wait(Kind::RoomAdded, 2).await;
    for (person, other) in [(&ada, "ben"), (&ben, "ada")] {
        let added =
            events.iter().find(|event| event.header.stream == StreamId::User(person.id)).expect("was published");
        let data: Value = serde_json::from_slice(&added.data).expect("JSON");
        let names: Vec<_> = data["members"].as_array().expect("people").iter().map(|it| &it["username"]).collect();
        assert!(names.contains(&&json!(other)), "{data}");
    }
}
