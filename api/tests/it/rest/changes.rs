//! Editing, deleting and pinning messages.

use crate::{
    harness::{Cluster, Person, each, id, unlimited},
    store::fixture::{self, Fixture},
};
use futures_util::future::join_all;
use reqwest::Method;
use rookery_api::store::{
    Op,
    records::{Area, RecordKey, RecordRow},
};
use rookery_shared::{envelope::Kind, ids::StreamId};
use serde_json::{Value, json};
use uuid::Uuid;

async fn pins(person: &Person, message: &Value, method: Method) -> crate::harness::Answer {
    person.request(method, &format!("/messages/{}/pin", id(message)), None).await
}

async fn follows(cluster: &Cluster, room: &str) {
    cluster.bus.subscribe(&[StreamId::Room(room.parse().expect("an id"))]).await.expect("subscribes");
}

#[tokio::test]
async fn an_edit_is_an_entry_that_brings_the_message_as_it_is_now() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    follows(&cluster, &room).await;
    let said = ada.says(&room, "frist").await;
    let edited = ada.edits(&said, "e\u{301}\r\nfirst").await.ok();
    let mut expected = said.clone();
    expected["content"] = json!("é\nfirst");
    expected["rev"] = json!(2);
    expected["editedAt"] = edited["editedAt"].clone();
    assert_eq!(edited, expected);
    assert!(edited["editedAt"].is_string());
    assert_eq!(ada.history(&room, "").await["items"], json!([edited]), "history has it at its own place");
    let log = ada.sync(&room, "?since=1").await;
    assert_eq!(
        (each(&log, "seq"), each(&log, "type")),
        (vec![&json!(2), &json!(3)], vec![&json!("new_message"), &json!("message_updated")])
    );
    assert_eq!(each(&log, "data"), [&edited, &edited], "both bring the state of now");
    let events = cluster.heard.wait(Kind::MessageUpdated, 1).await;
    let header = events[0].header;
    assert_eq!((header.seq, header.ref_seq, header.subject.to_string()), (3, 2, id(&said).to_owned()));
    assert_eq!(serde_json::from_slice::<Value>(&events[0].data).expect("JSON"), edited);

    // What is there already makes no entry, whichever way it is typed.
    assert_eq!(ada.edits(&said, "é\nfirst").await.ok(), edited);
    assert_eq!(ada.sync(&room, "").await["head"], 3);
    for (content, field) in [("", "content"), (" ", "content"), ("a\u{0}", "content")] {
        assert_eq!(ada.edits(&said, content).await.problem(422, "invalid"), [field]);
    }
    let nothing = ada.request(Method::PATCH, &format!("/messages/{}", id(&said)), Some(json!({}))).await;
    assert_eq!(nothing.problem(422, "invalid"), ["content"]);
    assert_eq!(ada.edits(&said, &"x".repeat(4_001)).await.problem(422, "invalid"), ["content"]);
}

#[tokio::test]
async fn only_who_wrote_a_message_edits_it_and_who_cannot_see_it_finds_nothing() {
    let cluster = Cluster::start().await;
    let (ada, ben, cleo) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("cleo").await);
    let body = json!({ "name": "r", "visibility": "public", "historyFrom": "join" });
    let room = ada.makes_room(body).await;
    let before = ada.says(&room, "before").await;
    ben.joins(&room).await;
    let said = ada.says(&room, "mine").await;
    ben.edits(&said, "yours").await.problem(403, "forbidden");
    ben.deletes(&said).await.problem(403, "forbidden");
    pins(&ben, &said, Method::PUT).await.problem(403, "forbidden");
    ben.edits(&before, "yours").await.problem(404, "not_found");
    ben.deletes(&before).await.problem(404, "not_found");
    cleo.edits(&said, "yours").await.problem(403, "not_a_member");
    let secret = ada.makes_room(json!({ "name": "s", "visibility": "private" })).await;
    let hidden = ada.says(&secret, "hidden").await;
    for answer in [cleo.edits(&hidden, "x").await, cleo.deletes(&hidden).await, pins(&cleo, &hidden, Method::PUT).await]
    {
        answer.problem(404, "not_found");
    }
    ben.request(Method::DELETE, "/messages/nonsense", None).await.problem(404, "not_found");
    let left = ben.says(&room, "then I left").await;
    ben.leaves(&room).await.expect(204);
    ben.edits(&left, "again").await.problem(403, "not_a_member");
    assert_eq!(ada.sync(&room, "").await["items"][4]["data"]["content"], "then I left");
}

