//! Deleting rooms: refused at once, told to everyone, and nothing left behind.

use super::{on_both_stores, reactions::owner};
use crate::{
    harness::{Cluster, Person, each, unlimited},
    store::fixture::{self, Fixture},
};
use rookery_api::{
    config::ApiConfig,
    store::{Op, Part, Stretch, records::Area, rows::RoomRow},
    writer::WriterConfig,
};
use rookery_shared::{
    clock,
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    testing::poll,
};
use serde_json::{Value, json};
use std::time::Duration;

on_both_stores! {
    a_deleted_room_is_there_for_nobody,
    a_room_that_its_last_member_leaves_is_deleted,
    a_deletion_that_nobody_finished_is_taken_up,
}

fn id(room: &str) -> RoomId {
    room.parse().expect("an id")
}

/// Waits until nothing is left of a room, and nobody will look at it again.
async fn purged(store: &Fixture, room: RoomId) {
    poll("the room is purged", async || store.rooms_to_purge(100).await.expect("read").is_empty().then_some(())).await;
    let left = store.entries(StreamId::Room(room), Stretch::After(0), 10, false).await.expect("read");
    assert_eq!(left, []);
    assert_eq!(store.leftover_members(room, 10).await.expect("read"), []);
}

/// Settings under which nothing is under way for long.
fn hasty() -> ApiConfig {
    let quick = Duration::from_millis(500);
    ApiConfig { writer: WriterConfig { max_wait: quick, retry_for: quick, ..WriterConfig::default() }, ..unlimited() }
}

async fn a_deleted_room_is_there_for_nobody(cluster: Cluster) {
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let room = ada.makes_public_room().await;
    let path = format!("/rooms/{room}");
    ada.post(&format!("{path}/members"), json!({ "userId": ben.id, "role": "moderator" })).await.created();
    let said = ben.says(&room, "hello").await;
    let reaction = format!("/messages/{}/reactions/%F0%9F%99%8B", said["id"].as_str().expect("an id"));
    ada.puts(&reaction).await.ok();
    let reacted =
        async || cluster.store.list_records(Area::Reaction, owner(&said), Part::First, 9).await.expect("read").len();
    assert_eq!(reacted().await, 1);
    cluster.bus.subscribe(&[ada.id, ben.id].map(StreamId::User)).await.expect("subscribes");
    ben.delete(&path).await.problem(403, "forbidden");
    eve.delete(&path).await.problem(403, "not_a_member");
    ada.delete(&path).await.expect(204);
    for person in [&ada.at(cluster.url(0)), &eve] {
        for path in [path.clone(), format!("{path}/members")] {
            person.get(&path).await.problem(404, "not_found");
        }
        person.post(&format!("{path}/join"), json!({})).await.problem(404, "not_found");
    }
    assert_eq!(each(&eve.get("/rooms").await.ok(), "id"), Vec::<&Value>::new());
    assert_eq!(each(&ben.get("/rooms").await.ok(), "id"), Vec::<&Value>::new());
    let told = cluster.heard.wait(Kind::RoomDeleted, 2).await;
    for event in &told {
        let data: Value = serde_json::from_slice(&event.data).expect("JSON");
        assert_eq!(data, json!({ "roomId": room }));
    }
    // What an api remembers of a membership is over within a second; on all of them.
    for url in [cluster.url(0), cluster.url(1)] {
        let ben = ben.at(url);
        poll("the room is closed here", async || {
            (ben.tries_to_say(&room, json!({ "content": "?" })).await.status == 404).then_some(())
        })
        .await;
        ben.get(&format!("{path}/messages")).await.problem(404, "not_found");
        ben.get(&format!("/messages/{}", said["id"].as_str().expect("an id"))).await.problem(404, "not_found");
    }
    poll("who reacted with what is forgotten", async || (reacted().await == 0).then_some(())).await;
    // Who made it may say so again; for others it is not there.
    ada.delete(&path).await.expect(204);
    ben.delete(&path).await.problem(404, "not_found");
    eve.delete(&format!("/rooms/{}", RoomId::new())).await.problem(404, "not_found");
    assert_eq!(cluster.heard.wait(Kind::RoomDeleted, 2).await.len(), 2, "told once");
    // So may who deleted it.
    let second = format!("/rooms/{}", ada.makes_public_room().await);
    ada.post(&format!("{second}/members"), json!({ "userId": ben.id, "role": "owner" })).await.created();
    ben.delete(&second).await.expect(204);
    ben.delete(&second).await.expect(204);
}

async fn a_room_that_its_last_member_leaves_is_deleted(cluster: Cluster) {
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    ada.says(&room, "alone").await;
    cluster.bus.subscribe(&[StreamId::User(ada.id)]).await.expect("subscribes");
    ada.leaves(&room).await.expect(204);
    ada.get(&format!("/rooms/{room}")).await.problem(404, "not_found");
    cluster.heard.wait(Kind::RoomRemoved, 1).await;
    cluster.heard.wait(Kind::RoomDeleted, 1).await;
    let log = StreamId::Room(id(&room));
    poll("the log is gone", async || (cluster.store.heads(&[log]).await.expect("read") == [0]).then_some(())).await;
}

