//! Appending messages.

use super::{
    conformance,
    fixture::{Fixture, entry, message, messages, room},
};
use rookery_api::store::{Appended, Stretch, rows::MessageRow};
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
};

conformance! {
    appended_messages_are_there_in_their_places,
    appending_nothing_does_nothing,
    a_taken_place_stops_the_batch_and_keeps_what_was_before,
    a_taken_client_id_stops_the_batch_and_keeps_what_was_before,
    a_client_id_is_unique_per_room_and_sender_only,
    a_clash_with_the_same_batch_counts_as_one,
    one_of_two_writers_gets_a_place,
    a_batch_of_a_thousand_messages_is_one_call,
    a_batch_over_several_rooms_is_one_order,
    every_stream_has_a_log_of_its_own,
    heads_come_in_the_order_asked,
    what_was_stored_is_there_after_opening_again,
}

const fn all(committed: usize) -> Appended {
    Appended { committed, clashed: false }
}

const fn clash(committed: usize) -> Appended {
    Appended { committed, clashed: true }
}

async fn log(store: &Fixture, room: RoomId) -> Vec<MessageRow> {
    let entries = store.entries(StreamId::Room(room), Stretch::After(0), 5000, false).await.expect("read");
    entries.into_iter().filter_map(|entry| entry.message).collect()
}

async fn appended_messages_are_there_in_their_places(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let said = messages(place, 1..=5, ada);
    assert_eq!(store.append_messages(&said[..2]).await.expect("appended"), all(2));
    assert_eq!(store.append_messages(&said[2..]).await.expect("appended"), all(3));
    assert_eq!(log(&store, place).await, said);
}

async fn appending_nothing_does_nothing(store: Fixture) {
    assert_eq!(store.append_messages(&[]).await.expect("appended"), all(0));
    store.commit(&[], &[]).await.expect("committed");
}

async fn a_taken_place_stops_the_batch_and_keeps_what_was_before(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let theirs = message(place, 3, UserId::new());
    let mine = messages(place, 1..=5, ada);
    store.append_messages(std::slice::from_ref(&theirs)).await.expect("appended");
    assert_eq!(store.append_messages(&mine).await.expect("decided"), clash(2));
    assert_eq!(log(&store, place).await, [mine[0].clone(), mine[1].clone(), theirs]);
    // At the very first, and with nothing else in the batch.
    assert_eq!(store.append_messages(&mine).await.expect("decided"), clash(0));
    assert_eq!(store.append_messages(&mine[..1]).await.expect("decided"), clash(0));
}

async fn a_taken_client_id_stops_the_batch_and_keeps_what_was_before(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let first = message(place, 1, ada);
    store.append_messages(std::slice::from_ref(&first)).await.expect("appended");
    let mut rest = messages(place, 2..=4, ada);
    rest[1].client_id.clone_from(&first.client_id);
    assert_eq!(store.append_messages(&rest).await.expect("decided"), clash(1));
    assert_eq!(log(&store, place).await, [first, rest[0].clone()]);
}

async fn a_client_id_is_unique_per_room_and_sender_only(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let mut said = messages(place, 1..=2, ada);
    said[1].sender = UserId::new();
    said.push(message(RoomId::new(), 1, ada));
    for message in &mut said {
        message.client_id = "same".into();
    }
    assert_eq!(store.append_messages(&said).await.expect("appended"), all(3));
}

async fn a_clash_with_the_same_batch_counts_as_one(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let mut said = messages(place, 1..=3, ada);
    said[2].client_id = "c1".into();
    assert_eq!(store.append_messages(&said).await.expect("decided"), clash(2));
}

async fn one_of_two_writers_gets_a_place(store: Fixture) {
    let place = RoomId::new();
    for seq in 1..=10 {
        let (one, other) = (message(place, seq, UserId::new()), message(place, seq, UserId::new()));
        let batches = ([one], [other]);
        let (first, second) = tokio::join!(store.append_messages(&batches.0), store.append_messages(&batches.1));
        let mut outcomes = [first.expect("decided"), second.expect("decided")];
        outcomes.sort_unstable_by_key(|outcome| outcome.committed);
        assert_eq!(outcomes, [clash(0), all(1)]);
    }
    assert_eq!(store.heads(&[StreamId::Room(place)]).await.expect("read"), [10]);
}

