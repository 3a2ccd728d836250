//! Lists of rooms.

use super::{
    conformance,
    fixture::{Fixture, conversation, entry, message, messages, room, time},
};
use rookery_api::store::{Op, Part, Sizes, rows::RoomRow};
use rookery_shared::{
    envelope::Kind,
    ids::{StreamId, UserId},
    model::Visibility,
};

conformance! {
    everyone_sees_public_rooms_and_their_own,
    rooms_are_found_by_a_part_of_their_name_without_case,
    visible_rooms_come_newest_first_and_page,
    ones_rooms_come_by_last_activity,
    ones_rooms_are_limited_after_they_are_ordered,
    a_store_knows_about_how_much_it_holds,
}

async fn a_store_knows_about_how_much_it_holds(store: Fixture) {
    assert_eq!(store.sizes().await.expect("read"), Sizes::default());
    let ada = store.with_user("ada").await.id;
    store.with_user("bo").await;
    let talk = room("talk");
    store.with_room(&talk, &[ada]).await;
    store.append_messages(&messages(talk.id, 1..=3, ada)).await.expect("appended");
    assert_eq!(store.sizes().await.expect("read"), Sizes { users: 2, rooms: 1, log_entries: 3 });
}

fn private(name: &str) -> RoomRow {
    RoomRow { visibility: Visibility::Private, ..room(name) }
}

async fn everyone_sees_public_rooms_and_their_own(store: Fixture) {
    let (ada, bo) = (UserId::new(), UserId::new());
    let (public, hers, his, talk) = (room("public"), private("hers"), private("his"), conversation("a+b"));
    store.with_room(&public, &[ada, bo]).await;
    store.with_room(&hers, &[ada]).await;
    store.with_room(&his, &[bo]).await;
    store.with_room(&talk, &[ada, bo]).await;
    let seen = store.visible_rooms(ada, "", Part::First, 10).await.expect("read");
    assert_eq!(seen, [(hers, 1), (public.clone(), 2)]);
    assert_eq!(store.visible_rooms(UserId::new(), "", Part::First, 10).await.expect("read"), [(public, 2)]);
}

async fn rooms_are_found_by_a_part_of_their_name_without_case(store: Fixture) {
    let ada = UserId::new();
    let (street, dots) = (room("Hauptstraße 5"), private("a.c* 100%_"));
    store.with_room(&street, &[]).await;
    store.with_room(&dots, &[ada]).await;
    store.with_room(&room("abc"), &[]).await;
    let found = async |name: &str| {
        let rooms = store.visible_rooms(ada, name, Part::First, 10).await.expect("read");
        rooms.into_iter().map(|(room, _)| room.id).collect::<Vec<_>>()
    };
    assert_eq!(found("STRASSE").await, [street.id]);
    assert_eq!(found("a.c").await, [dots.id]);
    assert_eq!(found("C*").await, [dots.id]);
    assert_eq!(found("%_").await, [dots.id]);
    assert!(found("nowhere").await.is_empty());
    assert_eq!(found("").await.len(), 3);
}

async fn visible_rooms_come_newest_first_and_page(store: Fixture) {
    let ada = UserId::new();
    let rooms: Vec<_> = (0..5).map(|number| if number % 2 == 0 { room("r") } else { private("r") }).collect();
    for room in &rooms {
        store.with_room(room, &[ada]).await;
    }
    let ids = async |part, limit| {
        let found = store.visible_rooms(ada, "r", part, limit).await.expect("read");
        found.into_iter().map(|(room, _)| room.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Part::First, 2).await, [rooms[4].id, rooms[3].id]);
    assert_eq!(ids(Part::After(rooms[3].id), 2).await, [rooms[2].id, rooms[1].id]);
    assert_eq!(ids(Part::After(rooms[1].id), 2).await, [rooms[0].id]);
    assert!(ids(Part::After(rooms[0].id), 2).await.is_empty());
    assert_eq!(ids(Part::Before(rooms[0].id), 2).await, [rooms[2].id, rooms[1].id]);
    assert_eq!(ids(Part::Before(rooms[3].id), 2).await, [rooms[4].id]);
    assert!(ids(Part::Before(rooms[4].id), 2).await.is_empty());
}

async fn ones_rooms_come_by_last_activity(store: Fixture) {
    let ada = UserId::new();
    let quiet = RoomRow { created_at: time(20), ..room("quiet") };
    let busy = room("busy");
    let talk = conversation("a+b");
    let foreign = room("foreign");
    let gone = RoomRow { deleted_at: Some(time(9)), ..room("gone") };
    for room in [&quiet, &busy, &talk] {
        store.with_room(room, &[ada, UserId::new()]).await;
    }
    store.with_room(&foreign, &[UserId::new()]).await;
    store.commit(&[], &[Op::InsertRoom(gone)]).await.expect("made");
    store.append_messages(&messages(talk.id, 1..=5, ada)).await.expect("appended");
    store.append_messages(&[message(busy.id, 1, ada)]).await.expect("appended");
    let mut late = message(busy.id, 2, ada);
    late.created_at = time(30);
    store.append_messages(&[late]).await.expect("appended");
    // What is not a message is no activity.
    let joined = entry(StreamId::Room(talk.id), 6, Kind::UserJoined);
    store.commit(&[rookery_api::store::rows::EntryRow { at: time(99), ..joined }], &[]).await.expect("committed");

    let listed = store.rooms_of(ada, 10).await.expect("read");
    let shown: Vec<_> = listed.iter().map(|of| (of.room.id, of.last_activity_at, of.member_count)).collect();
    assert_eq!(shown, [(busy.id, time(30), 2), (quiet.id, time(20), 2), (talk.id, time(5), 2)]);
    for of in listed {
        assert_eq!((of.member.user, of.member.room), (ada, of.room.id));
    }
    assert!(store.rooms_of(UserId::new(), 10).await.expect("read").is_empty());
}

async fn ones_rooms_are_limited_after_they_are_ordered(store: Fixture) {
    let ada = UserId::new();
    let rooms: Vec<_> = (0..6).map(|_| room("r")).collect();
    for (room, at) in rooms.iter().zip([3, 6, 1, 5, 2, 4]) {
        store.with_room(room, &[ada]).await;
        let mut said = message(room.id, 1, ada);
        said.created_at = time(at);
        store.append_messages(&[said]).await.expect("appended");
    }
    let listed = store.rooms_of(ada, 3).await.expect("read");
    let ids: Vec<_> = listed.into_iter().map(|of| of.room.id).collect();
    assert_eq!(ids, [rooms[1].id, rooms[3].id, rooms[5].id]);
}
