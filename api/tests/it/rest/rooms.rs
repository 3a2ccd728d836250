//! Rooms and who is in them.

use crate::harness::{Cluster, Person, each, unlimited};
use crate::store::fixture;
use futures_util::future::join_all;
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_room_is_made_with_its_first_members() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let body = json!({ "name": "Reading", "description": "books", "visibility": "private", "memberIds": [ben.id, ben.id, ada.id] });
    let room = ada.post("/rooms", body).await.created();
    let expected = json!({
        "id": room["id"], "type": "room", "name": "Reading", "description": "books", "visibility": "private",
        "historyFrom": "join", "createdBy": ada.id, "createdAt": room["createdAt"], "memberCount": 2, "role": "owner",
    });
    assert_eq!(room, expected);
    let id = room["id"].as_str().expect("an id");
    assert_eq!(ben.get(&format!("/rooms/{id}")).await.ok()["role"], "member");
    let log = ben.sync(id, "").await;
    assert_eq!(each(&log, "type"), ["user_joined"], "who joins a private room sees it from then on");
    assert_eq!(each(&ada.sync(id, "").await, "seq"), [1, 2]);
}

#[tokio::test]
async fn wrong_fields_of_a_room_are_named() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let cases = [
        ("name", json!(null)),
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("visibility", json!(null)),
        ("visibility", json!("secret")),
        ("historyFrom", json!("never")),
        ("memberIds", json!([UserId::new()])),
        ("memberIds", json!("everyone")),
        ("description", json!("x".repeat(1_001))),
    ];
    for (field, value) in cases {
        let mut body = json!({ "name": "a room", "visibility": "public" });
        body[field] = value;
        assert_eq!(ada.post("/rooms", body.clone()).await.problem(422, "invalid"), [field], "{body}");
    }
    assert_eq!(
        ada.post("/rooms", json!({ "name": "a", "visibility": "public", "memberIds": ["x"] }))
            .await
            .problem(422, "invalid"),
        ["memberIds[0]"]
    );
}

#[tokio::test]
async fn a_private_room_is_not_there_for_others() {
    let cluster = Cluster::start().await;
    let (ada, eve) = (cluster.person("ada").await, cluster.person("eve").await);
    let room = ada.makes_room(json!({ "name": "ours", "visibility": "private" })).await;
    for path in ["", "/members", "/messages", "/sync"] {
        eve.get(&format!("/rooms/{room}{path}")).await.problem(404, "not_found");
    }
    for path in ["join", "leave"] {
        eve.post(&format!("/rooms/{room}/{path}"), json!({})).await.problem(404, "not_found");
    }
    eve.tries_to_say(&room, json!({ "content": "let me in" })).await.problem(404, "not_found");
    assert_eq!(each(&eve.get("/rooms").await.ok(), "id"), Vec::<&Value>::new());
    eve.get(&format!("/rooms/{}", RoomId::new())).await.problem(404, "not_found");
}

#[tokio::test]
async fn who_is_not_in_a_public_room_sees_it_and_reads_nothing() {
    let cluster = Cluster::start().await;
    let (ada, eve) = (cluster.person("ada").await, cluster.person("eve").await);
    let room = ada.makes_public_room().await;
    assert_eq!(eve.get(&format!("/rooms/{room}")).await.ok()["role"], Value::Null);
    for path in ["members", "messages", "sync"] {
        eve.get(&format!("/rooms/{room}/{path}")).await.problem(403, "not_a_member");
    }
    eve.tries_to_say(&room, json!({ "content": "hello" })).await.problem(403, "not_a_member");
}

