//! Edits, deletes, reactions and pins: seen by everyone who may, and nothing left of what was deleted.

use crate::harness::{Installation, Person, Socket, cluster, standalone};
use reqwest::Method;
use rookery_shared::testing::poll;
use serde_json::{Value, json};

/// What must be gone in the end.
const SECRET: &str = "something that was deleted";

/// Makes a room whose newcomers see nothing from before they came.
async fn room_from_join(person: &Person) -> String {
    let body = json!({ "name": "a room", "visibility": "public", "historyFrom": "join" });
    person.post("/rooms", body).await["id"].as_str().expect("an id").to_owned()
}

async fn joins(person: &Person, room: &str) -> u64 {
    person.post(&format!("/rooms/{room}/join"), json!({})).await;
    person.get(&format!("/rooms/{room}/sync")).await["from"].as_u64().expect("a place")
}

/// Sends by socket; gives the message's id and place.
async fn says(socket: &mut Socket, room: &str, content: &str) -> (String, u64) {
    let sent = socket.command("send_message", json!({ "roomId": room, "content": content })).await;
    assert_eq!(sent["type"], "message_sent", "{sent}");
    let id = sent["data"]["messageId"].as_str().expect("an id").to_owned();
    (id, sent["data"]["seq"].as_u64().expect("a place"))
}

/// Has a message changed; gives the place of the change.
async fn changes(socket: &mut Socket, command: &str, data: Value) -> u64 {
    let ok = socket.command(command, data.clone()).await;
    assert_eq!((&ok["type"], &ok["data"]["messageId"]), (&json!("ok"), &data["messageId"]), "{ok}");
    ok["data"]["seq"].as_u64().expect("a place")
}

/// The frame of the room's log at this place.
async fn entry(socket: &mut Socket, room: &str, seq: u64) -> Value {
    socket.frame(|frame| frame["roomId"] == room && frame["seq"] == seq).await
}

/// Comes back through a gateway with a cursor, and gives the frames up to the head.
async fn resumes(person: &Person, gateway: &str, epoch: &Value, room: &str, cursor: u64) -> Vec<Value> {
    let mut socket = Socket::open(gateway, None).await;
    let cursors = json!({ "storeEpoch": epoch, "rooms": { room: cursor } });
    socket.post("authenticate", json!({ "token": person.token, "resume": cursors })).await;
    let resumed = socket.event("resumed").await;
    assert_eq!(resumed["data"]["rooms"][room]["status"], "recovered", "{resumed}");
    let head = resumed["data"]["rooms"][room]["head"].as_u64().expect("a head");
    let mut frames = Vec::new();
    for seq in cursor + 1..=head {
        frames.push(entry(&mut socket, room, seq).await);
    }
    frames
}

