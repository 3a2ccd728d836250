//! Read cursors, and who read what when.

use crate::{
    harness::{Cluster, Person, id, the_clock_moves, unlimited},
    store::fixture::{self, Fixture, messages},
};
use futures_util::future::join_all;
use reqwest::Method;
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId},
    testing::poll,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

async fn read_by(person: &Person, message: &Value) -> Vec<(String, String)> {
    let message = person.get(&format!("/messages/{}", id(message))).await.ok();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let readers = message["readBy"].as_array().expect("a list").iter();
    readers.map(|read| (text(&read["userId"]), text(&read["readAt"]))).collect()
}

async fn unread(person: &Person, room: &str) -> u64 {
    let rooms = person.get("/rooms").await.ok();
    let rooms = rooms["items"].as_array().expect("a list").iter();
    let mine = rooms.filter(|mine| mine["id"] == room).map(|mine| mine["unreadCount"].as_u64());
    mine.flatten().next().expect("it is listed")
}

#[tokio::test]
async fn a_cursor_moves_to_the_newest_message_and_never_back() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let streams = [StreamId::Room(room.parse().expect("an id")), StreamId::User(ben.id)];
    cluster.bus.subscribe(&streams).await.expect("subscribes");
    assert_eq!(ben.reads(&room, None).await.ok(), json!({ "roomId": room, "upTo": 2 }), "nothing was said yet");
    let first = ada.says(&room, "one").await;
    let second = ada.says(&room, "two").await;
    let third = ada.says(&room, "three").await;
    ben.says(&room, "four, by me").await;
    assert_eq!((unread(&ben, &room).await, unread(&ada, &room).await), (3, 1));
    assert_eq!(ben.reads(&room, Some(&second)).await.ok(), json!({ "roomId": room, "upTo": second["seq"] }));
    assert_eq!(unread(&ben, &room).await, 1);
    assert_eq!(ben.reads(&room, Some(&first)).await.ok()["upTo"], second["seq"], "the cursor that stands");
    assert_eq!(ben.reads(&room, Some(&second)).await.ok()["upTo"], second["seq"]);
    ada.deletes(&third).await.expect(204);
    assert_eq!(unread(&ben, &room).await, 0, "what was deleted is not unread");
    let newest = ada.says(&room, "five").await;
    assert_eq!(unread(&ben, &room).await, 1);
    assert_eq!(
        ben.request(Method::POST, &format!("/rooms/{room}/read"), Some(json!({}))).await.ok()["upTo"],
        newest["seq"]
    );
    assert_eq!(unread(&ben, &room).await, 0);
    assert_eq!(ben.reads(&room, None).await.ok()["upTo"], newest["seq"]);

    // Each move is told once, and nothing else.
    let events = cluster.heard.wait(Kind::MessageRead, 2).await;
    let told: Vec<Value> = events.iter().map(|event| serde_json::from_slice(&event.data).expect("JSON")).collect();
    assert_eq!(told.len(), 2);
    for (told, message) in told.iter().zip([&second, &newest]) {
        let expected = json!({
            "roomId": room, "userId": ben.id, "upTo": message["seq"], "messageId": message["id"], "readAt": told["readAt"],
        });
        assert_eq!(*told, expected);
        assert!(told["readAt"].is_string());
    }
    let header = events[0].header;
    assert_eq!((header.stream, header.seq, header.ref_seq, header.subject), (streams[0], 0, 0, ben.id.0));
    assert_eq!(ada.sync(&room, "").await["head"], 8, "reading is no entry of the log");
}

#[tokio::test]
async fn a_wrong_place_to_read_up_to_is_named() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_room(json!({ "name": "r", "visibility": "public", "historyFrom": "join" })).await;
    let before = ada.says(&room, "before").await;
    let elsewhere = ada.makes_public_room().await;
    let foreign = ada.says(&elsewhere, "elsewhere").await;
    ben.reads(&room, None).await.problem(403, "not_a_member");
    ben.joins(&room).await;
    for message in [&before, &foreign, &json!({ "id": RoomId::new() }), &json!({ "id": "no id" })] {
        assert_eq!(ben.reads(&room, Some(message)).await.problem(422, "invalid"), ["messageId"], "{message}");
    }
    let private = ada.makes_room(json!({ "name": "p", "visibility": "private" })).await;
    ben.reads(&private, None).await.problem(404, "not_found");
    let path = format!("/rooms/{room}/read");
    let array = ben.raw(&path, &[("content-type", "application/json")], "[]").await;
    array.problem(400, "bad_request");
    ben.raw(&path, &[("content-type", "text/plain")], "{}").await.problem(415, "unsupported_media_type");
    ben.raw(&path, &[], "").await.ok();
}

/// Who read each of several messages, and when first.
async fn a_message_tells_who_read_it(store: Fixture) {
    let cluster = Cluster::with(store, 2, unlimited()).await;
    let (ada, ben, cleo) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("cleo").await);
    let room = ada.makes_room(json!({ "name": "r", "visibility": "public", "historyFrom": "join" })).await;
    ben.joins(&room).await;
    let first = ada.says(&room, "one").await;
    cleo.joins(&room).await;
    let second = ada.says(&room, "two").await;
    assert!(read_by(&ada, &first).await.is_empty(), "to send is not to read");
    ben.reads(&room, Some(&first)).await.ok();
    let by_ben = read_by(&ada, &first).await;
    assert_eq!((by_ben.len(), &by_ben[0].0), (1, &ben.id.to_string()));
    the_clock_moves(Duration::from_millis(5)).await;
    ben.reads(&room, None).await.ok();
    cleo.reads(&room, None).await.ok();
    ada.reads(&room, None).await.ok();
    assert_eq!(read_by(&ben, &first).await, by_ben, "when first; not by who came later, and not by its author");
    let readers = read_by(&ada, &second).await;
    assert_eq!(
        readers.iter().map(|(user, _)| user.clone()).collect::<Vec<_>>(),
        [ben.id.to_string(), cleo.id.to_string()]
    );
    assert!(by_ben[0].1 < readers[0].1);
}

