//! What is changed about a room, and for oneself: name and the like, roles, muting.

use crate::harness::{Cluster, each};
use rookery_shared::{clock, envelope::Kind, ids::StreamId};
use serde_json::{Value, json};

#[tokio::test]
async fn an_owner_changes_what_is_given_and_nothing_else() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let body = json!({ "name": "Reading", "description": "books", "visibility": "private", "memberIds": [ben.id] });
    let room = ada.makes_room(body).await;
    let path = format!("/rooms/{room}");
    let before = ada.get(&path).await.ok();
    let changed = ada.patch(&path, json!({ "name": "Écoute" })).await.ok();
    let mut expected = before.clone();
    expected["name"] = json!("Écoute");
    assert_eq!(changed, expected);
    let changed =
        ada.patch(&path, json!({ "description": null, "historyFrom": "start", "visibility": "public" })).await.ok();
    for (field, value) in
        [("description", Value::Null), ("historyFrom", json!("start")), ("visibility", json!("public"))]
    {
        expected[field] = value;
    }
    assert_eq!((&changed, &ada.get(&path).await.ok()), (&expected, &expected));
    let log = ben.sync(&room, "?since=2").await;
    assert_eq!(each(&log, "type"), ["room_updated", "room_updated"]);
    let mut told = expected;
    told.as_object_mut().expect("an object").remove("role");
    assert_eq!(each(&log, "data"), [&told, &told], "as it is now, and without anyone's own role");
}

#[tokio::test]
async fn a_change_that_changes_nothing_makes_no_entry() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_room(json!({ "name": "a", "description": "d", "visibility": "public" })).await;
    let path = format!("/rooms/{room}");
    for body in [
        json!({}),
        json!({ "name": "a" }),
        json!({ "name": "a", "description": "d", "visibility": "public", "historyFrom": "start" }),
    ] {
        ada.patch(&path, body).await.ok();
    }
    assert_eq!(ada.sync(&room, "").await["head"], 1);
}

#[tokio::test]
async fn wrong_fields_of_a_change_are_named() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    for (field, value) in [
        ("name", json!("")),
        ("name", Value::Null),
        ("visibility", Value::Null),
        ("historyFrom", Value::Null),
        ("name", json!("x".repeat(101))),
        ("name", json!(1)),
        ("description", json!("x".repeat(1_001))),
        ("visibility", json!("secret")),
        ("historyFrom", json!("never")),
    ] {
        let answer = ada.patch(&format!("/rooms/{room}"), json!({ field: value })).await;
        assert_eq!(answer.problem(422, "invalid"), [field]);
    }
}

#[tokio::test]
async fn only_owners_change_a_room() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let room = ada.makes_public_room().await;
    let path = format!("/rooms/{room}");
    ada.post(&format!("{path}/members"), json!({ "userId": ben.id, "role": "moderator" })).await.created();
    ben.patch(&path, json!({ "name": "mine" })).await.problem(403, "forbidden");
    eve.patch(&path, json!({ "name": "mine" })).await.problem(403, "not_a_member");
    let secret = ada.makes_private_room(&[]).await;
    eve.patch(&format!("/rooms/{secret}"), json!({ "name": "mine" })).await.problem(404, "not_found");
    assert_eq!(ada.get(&path).await.ok()["name"], "a room");
}

#[tokio::test]
async fn a_change_of_a_role_is_told_with_the_member() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_private_room(&[&ben]).await;
    cluster.bus.subscribe(&[StreamId::Room(room.parse().expect("an id"))]).await.expect("subscribes");
    let path = format!("/rooms/{room}/members/{}", ben.id);
    for _ in 0..2 {
        let member = ada.patch(&path, json!({ "role": "moderator" })).await.ok();
        assert_eq!((&member["role"], &member["username"]), (&json!("moderator"), &json!("ben")));
    }
    let told = cluster.heard.wait(Kind::RoomUpdated, 1).await;
    assert_eq!((told.len(), told[0].header.subject), (1, ben.id.0), "once");
    let data: Value = serde_json::from_slice(&told[0].data).expect("JSON");
    assert_eq!(data["member"], json!({ "userId": ben.id, "username": "ben", "role": "moderator" }));
    assert_eq!((&data["id"], data.get("role")), (&json!(room), None));
    assert_eq!(ben.get(&format!("/rooms/{room}")).await.ok()["role"], "moderator");
}

#[tokio::test]
async fn a_room_is_muted_for_one_member_until_a_time_or_for_good() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_private_room(&[&ben]).await;
    let path = format!("/rooms/{room}/mute");
    let mine = async || {
        let rooms = ada.get("/rooms").await.ok();
        (rooms["items"][0]["muted"].clone(), rooms["items"][0]["mutedUntil"].clone())
    };
    let put = async |body: Value| ada.put(&path, body).await;
    assert_eq!(mine().await, (json!(false), Value::Null));
    for _ in 0..2 {
        ada.puts(&path).await.expect(204);
    }
    assert_eq!(mine().await, (json!(true), Value::Null));
    let until = clock::now().plus_seconds(60);
    put(json!({ "until": until })).await.expect(204);
    assert_eq!(mine().await, (json!(true), json!(until)));
    for past in [json!(clock::now()), json!(clock::now().plus_seconds(-60)), json!("tomorrow"), json!(1)] {
        assert_eq!(put(json!({ "until": past })).await.problem(422, "invalid"), ["until"]);
    }
    assert_eq!(ben.get("/rooms").await.ok()["items"][0]["muted"], false, "for oneself only");
    for _ in 0..2 {
        ada.delete(&path).await.expect(204);
    }
    assert_eq!(mine().await, (json!(false), Value::Null));
    put(json!({})).await.expect(204);
    assert_eq!(mine().await, (json!(true), Value::Null));
    assert_eq!(ada.sync(&room, "").await["head"], 2, "nobody else is told");
    let eve = cluster.person("eve").await;
    eve.puts(&path).await.problem(404, "not_found");
    let open = ada.makes_public_room().await;
    eve.puts(&format!("/rooms/{open}/mute")).await.problem(403, "not_a_member");
}

#[tokio::test]
async fn a_mute_ends_by_itself() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let until = clock::now().plus_seconds(2);
    let body = json!({ "until": until });
    ada.put(&format!("/rooms/{room}/mute"), body).await.expect(204);
    assert_eq!(each(&ada.get("/rooms").await.ok(), "muted"), [true]);
    rookery_shared::testing::poll("the time comes", async || {
        let rooms = ada.get("/rooms").await.ok();
        (rooms["items"][0]["muted"] == false && rooms["items"][0]["mutedUntil"].is_null()).then_some(())
    })
    .await;
    assert!(clock::now() >= until, "and not before");
}