#[tokio::test]
async fn an_admin_deletes_a_room_that_they_are_not_in() {
    let cluster = Cluster::start().await;
    let (ada, root) = (cluster.person("ada").await, cluster.admin("root").await);
    let (private, public) = (ada.makes_private_room(&[]).await, ada.makes_public_room().await);
    for room in [private, public] {
        root.patch(&format!("/rooms/{room}"), json!({ "name": "mine" })).await.problem(403, "not_a_member");
        for _ in 0..2 {
            root.delete(&format!("/rooms/{room}")).await.expect(204);
        }
        ada.get(&format!("/rooms/{room}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn who_began_a_conversation_deletes_it_and_it_can_begin_anew() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let open = async || ada.post("/conversations", json!({ "userIds": [ben.id] })).await.created();
    let first = open().await;
    let room = first["id"].as_str().expect("an id");
    ada.says(room, "hello").await;
    ben.delete(&format!("/rooms/{room}")).await.problem(403, "forbidden");
    ada.delete(&format!("/rooms/{room}")).await.expect(204);
    assert_eq!(each(&ben.get("/conversations").await.ok(), "id"), Vec::<&Value>::new());
    let second = open().await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(each(&ben.history(second["id"].as_str().expect("an id"), "").await, "id"), Vec::<&Value>::new());
}

/// Says things until the room is no more; gives how many were stored, and what came then.
async fn talks(person: Person, room: String) -> (u32, u16) {
    let mut said = 0;
    loop {
        let answer = person.tries_to_say(&room, json!({ "content": format!("number {said}") })).await;
        match answer.status.as_u16() {
            201 => said += 1,
            status => return (said, status),
        }
    }
}

async fn nothing_is_left_of_a_room_that_people_write_to_while_it_is_deleted(store: Fixture) {
    let cluster = Cluster::with(store, 2, hasty()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_private_room(&[&ben]).await;
    let talking: Vec<_> = [(&ada, 0), (&ben, 0), (&ada, 1), (&ben, 1)]
        .map(|(person, api)| tokio::spawn(talks(person.at(cluster.url(api)), room.clone())))
        .into();
    let log = StreamId::Room(id(&room));
    poll("they talk", async || (cluster.store.heads(&[log]).await.expect("read")[0] > 20).then_some(())).await;
    ada.delete(&format!("/rooms/{room}")).await.expect(204);
    for talk in talking {
        let (said, status) = talk.await.expect("no panic");
        assert!(said > 0);
        assert_eq!(status, 404, "a clear end");
    }
    purged(&cluster.store, id(&room)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_room_that_is_written_to_while_it_is_deleted_on_sqlite() {
    nothing_is_left_of_a_room_that_people_write_to_while_it_is_deleted(fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_room_that_is_written_to_while_it_is_deleted_on_mongodb() {
    nothing_is_left_of_a_room_that_people_write_to_while_it_is_deleted(fixture::mongo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lands_in_a_deleted_room_late_is_deleted_as_well() {
    let cluster = Cluster::with(fixture::sqlite().await, 1, hasty()).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    ada.delete(&format!("/rooms/{room}")).await.expect(204);
    let log = StreamId::Room(id(&room));
    poll("the log is gone", async || (cluster.store.heads(&[log]).await.expect("read") == [0]).then_some(())).await;
    // As a write would that had passed every check before.
    let late = fixture::messages(id(&room), 1..=3, ada.id);
    cluster.store.append_messages(&late).await.expect("appended");
    purged(&cluster.store, id(&room)).await;
}

async fn a_deletion_that_nobody_finished_is_taken_up(cluster: Cluster) {
    // An api that died when it had marked the room, in which there are more than are told at once.
    let place = fixture::room("left over");
    let mut people = Vec::new();
    for index in 0..120 {
        people.push(cluster.store.with_user(&format!("person{index}")).await.id);
    }
    cluster.store.with_room(&place, &people).await;
    cluster.store.append_messages(&fixture::messages(place.id, 1..=5, people[0])).await.expect("appended");
    let deleted = RoomRow { deleted_at: Some(clock::now()), version: 2, ..place.clone() };
    cluster.store.commit(&[], &[Op::ReplaceRoom(deleted)]).await.expect("deleted");

    // Two that start at once, and finish it together.
    let store = cluster.store.for_another_api().await;
    let apis = [(); 2].map(|()| cluster.another_api(store.clone(), hasty()));
    purged(&cluster.store, place.id).await;
    let streams: Vec<StreamId> = people.iter().copied().map(StreamId::User).collect();
    assert_eq!(cluster.store.heads(&streams).await.expect("read"), vec![1; 120], "everyone was told, once");
    let told = cluster.store.entries(streams[7], Stretch::After(0), 9, false).await.expect("read");
    assert_eq!((told[0].kind, told[0].subject), (Kind::RoomDeleted, place.id.0));
    let of: Vec<(RoomId, UserId)> = people.iter().map(|user| (place.id, *user)).collect();
    assert!(cluster.store.memberships(&of).await.expect("read").iter().all(Option::is_none));
    drop(apis);
}