#[tokio::test]
async fn a_deleted_message_leaves_a_tombstone_and_nothing_else() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    follows(&cluster, &room).await;
    let attachment = json!({ "url": "https://example.org/secret", "name": "secret", "mime": "a/b", "size": 7 });
    let body = json!({ "content": "secret", "type": "file", "attachment": attachment, "clientId": "c" });
    let said = ben.tries_to_say(&room, body.clone()).await.created();
    let quote = ben.tries_to_say(&room, json!({ "content": "see above", "replyTo": said["id"] })).await.created();
    ben.edits(&said, "secret, edited").await.ok();
    pins(&ada, &said, Method::PUT).await.ok();
    ben.request(Method::PUT, &format!("/messages/{}/reactions/👍", id(&said)), None).await.ok();

    // The owner deletes what others wrote.
    ada.deletes(&said).await.expect(204);
    let gone = ada.get(&format!("/messages/{}", id(&said))).await.ok();
    let expected = json!({
        "id": said["id"], "roomId": room, "seq": said["seq"], "rev": 5, "clientId": "c", "type": "file", "content": "",
        "author": said["author"], "createdAt": said["createdAt"], "editedAt": gone["editedAt"],
        "deletedAt": gone["deletedAt"], "reactions": [], "readBy": [],
    });
    assert_eq!(gone, expected);
    let log = ben.sync(&room, "").await;
    assert_eq!(log["items"].as_array().and_then(|items| items.last()).expect("an entry")["type"], "message_deleted");
    let everything = [log, ben.history(&room, "").await, ben.get(&format!("/messages/{}", id(&quote))).await.ok()];
    for text in everything.map(|json| json.to_string()) {
        assert!(!text.contains("secret") && !text.contains("👍"), "{text}");
    }
    let events = cluster.heard.wait(Kind::MessageDeleted, 1).await;
    assert_eq!(Some(events[0].header.ref_seq), said["seq"].as_u64());
    assert!(!String::from_utf8_lossy(&events[0].data).contains("secret"));

    // Again: nothing happens; and nothing else happens to it either.
    let head = ada.sync(&room, "").await["head"].clone();
    ben.deletes(&said).await.expect(204);
    ben.edits(&said, "back").await.problem(409, "conflict");
    pins(&ada, &said, Method::PUT).await.problem(409, "conflict");
    let react = format!("/messages/{}/reactions/👍", id(&said));
    ben.request(Method::PUT, &react, None).await.problem(409, "conflict");
    let reply = json!({ "content": "to nothing", "replyTo": said["id"] });
    ben.tries_to_say(&room, reply).await.problem(409, "conflict");
    assert_eq!(ada.sync(&room, "").await["head"], head);

    // A repeat of the send is that send, and gets its acknowledgement.
    let again = ben.tries_to_say(&room, body).await.created();
    assert_eq!((&again["id"], &again["seq"], &again["createdAt"]), (&said["id"], &said["seq"], &said["createdAt"]));
    assert_eq!(again["content"], "");
    let other = json!({ "content": "another", "clientId": "c" });
    ben.tries_to_say(&room, other).await.problem(409, "client_id_reused");
    assert_eq!(ada.sync(&room, "").await["head"], head);
}

#[tokio::test]
async fn pins_are_put_and_taken_once() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    let said = ada.says(&room, "important").await;
    let pinned = pins(&ada, &said, Method::PUT).await.ok();
    assert!(pinned["pinnedAt"].is_string() && pinned.get("editedAt").is_none());
    assert_eq!(pins(&ada, &said, Method::PUT).await.ok(), pinned);
    pins(&ada, &said, Method::DELETE).await.expect(204);
    pins(&ada, &said, Method::DELETE).await.expect(204);
    let log = ada.sync(&room, "?since=2").await;
    assert_eq!(each(&log, "type"), ["message_updated", "message_updated"]);
    assert_eq!(log["items"][0]["data"].get("pinnedAt"), None);

    // In a conversation anyone pins, and nobody deletes what the other wrote.
    let talk =
        ada.post("/conversations", json!({ "userIds": [ben.id], "type": "consumer-to-consumer" })).await.created();
    let said = ada.says(id(&talk), "hello").await;
    assert!(pins(&ben, &said, Method::PUT).await.ok()["pinnedAt"].is_string());
    ben.deletes(&said).await.problem(403, "forbidden");
    ada.deletes(&said).await.expect(204);
}

