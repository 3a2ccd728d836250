//! Sending, and sending again.

use crate::harness::{Cluster, each, unlimited};
use crate::store::fixture;
use futures_util::future::join_all;
use rookery_shared::{
    envelope::Kind,
    ids::{MessageId, RoomId, StreamId},
};
use serde_json::{Value, json};
use std::collections::HashSet;

#[tokio::test]
async fn a_message_comes_back_as_everyone_sees_it() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    cluster.bus.subscribe(&[StreamId::Room(room.parse().expect("an id"))]).await.expect("subscribes");
    let first = ada.says(&room, "first").await;
    let attachment = json!({ "url": "https://example.org/a.png", "name": "a.png", "mime": "image/png", "size": 7 });
    let body = json!({
        "content": "a\r\nb <i>e\u{301}</i>", "type": "image", "clientId": "mine", "replyTo": first["id"],
        "attachment": attachment, "unknown": 1,
    });
    let answer = ada.tries_to_say(&room, body).await;
    let location = answer.header("location").to_owned();
    let message = answer.created();
    let expected = json!({
        "id": message["id"], "roomId": room, "seq": 3, "rev": 1, "clientId": "mine", "type": "image",
        "content": "a\nb <i>é</i>", "author": { "userId": ada.id, "username": "ada", "displayName": "ada" },
        "createdAt": message["createdAt"], "attachment": attachment, "reactions": [],
        "replyTo": { "messageId": first["id"], "seq": 2, "userId": ada.id },
    });
    assert_eq!(message, expected);
    assert_eq!(location, format!("/api/v1/messages/{}", message["id"].as_str().expect("an id")));
    let mut single = ada.get(location.strip_prefix("/api/v1").expect("a path")).await.ok();
    assert_eq!(single.as_object_mut().expect("an object").remove("readBy"), Some(json!([])));
    assert_eq!(single, message);
    assert_eq!(ada.history(&room, "?limit=1").await["items"][0], message);
    let events = cluster.heard.wait(Kind::Message, 2).await;
    let header = events[1].header;
    assert_eq!((header.kind, header.seq, header.subject), (Kind::Message, 3, ada.id.0));
    assert_eq!(serde_json::from_slice::<Value>(&events[1].data).expect("JSON"), message);
    assert!(header.published_at > 0);
}

#[tokio::test]
async fn wrong_fields_of_a_message_are_named() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let (room, other) = (ada.makes_public_room().await, ada.makes_public_room().await);
    let elsewhere = ada.says(&other, "elsewhere").await;
    let file = |url: &str, mime: &str| json!({ "url": url, "name": "a", "mime": mime, "size": 1 });
    let cases = [
        ("content", json!(null)),
        ("content", json!("")),
        ("content", json!(" \n\u{2003}")),
        ("content", json!("a\u{0}")),
        ("content", json!("x".repeat(4_001))),
        ("content", json!("語語".repeat(3_000))),
        ("content", json!(7)),
        ("type", json!("dance")),
        ("clientId", json!("")),
        ("clientId", json!("x".repeat(129))),
        ("replyTo", json!(MessageId::new())),
        ("replyTo", elsewhere["id"].clone()),
        ("replyTo", json!("no id")),
        ("attachment", file("ftp://example.org", "image/png")),
        ("attachment", file("javascript:alert(1)", "image/png")),
        ("attachment", file("https://example.org", "picture")),
        ("attachment.size", json!({ "url": "https://a", "name": "a", "mime": "a/b", "size": -1 })),
    ];
    for (field, value) in cases {
        let mut body = json!({ "content": "fine" });
        body[field.split('.').next().expect("a name")] = value;
        let answer = ada.tries_to_say(&room, body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [field], "{body}");
    }
    let system = ada.tries_to_say(&room, json!({ "content": "beep", "type": "system" })).await;
    system.problem(403, "forbidden");
    assert_eq!(ada.sync(&room, "").await["head"], 1, "nothing was stored");
}

#[tokio::test]
async fn the_longest_contents_are_stored() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    for content in ["x".repeat(4_000), "😀".repeat(4_000), "👨‍👩‍👧‍👦".repeat(655)] {
        assert_eq!(ada.says(&room, &content).await["content"], json!(content));
    }
}

#[tokio::test]
async fn a_repeated_client_id_is_the_same_message() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let ada = cluster.person("ada").await;
    let elsewhere = ada.at(cluster.url(1));
    let room = ada.makes_public_room().await;
    cluster.bus.subscribe(&[StreamId::Room(room.parse().expect("an id"))]).await.expect("subscribes");
    let body = json!({ "content": "once", "clientId": "a" });
    let first = ada.tries_to_say(&room, body.clone()).await.created();
    assert_eq!(ada.tries_to_say(&room, body.clone()).await.created(), first);
    assert_eq!(elsewhere.tries_to_say(&room, body).await.created(), first);
    for person in [&ada, &elsewhere] {
        let other = json!({ "content": "twice", "clientId": "a" });
        person.tries_to_say(&room, other).await.problem(409, "client_id_reused");
    }
    assert_eq!(ada.sync(&room, "").await["head"], 2);
    let events = cluster.heard.wait(Kind::Message, 3).await;
    assert!(events.iter().all(|event| event.header.seq == 2), "a repeat is published again, at its own place");
    let another = ada.makes_public_room().await;
    let body = json!({ "content": "another room", "clientId": "a" });
    assert_eq!(ada.tries_to_say(&another, body).await.created()["seq"], 2);
}

#[tokio::test]
async fn the_same_client_id_many_times_at_once_through_two_apis_makes_one_message() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let sending = (0..10).map(|index| {
        let person = ada.at(cluster.url(index % 2));
        let room = room.clone();
        async move { person.tries_to_say(&room, json!({ "content": "once", "clientId": "a" })).await.created() }
    });
    let ids: HashSet<String> = join_all(sending).await.iter().map(|message| message["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(ada.sync(&room, "").await["head"], 2);
}

#[tokio::test]
async fn people_who_talk_through_two_apis_make_one_log_without_holes() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    cluster.bus.subscribe(&[StreamId::Room(room.parse::<RoomId>().expect("an id"))]).await.expect("subscribes");
    let talking = [(&ada, 0), (&ben, 1)].map(|(person, api)| {
        let (person, room) = (person.at(cluster.url(api)), room.clone());
        async move {
            let mut seqs = Vec::new();
            for index in 0..50 {
                seqs.push(person.says(&room, &index.to_string()).await["seq"].as_u64().expect("a number"));
            }
            seqs
        }
    });
    for seqs in join_all(talking).await {
        assert!(seqs.is_sorted(), "what was acknowledged before has the lower place: {seqs:?}");
    }
    let log = ada.sync(&room, "?limit=200").await;
    let seqs: Vec<u64> = each(&log, "seq").into_iter().map(|seq| seq.as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=102).collect::<Vec<_>>());
    assert_eq!(cluster.heard.wait(Kind::Message, 100).await.len(), 100);
}

#[tokio::test]
async fn who_is_no_longer_a_member_is_refused_even_a_repeat() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let body = json!({ "content": "once", "clientId": "a" });
    ben.tries_to_say(&room, body.clone()).await.created();
    ben.leaves(&room).await.expect(204);
    ben.tries_to_say(&room, body).await.problem(403, "not_a_member");
}
