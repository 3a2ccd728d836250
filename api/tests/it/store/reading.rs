//! Reading logs and messages.

use super::{
    conformance,
    fixture::{Fixture, entry, entry_of, message, messages, time},
};
use rookery_api::store::{
    MAX_UNREAD, Stretch,
    rows::{EntryRow, MessageRow},
};
use rookery_shared::{
    envelope::Kind,
    ids::{MessageId, RoomId, StreamId, UserId},
    model::{Attachment, MessageType, ReplyTo},
};

conformance! {
    a_message_is_read_back_as_written,
    an_entry_is_read_back_as_written,
    a_stretch_comes_in_ascending_order_within_its_limit,
    a_stretch_of_messages_leaves_other_entries_out,
    messages_are_found_by_client_id_in_the_order_asked,
    messages_are_found_by_id_in_the_order_asked,
    the_last_message_is_the_newest_from_a_place_on,
    unread_messages_are_those_of_others_that_are_not_deleted,
    a_count_of_unread_messages_stops_somewhere,
}

async fn a_message_is_read_back_as_written(store: Fixture) {
    let (place, ada) = (RoomId::new(), UserId::new());
    let bare = MessageRow { content: String::new(), ..message(place, 1, ada) };
    let full = MessageRow {
        rev: 4,
        message_type: MessageType::System,
        edited_at: Some(time(50)),
        deleted_at: Some(time(51)),
        reply_to: Some(ReplyTo { message_id: bare.id, seq: 1, user_id: ada }),
        attachment: Some(Attachment {
            url: "https://example.org/\u{1f426}".into(),
            name: "\"quoted\"".into(),
            mime: "image/png".into(),
            size: u64::from(u32::MAX) * 4,
        }),
        content: "$where \0 \u{1f426} {\"a\": 1}".into(),
        client_id: "$c".into(),
        ..message(place, 2, ada)
    };
    let said = [bare, full];
    store.append_messages(&said).await.expect("appended");
    let found = store.messages(&[said[0].id, said[1].id]).await.expect("read");
    assert_eq!(found, said.map(Some));
}

async fn an_entry_is_read_back_as_written(store: Fixture) {
    let (room, user) = (StreamId::Room(RoomId::new()), StreamId::User(UserId::new()));
    let durable = Kind::ALL.iter().filter(|kind| kind.is_durable() && **kind != Kind::Message);
    let (of_user, of_room): (Vec<&Kind>, Vec<&Kind>) = durable.partition(|kind| (**kind as u8) >= 16);
    for (stream, kinds) in [(room, of_room), (user, of_user)] {
        let written: Vec<_> = kinds.into_iter().zip(1..).map(|(kind, seq)| entry(stream, seq, *kind)).collect();
        store.commit(&written, &[]).await.expect("committed");
        assert_eq!(store.entries(stream, Stretch::After(0), 99, false).await.expect("read"), written);
    }
    let StreamId::Room(id) = room else { unreachable!() };
    let bare = EntryRow { subject: RoomId::NIL.0, ref_seq: 0, ..entry(room, 6, Kind::RoomUpdated) };
    let said = entry_of(&message(id, 7, UserId::new()));
    store.commit(&[bare.clone(), said.clone()], &[]).await.expect("committed");
    assert_eq!(store.entries(room, Stretch::After(5), 99, false).await.expect("read"), [bare, said]);
}

async fn a_stretch_comes_in_ascending_order_within_its_limit(store: Fixture) {
    let place = RoomId::new();
    store.append_messages(&messages(place, 1..=300, UserId::new())).await.expect("appended");
    let seqs = async |stretch, limit| {
        let entries = store.entries(StreamId::Room(place), stretch, limit, false).await.expect("read");
        entries.into_iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(Stretch::After(0), 3).await, [1, 2, 3]);
    assert_eq!(seqs(Stretch::After(298), 3).await, [299, 300]);
    assert_eq!(seqs(Stretch::After(0), 1000).await, (1..=300).collect::<Vec<_>>());
    assert_eq!(seqs(Stretch::Before(3), 9).await, [1, 2]);
    assert_eq!(seqs(Stretch::Before(200), 3).await, [197, 198, 199]);
    assert_eq!(seqs(Stretch::Before(u64::MAX), 2).await, [299, 300]);
    assert_eq!(seqs(Stretch::Newest, 2).await, [299, 300]);
    assert!(seqs(Stretch::After(300), 2).await.is_empty());
    assert!(seqs(Stretch::After(u64::MAX), 2).await.is_empty());
    assert!(seqs(Stretch::Before(1), 2).await.is_empty());
    assert!(store.entries(StreamId::Room(RoomId::new()), Stretch::Newest, 2, true).await.expect("read").is_empty());
}