async fn everyone_sees_what_becomes_of_a_message(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let late = installation.person("late").await;
    let room = room_from_join(&ada).await;
    let cursor = joins(&bob, &room).await;
    let mut here = ada.socket(&installation.gateway(0)).await;
    let mut there = bob.socket(&installation.gateway(1)).await;
    let epoch = ada.get(&format!("/rooms/{room}/sync")).await["storeEpoch"].clone();

    // Each change is told as the message is then, at a place of its own.
    let (id, place) = says(&mut here, &room, SECRET).await;
    let edited = changes(&mut here, "edit_message", json!({ "messageId": id, "content": format!("{SECRET}!") })).await;
    assert_eq!(edited, place + 1);
    let told = entry(&mut there, &room, edited).await;
    assert_eq!(
        (&told["type"], &told["data"]["id"], &told["data"]["seq"]),
        (&json!("message_updated"), &json!(id), &json!(place))
    );
    assert_eq!(
        (told["data"]["content"].as_str(), &told["data"]["rev"]),
        (Some(format!("{SECRET}!").as_str()), &json!(2))
    );
    assert_eq!(entry(&mut here, &room, edited).await, told, "its author's own connection is told as well");
    let same = changes(&mut here, "edit_message", json!({ "messageId": id, "content": format!("{SECRET}!") })).await;
    assert_eq!(same, edited, "no second entry");
    bob.request(Method::PUT, &format!("/messages/{id}/reactions/👍"), None).await;
    let told = entry(&mut here, &room, edited + 1).await;
    assert_eq!(told["data"]["reactions"], json!([{ "emoji": "👍", "count": 1, "userIds": [bob.id] }]));
    ada.request(Method::PUT, &format!("/messages/{id}/pin"), None).await;
    assert!(entry(&mut there, &room, edited + 2).await["data"]["pinnedAt"].is_string());
    let refused = there.command("edit_message", json!({ "messageId": id, "content": "not mine" })).await;
    assert_eq!(refused["data"]["code"], "forbidden");
    let refused = there.command("delete_message", json!({ "messageId": id })).await;
    assert_eq!(refused["data"]["code"], "forbidden");

    // Who came later gets of changes from before their number alone: live, in a reply, and when they come back.
    let mut newcomer = late.socket(&installation.gateway(1)).await;
    let from = joins(&late, &room).await;
    assert_eq!(from, edited + 3);
    entry(&mut newcomer, &room, from).await;
    let hidden = changes(&mut here, "edit_message", json!({ "messageId": id, "content": format!("{SECRET}?") })).await;
    let expected = json!({ "type": "message_updated", "roomId": room, "seq": hidden, "data": null });
    assert_eq!(entry(&mut newcomer, &room, hidden).await, expected);
    assert_eq!(entry(&mut there, &room, hidden).await["data"]["content"], format!("{SECRET}?"));
    let (seen, seen_at) = says(&mut here, &room, "for everyone").await;
    let after = changes(&mut here, "edit_message", json!({ "messageId": seen, "content": "for everyone!" })).await;
    assert_eq!(after, seen_at + 1);
    assert_eq!(entry(&mut newcomer, &room, after).await["data"]["content"], "for everyone!");
    let joined = newcomer.command("join_room", json!({ "roomId": room, "since": from })).await;
    let events = joined["data"]["events"].as_array().expect("events");
    assert_eq!((&events[0]["seq"], &events[0]["data"]), (&json!(hidden), &Value::Null));
    assert_eq!(events[2]["data"]["content"], "for everyone!");
    for gateway in 0..2 {
        let frames = resumes(&late, &installation.gateway(gateway), &epoch, &room, from).await;
        assert_eq!((&frames[0], &frames[2]["data"]["content"]), (&expected, &json!("for everyone!")));
    }

    // A delete empties everything, at once: history, sync, single messages, and what either gateway gives to those who
    // come back, whether it had the entries at hand or not.
    let deleted = changes(&mut here, "delete_message", json!({ "messageId": id })).await;
    let tombstone = entry(&mut there, &room, deleted).await;
    assert_eq!((&tombstone["type"], &tombstone["data"]["content"]), (&json!("message_deleted"), &json!("")));
    assert!(tombstone["data"]["deletedAt"].is_string());
    assert_eq!(entry(&mut newcomer, &room, deleted).await["data"], Value::Null);
    let again = changes(&mut here, "delete_message", json!({ "messageId": id })).await;
    assert_eq!(again, deleted, "no second entry");
    let refused = here.command("edit_message", json!({ "messageId": id, "content": "back" })).await;
    assert_eq!(refused["data"]["code"], "conflict");
    for gateway in 0..2 {
        // The other gateway hears of it a moment later.
        poll("nothing of it is left", async || {
            let frames = resumes(&bob, &installation.gateway(gateway), &epoch, &room, cursor).await;
            (!json!(frames).to_string().contains(SECRET)).then_some(frames)
        })
        .await
        .into_iter()
        .filter(|frame| frame["data"]["id"] == id.as_str())
        .for_each(|frame| assert_eq!(frame["data"], tombstone["data"], "the state of now, at each of its places"));
    }
    for path in [format!("/rooms/{room}/messages"), format!("/rooms/{room}/sync"), format!("/messages/{id}")] {
        assert!(!ada.get(&path).await.to_string().contains(SECRET), "{path}");
    }
    let log = bob.get(&format!("/rooms/{room}/sync?since={cursor}")).await;
    let of_it = log["items"].as_array().expect("items").iter().filter(|item| item["data"]["id"] == id.as_str());
    assert_eq!(of_it.filter(|item| item["data"] == tombstone["data"]).count(), 6, "who was away learns of all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_what_becomes_of_a_message_on_two_gateways() {
    everyone_sees_what_becomes_of_a_message(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_what_becomes_of_a_message_on_the_standalone_program() {
    everyone_sees_what_becomes_of_a_message(standalone(&[]).await).await;
}

/// Commands without waiting for their answers.
async fn changes_on_one_connection_keep_their_order(installation: Installation) {
    let ada = installation.person("ada").await;
    let room = ada.make_room("private", &[]).await;
    let mut socket = ada.socket(&installation.gateway(0)).await;
    let (id, place) = says(&mut socket, &room, "0").await;
    let mut posted = Vec::new();
    for index in 1..=20 {
        posted.push(socket.post("edit_message", json!({ "messageId": id, "content": index.to_string() })).await);
    }
    posted.push(socket.post("delete_message", json!({ "messageId": id })).await);
    let mut places = Vec::new();
    for command in posted {
        let ok = socket.frame(|frame| frame["id"] == command).await;
        assert_eq!(ok["type"], "ok", "{ok}");
        places.push(ok["data"]["seq"].as_u64().expect("a place"));
    }
    assert_eq!(places, (place + 1..=place + 21).collect::<Vec<_>>());
    let last = entry(&mut socket, &room, place + 21).await;
    assert_eq!((&last["type"], &last["data"]["rev"]), (&json!("message_deleted"), &json!(22)));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_on_one_connection_keep_their_order_through_two_apis() {
    changes_on_one_connection_keep_their_order(cluster(1, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_on_one_connection_keep_their_order_on_the_standalone_program() {
    changes_on_one_connection_keep_their_order(standalone(&[]).await).await;
}