#[tokio::test]
async fn a_message_knows_its_readers() {
    a_message_tells_who_read_it(fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_knows_its_readers_on_mongodb() {
    a_message_tells_who_read_it(fixture::mongo().await).await;
}

/// Marks of different places at the same moment, through two apis.
async fn the_farthest_mark_stands(store: Fixture) {
    let cluster = Cluster::with(store, 2, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let mut said = Vec::new();
    for index in 0..16 {
        said.push(ada.says(&room, &index.to_string()).await);
    }
    let marking = said.iter().enumerate().map(|(index, message)| {
        let (ben, room) = (ben.at(cluster.url(index % 2)), &room);
        async move { ben.reads(room, Some(message)).await.ok()["upTo"].as_u64().expect("a place") }
    });
    let stands = join_all(marking).await;
    for (message, up_to) in said.iter().zip(stands) {
        assert!(up_to >= message["seq"].as_u64().expect("a place"), "what was marked is read");
    }
    assert_eq!(ben.reads(&room, Some(&said[0])).await.ok()["upTo"], said[15]["seq"]);
    assert_eq!(unread(&ben, &room).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_marks_the_farthest_stands() {
    the_farthest_mark_stands(fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_marks_the_farthest_stands_on_mongodb() {
    the_farthest_mark_stands(fixture::mongo().await).await;
}

#[tokio::test]
async fn marks_that_come_while_one_is_written_are_one_write() {
    let (writes, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let looks = Arc::new(AtomicUsize::new(0));
    let (counted, go_on, looked) = (writes.clone(), held.clone(), looks.clone());
    let store = fixture::sqlite().await.hooked(move |name| {
        let (writes, held) = (counted.clone(), go_on.clone());
        // Each mark looks its message up, and is among those who wait right after.
        looked.fetch_add(usize::from(name == "messages"), Ordering::SeqCst);
        async move {
            if name == "move_read" && writes.fetch_add(1, Ordering::SeqCst) == 0 {
                held.notified().await;
            }
            Ok(())
        }
    });
    let handle = store.store.clone();
    let mut config = unlimited();
    // Nobody else looks for messages meanwhile.
    config.indexer.keep_every = Duration::from_hours(1);
    let cluster = Cluster::with(store, 1, config).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let said = messages(room.parse().expect("an id"), 3..=13, ada.id);
    assert_eq!(handle.append_messages(&said).await.expect("written").committed, 11);
    let mark = |index: usize| {
        let (ben, room, message) = (ben.clone(), room.clone(), json!({ "id": said[index].id }));
        tokio::spawn(async move { ben.reads(&room, Some(&message)).await.ok()["upTo"].as_u64() })
    };
    let first = mark(0);
    poll("the first mark is under way", async || (writes.load(Ordering::SeqCst) == 1).then_some(())).await;
    let others: Vec<_> = (1..=10).map(mark).collect();
    poll("the others wait", async || (looks.load(Ordering::SeqCst) == 11).then_some(())).await;
    held.notify_one();
    assert_eq!(first.await.expect("answered"), Some(3));
    for (other, message) in join_all(others).await.into_iter().zip(&said[1..]) {
        assert!(other.expect("answered").is_some_and(|up_to| up_to >= message.seq), "what was marked is read");
    }
    assert_eq!(ben.reads(&room, None).await.ok()["upTo"], 13);
    let writes = writes.load(Ordering::SeqCst);
    assert!(writes < 8, "{writes} writes for eleven marks");
}

#[tokio::test]
async fn ten_thousand_messages_are_read_with_one_write() {
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = writes.clone();
    let store = fixture::sqlite().await.hooked(move |name| {
        if matches!(name, "move_read" | "commit" | "append_messages" | "index") {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        async { Ok(()) }
    });
    let handle = store.store.clone();
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let said = messages(room.parse().expect("an id"), 3..=10_002, ada.id);
    assert_eq!(handle.append_messages(&said).await.expect("written").committed, 10_000);
    assert_eq!(unread(&ben, &room).await, 1_000, "or more");
    let before = writes.load(Ordering::SeqCst);
    assert_eq!(ben.reads(&room, None).await.ok()["upTo"], 10_002);
    assert_eq!(writes.load(Ordering::SeqCst) - before, 1);
    assert_eq!(unread(&ben, &room).await, 0);
    let oldest = json!({ "id": said[0].id });
    assert_eq!(read_by(&ada, &oldest).await.len(), 1);
}

#[tokio::test]
async fn in_a_large_room_only_the_readers_own_devices_are_told() {
    let mut config = unlimited();
    config.receipts.max_room = 2;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let (ada, ben, cleo) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("cleo").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let own = StreamId::User(ben.id);
    let log = StreamId::Room(room.parse().expect("an id"));
    cluster.bus.subscribe(&[own, log]).await.expect("subscribes");
    ada.says(&room, "to two").await;
    ben.reads(&room, None).await.ok();
    cleo.joins(&room).await;
    let said = ada.says(&room, "to three").await;
    ben.reads(&room, None).await.ok();
    let events = cluster.heard.wait(Kind::MessageRead, 2).await;
    assert_eq!(events.iter().map(|event| event.header.stream).collect::<Vec<_>>(), [log, own]);
    assert_eq!(read_by(&ada, &said).await.len(), 1, "it can be asked for");
}