/// Many edits and a delete at the same moment, through two apis.
async fn an_edit_never_lands_after_a_delete(store: Fixture) {
    let cluster = Cluster::with(store, 2, unlimited()).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let said = ada.says(&room, "secret").await;
    let editing = (0..12).map(|index| {
        let (person, said) = (ada.at(cluster.url(index % 2)), said.clone());
        async move { person.edits(&said, &format!("secret {index}")).await.status.as_u16() }
    });
    let (edited, deleted) = tokio::join!(join_all(editing), ada.deletes(&said));
    deleted.expect(204);
    assert!(edited.iter().all(|status| [200, 409].contains(status)), "{edited:?}");
    let log = ada.sync(&room, "?since=2").await;
    let kinds = each(&log, "type");
    let edits = edited.iter().filter(|status| **status == 200).count();
    assert_eq!(kinds.len(), edits + 1, "an entry for each that was acknowledged");
    assert_eq!(kinds.iter().position(|kind| **kind == "message_deleted"), Some(edits), "and none after the delete");
    let gone = &ada.history(&room, "").await["items"][0];
    assert_eq!((&gone["content"], gone["rev"].as_u64()), (&json!(""), Some(edits as u64 + 2)));
    assert!(!log.to_string().contains("secret"));
}

#[tokio::test]
async fn no_edit_lands_after_a_delete() {
    an_edit_never_lands_after_a_delete(fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_edit_lands_after_a_delete_on_mongodb() {
    an_edit_never_lands_after_a_delete(fixture::mongo().await).await;
}

#[tokio::test]
async fn a_message_to_a_person_opens_the_conversation() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let first = ada.post("/messages", json!({ "to": ben.id, "content": "hello", "clientId": "1" })).await.created();
    let again = ada.post("/messages", json!({ "to": ben.id, "content": "hello", "clientId": "1" })).await.created();
    assert_eq!(again, first);
    let back = ben.post("/messages", json!({ "to": ada.id, "content": "hi", "replyTo": first["id"] })).await.created();
    assert_eq!((&back["roomId"], &back["replyTo"]["messageId"]), (&first["roomId"], &first["id"]));
    let list = ben.get("/conversations").await.ok();
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["unreadCount"]), (&first["roomId"], &json!(1)));
    let wrong = [
        (json!({ "content": "x" }), "to"),
        (json!({ "to": ada.id, "content": "x" }), "to"),
        (json!({ "to": Uuid::now_v7(), "content": "x" }), "to"),
        (json!({ "to": "nobody", "content": "x" }), "to"),
        (json!({ "to": ben.id, "content": " " }), "content"),
        (json!({ "to": ben.id }), "content"),
    ];
    for (body, field) in wrong {
        assert_eq!(ada.post("/messages", body.clone()).await.problem(422, "invalid"), [field], "{body}");
    }
    let system = json!({ "to": ben.id, "content": "x", "type": "system" });
    ada.post("/messages", system).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_block_ends_messages_between_the_two_in_both_directions_and_not_in_rooms() {
    let store = fixture::sqlite().await;
    let handle = store.store.clone();
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let (ada, ben, cleo) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("cleo").await);
    let body = json!({ "to": ben.id, "content": "hello", "clientId": "c" });
    let said = ada.post("/messages", body.clone()).await.created();
    let talk = said["roomId"].as_str().expect("an id").to_owned();
    let people = json!({ "userIds": [ada.id, ben.id], "type": "consumer-to-consumer" });
    let three = id(&cleo.post("/conversations", people).await.created()).to_owned();
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    for of in [ada.id.0, cleo.id.0] {
        let key = RecordKey { area: Area::Block, owner: ben.id.0, id: of };
        let block = RecordRow { key, place: Uuid::now_v7(), version: 1, data: "{}".into() };
        handle.commit(&[], &[Op::PutRecord(block)]).await.expect("blocked");
    }
    for (from, to) in [(&ada, &ben), (&ben, &ada)] {
        from.tries_to_say(&talk, json!({ "content": "still there?" })).await.problem(403, "blocked");
        from.post("/messages", json!({ "to": to.id, "content": "still there?" })).await.problem(403, "blocked");
    }
    ada.edits(&said, "still there?").await.problem(403, "blocked");
    assert_eq!(ada.post("/messages", body).await.created()["id"], said["id"], "a repeat is what was sent before");
    cleo.post("/messages", json!({ "to": ben.id, "content": "hello?" })).await.problem(403, "blocked");
    assert_eq!(cleo.get("/conversations").await.ok()["items"].as_array().map(Vec::len), Some(1), "none was opened");
    ada.says(&room, "in a room").await;
    ada.says(&three, "among three").await;
    ada.deletes(&said).await.expect(204);
    let key = RecordKey { area: Area::Block, owner: ben.id.0, id: ada.id.0 };
    handle.commit(&[], &[Op::DeleteRecord(key)]).await.expect("unblocked");
    ben.says(&talk, "hello again").await;
}