async fn a_stretch_of_messages_leaves_other_entries_out(store: Fixture) {
    let (room, ada) = (RoomId::new(), UserId::new());
    for seq in 1..=6 {
        let written = if seq % 2 == 0 {
            entry_of(&message(room, seq, ada))
        } else {
            entry(StreamId::Room(room), seq, Kind::MessageUpdated)
        };
        store.commit(&[written], &[]).await.expect("committed");
    }
    let seqs = async |stretch, limit| {
        let entries = store.entries(StreamId::Room(room), stretch, limit, true).await.expect("read");
        entries.into_iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(Stretch::After(1), 2).await, [2, 4]);
    assert_eq!(seqs(Stretch::Before(6), 9).await, [2, 4]);
    assert_eq!(seqs(Stretch::Newest, 1).await, [6]);
}

async fn messages_are_found_by_client_id_in_the_order_asked(store: Fixture) {
    let (one, other, ada, bo) = (RoomId::new(), RoomId::new(), UserId::new(), UserId::new());
    let (first, second) = (messages(one, 1..=20, ada), messages(other, 1..=2, bo));
    store.append_messages(&first).await.expect("appended");
    store.append_messages(&second).await.expect("appended");
    let key = |message: &MessageRow| (message.room, message.sender, message.client_id.clone());
    let mut asked: Vec<_> = first.iter().rev().chain(&second).map(key).collect();
    let mut expected: Vec<_> = first.iter().rev().chain(&second).cloned().map(Some).collect();
    asked.push(asked[5].clone());
    expected.push(expected[5].clone());
    for nothing in [(one, bo, "c1".to_owned()), (other, ada, "c1".to_owned()), (one, ada, "c99".to_owned())] {
        asked.push(nothing);
        expected.push(None);
    }
    assert_eq!(store.messages_by_client_id(&asked).await.expect("read"), expected);
    assert_eq!(store.messages_by_client_id(&[]).await.expect("read"), []);
}

async fn messages_are_found_by_id_in_the_order_asked(store: Fixture) {
    let said = messages(RoomId::new(), 1..=3, UserId::new());
    store.append_messages(&said).await.expect("appended");
    let found = store.messages(&[said[2].id, MessageId::new(), said[0].id, said[2].id]).await.expect("read");
    assert_eq!(found, [Some(said[2].clone()), None, Some(said[0].clone()), Some(said[2].clone())]);
    assert_eq!(store.messages(&[]).await.expect("read"), []);
}

async fn the_last_message_is_the_newest_from_a_place_on(store: Fixture) {
    let (room, ada) = (RoomId::new(), UserId::new());
    let said = messages(room, 1..=3, ada);
    store.append_messages(&said).await.expect("appended");
    store.commit(&[entry(StreamId::Room(room), 4, Kind::UserJoined)], &[]).await.expect("committed");
    let bo = UserId::new();
    let asked = [(room, bo, 1, 0), (room, bo, 3, 1), (room, bo, 4, 3), (RoomId::new(), bo, 1, 0)];
    let found = store.last_and_unread(&asked).await.expect("read");
    let last = Some(said[2].clone());
    assert_eq!(found, [(last.clone(), 3), (last, 2), (None, 0), (None, 0)]);
    assert_eq!(store.last_and_unread(&[]).await.expect("read"), []);
}

async fn unread_messages_are_those_of_others_that_are_not_deleted(store: Fixture) {
    let (room, ada, bo) = (RoomId::new(), UserId::new(), UserId::new());
    let mut said = messages(room, 1..=150, ada);
    for own in &mut said[..20] {
        own.sender = bo;
    }
    said[30].deleted_at = Some(time(200));
    said[149].deleted_at = Some(time(200));
    store.append_messages(&said).await.expect("appended");
    store.commit(&[entry(StreamId::Room(room), 151, Kind::MessageDeleted)], &[]).await.expect("committed");
    let asked = [(room, bo, 1, 0), (room, ada, 1, 0), (room, bo, 1, 31), (room, bo, 1, 149), (room, bo, 1, u64::MAX)];
    let unread: Vec<_> = store.last_and_unread(&asked).await.expect("read").into_iter().map(|found| found.1).collect();
    assert_eq!(unread, [128, 20, 118, 0, 0]);
}

async fn a_count_of_unread_messages_stops_somewhere(store: Fixture) {
    let (room, ada, bo) = (RoomId::new(), UserId::new(), UserId::new());
    let most = u64::from(MAX_UNREAD);
    store.append_messages(&messages(room, 1..=most + 5, ada)).await.expect("appended");
    let found = store.last_and_unread(&[(room, bo, 1, 0), (room, bo, 1, 6)]).await.expect("read");
    let found: Vec<_> = found.into_iter().map(|(last, unread)| (last.map(|last| last.seq), unread)).collect();
    assert_eq!(found, [(Some(most + 5), most), (Some(most + 5), most - 1)]);
}