#[tokio::test]
async fn joining_and_leaving_are_entries_once_and_reach_both_logs() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    let room_id: RoomId = room.parse().expect("an id");
    cluster.bus.subscribe(&[StreamId::Room(room_id), StreamId::User(ben.id)]).await.expect("subscribes");
    for _ in 0..2 {
        ben.joins(&room).await;
    }
    let says = ben.says(&room, "hello").await;
    assert_eq!(says["seq"], 3);
    for _ in 0..2 {
        ben.leaves(&room).await.expect(204);
    }
    ben.tries_to_say(&room, json!({ "content": "still here?" })).await.problem(403, "not_a_member");
    let log = ada.sync(&room, "").await;
    assert_eq!(each(&log, "type"), ["user_joined", "user_joined", "new_message", "user_left"]);
    assert_eq!(log["items"][3]["data"], json!({ "roomId": room, "userId": ben.id, "username": "ben" }));
    cluster.heard.wait(Kind::RoomRemoved, 1).await;
    let events = cluster.heard.events();
    let mut own: Vec<_> = events.iter().filter(|event| event.header.stream == StreamId::User(ben.id)).collect();
    own.sort_by_key(|event| event.header.seq);
    let own: Vec<_> = own.iter().map(|event| (event.header.seq, event.header.kind, event.header.ref_seq)).collect();
    assert_eq!(own, [(1, Kind::RoomAdded, 2), (2, Kind::RoomRemoved, 4)]);
    let added = events.iter().find(|event| event.header.kind == Kind::RoomAdded).expect("was published");
    let added: Value = serde_json::from_slice(&added.data).expect("JSON");
    assert_eq!((&added["id"], &added["role"], &added["memberCount"]), (&json!(room), &json!("member"), &json!(2)));
    assert_eq!(added["members"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_last_owner_stays_while_others_are_in_the_room() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    ada.leaves(&room).await.problem(409, "last_owner");
    ben.leaves(&room).await.expect(204);
    ada.leaves(&room).await.expect(204);
}

#[tokio::test]
async fn many_who_join_at_once_through_two_apis_make_a_log_without_holes() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let people = join_all(["ada", "ben", "cleo", "dan", "eve", "fay"].map(|name| cluster.person(name))).await;
    let room = people[0].makes_public_room().await;
    let joining = people[1..].iter().flat_map(|person| {
        let room = &room;
        [0, 1].map(|api| {
            let person: Person = person.at(cluster.url(api));
            async move { person.joins(room).await }
        })
    });
    join_all(joining).await;
    assert_eq!(each(&people[0].sync(&room, "").await, "seq"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(people[0].get(&format!("/rooms/{room}")).await.ok()["memberCount"], 6);
}

#[tokio::test]
async fn members_are_listed_by_name_with_who_is_online() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    for name in ["eve", "ben", "cleo"] {
        let person = cluster.person(name).await;
        person.joins(&room).await;
        if name == "ben" {
            cluster.connect(&person).await;
        }
    }
    let first = ada.get(&format!("/rooms/{room}/members?limit=3")).await.ok();
    assert_eq!(each(&first, "username"), ["ada", "ben", "cleo"]);
    assert_eq!(each(&first, "isOnline"), [false, true, false]);
    assert_eq!(each(&first, "role"), ["owner", "member", "member"]);
    let next = first["next"].as_str().expect("there is more");
    let second = ada.get(&format!("/rooms/{room}/members?limit=3&after={next}")).await.ok();
    assert_eq!((each(&second, "username"), &second["next"]), (vec![&json!("eve")], &Value::Null));
    let prev = second["prev"].as_str().expect("there is something before");
    let back = ada.get(&format!("/rooms/{room}/members?limit=2&before={prev}")).await.ok();
    assert_eq!(each(&back, "username"), ["ben", "cleo"]);
    assert!(back["next"].is_string());
    let prev = back["prev"].as_str().expect("there is something before");
    let start = ada.get(&format!("/rooms/{room}/members?limit=2&before={prev}")).await.ok();
    assert_eq!((each(&start, "username"), &start["prev"]), (vec![&json!("ada")], &Value::Null));
    let refused = ada.get(&format!("/rooms/{room}/members?before=???")).await;
    assert_eq!(refused.problem(422, "invalid"), ["before"]);
}

#[tokio::test]
async fn rooms_are_found_by_name_newest_first() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    for (name, visibility) in
        [("Books", "public"), ("Old books", "private"), ("Music", "public"), ("New BOOKS", "public")]
    {
        ada.makes_room(json!({ "name": name, "visibility": visibility })).await;
    }
    assert_eq!(each(&ben.get("/rooms?q=books").await.ok(), "name"), ["New BOOKS", "Books"]);
    let mine = ada.get("/rooms?q=books").await.ok();
    assert_eq!(each(&mine, "name"), ["New BOOKS", "Old books", "Books"]);
    assert_eq!(each(&mine, "unreadCount"), [0, 0, 0], "one's own rooms come in full");
    let first = ben.get("/rooms?limit=2").await.ok();
    let next = first["next"].as_str().expect("there is more");
    let second = ben.get(&format!("/rooms?limit=2&after={next}")).await.ok();
    let names: Vec<_> = [each(&first, "name"), each(&second, "name")].concat();
    assert_eq!(names, ["New BOOKS", "Music", "Books"]);
    assert_eq!((&first["prev"], &second["next"]), (&Value::Null, &Value::Null));
    let prev = second["prev"].as_str().expect("there is something before");
    let back = ben.get(&format!("/rooms?limit=1&before={prev}")).await.ok();
    assert_eq!(each(&back, "name"), ["Music"]);
    assert!(back["next"].is_string() && back["prev"].is_string(), "{back}");
    assert_eq!(ben.get("/rooms?before=???").await.problem(422, "invalid"), ["before"]);
    assert_eq!(ben.get("/rooms?after=???").await.problem(422, "invalid"), ["after"]);
    for wrong in ["%00", "a%0Ab", &"x".repeat(101)] {
        assert_eq!(ben.get(&format!("/rooms?q={wrong}")).await.problem(422, "invalid"), ["q"], "{wrong}");
    }
    assert_eq!(each(&ben.get(&format!("/rooms?q={}", "x".repeat(100))).await.ok(), "id"), Vec::<&Value>::new());
}