async fn a_batch_of_a_thousand_messages_is_one_call(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let mut said = messages(place, 1..=1000, ada);
    for message in &mut said {
        // As long as a message may be.
        message.content = "\u{1f426}".repeat(4000);
    }
    let (most, last) = said.split_at(999);
    store.append_messages(last).await.expect("appended");
    assert_eq!(store.append_messages(&said).await.expect("decided"), clash(999));
    assert_eq!(store.heads(&[StreamId::Room(place)]).await.expect("read"), [1000]);
    let newest = store.entries(StreamId::Room(place), Stretch::Before(1000), 3, true).await.expect("read");
    assert_eq!(newest.into_iter().filter_map(|entry| entry.message).collect::<Vec<_>>(), most[996..]);
}

async fn a_batch_over_several_rooms_is_one_order(store: Fixture) {
    let (one, other, ada) = (RoomId::new(), RoomId::new(), UserId::new());
    store.append_messages(&[message(other, 1, ada)]).await.expect("appended");
    let said = [message(one, 1, ada), message(other, 1, ada), message(one, 2, ada)];
    assert_eq!(store.append_messages(&said).await.expect("decided"), clash(1));
    assert_eq!(store.heads(&[StreamId::Room(one)]).await.expect("read"), [1]);
}

async fn every_stream_has_a_log_of_its_own(store: Fixture) {
    let (one, other, ada) = (RoomId::new(), RoomId::new(), UserId::new());
    store.append_messages(&messages(one, 1..=2, ada)).await.expect("appended");
    store.append_messages(&messages(other, 1..=3, ada)).await.expect("appended");
    let own = entry(StreamId::User(ada), 1, Kind::RoomAdded);
    store.commit(std::slice::from_ref(&own), &[]).await.expect("committed");
    let streams = [StreamId::Room(one), StreamId::Room(other), StreamId::User(ada)];
    assert_eq!(store.heads(&streams).await.expect("read"), [2, 3, 1]);
    assert_eq!(store.entries(StreamId::User(ada), Stretch::Newest, 9, false).await.expect("read"), [own]);
}

async fn heads_come_in_the_order_asked(store: Fixture) {
    let ada = UserId::new();
    let rooms: Vec<_> = (0..40).map(|_| RoomId::new()).collect();
    for (room, head) in rooms.iter().zip(1..) {
        store.append_messages(&messages(*room, 1..=head % 4 + 1, ada)).await.expect("appended");
    }
    let mut asked: Vec<_> = rooms.iter().rev().map(|room| StreamId::Room(*room)).collect();
    asked.insert(3, StreamId::Room(RoomId::new()));
    asked.push(asked[0]);
    let mut expected: Vec<_> = (1..=40).rev().map(|head| head % 4 + 1).collect();
    expected.insert(3, 0);
    expected.push(expected[0]);
    assert_eq!(store.heads(&asked).await.expect("read"), expected);
    assert!(store.heads(&[]).await.expect("read").is_empty());
}

async fn what_was_stored_is_there_after_opening_again(store: Fixture) {
    let epoch = store.epoch().await.expect("an epoch");
    assert!(!epoch.is_empty());
    let place = room("r");
    let ada = store.with_user("ada").await;
    store.with_room(&place, &[ada.id]).await;
    let said = messages(place.id, 1..=3, ada.id);
    store.append_messages(&said).await.expect("appended");
    let store = store.reopened().await;
    assert_eq!(store.epoch().await.expect("an epoch"), epoch);
    assert_eq!(log(&store, place.id).await, said);
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 1))]);
    store.ready().await.expect("ready");
    store.ready().await.expect("ready");
}
