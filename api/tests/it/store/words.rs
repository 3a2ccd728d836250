//! Messages that change, and the words that they are found by.

use super::{
    conformance,
    fixture::{Fixture, member, message, messages, room, time},
};
use rookery_api::store::{
    IndexedMessage, Op, Part, SearchQuery, StoreError, WantedWord,
    rows::{MemberRow, MessageRow, RoomRow},
};
use rookery_shared::{
    ids::{MessageId, RoomId, UserId},
    model::{Attachment, Reaction},
};

conformance! {
    a_message_is_replaced_by_its_next_rev,
    messages_since_an_id_come_in_its_order,
    messages_are_found_by_words_and_beginnings,
    only_what_someone_may_see_is_found,
    what_is_found_is_narrowed_down_and_paged,
    new_words_replace_the_old_ones_and_a_tombstone_has_none,
    words_are_committed_with_a_change_or_not_at_all,
    places_are_those_of_rooms_that_are_there,
}

async fn a_message_is_replaced_by_its_next_rev(store: Fixture) {
    let first = message(RoomId::new(), 1, UserId::new());
    store.append_messages(std::slice::from_ref(&first)).await.expect("appended");
    let next = MessageRow {
        rev: 2,
        content: "other words".into(),
        edited_at: Some(time(5)),
        attachment: Some(Attachment { url: "https://a".into(), name: "a".into(), mime: "b/c".into(), size: 1 }),
        reactions: vec![Reaction { emoji: "👍".into(), count: 2, user_ids: vec![UserId::new(), UserId::new()] }],
        pinned_at: Some(time(6)),
        ..first.clone()
    };
    store.commit(&[], &[Op::ReplaceMessage(next.clone())]).await.expect("replaced");
    assert_eq!(store.messages(&[first.id]).await.expect("read"), [Some(next.clone())]);
    let late = store.commit(&[], &[Op::ReplaceMessage(next.clone())]).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    let tombstone = MessageRow {
        rev: 3,
        content: String::new(),
        deleted_at: Some(time(7)),
        edited_at: None,
        attachment: None,
        reactions: Vec::new(),
        pinned_at: None,
        ..next
    };
    store.commit(&[], &[Op::ReplaceMessage(tombstone.clone())]).await.expect("replaced");
    assert_eq!(store.messages(&[first.id]).await.expect("read"), [Some(tombstone)]);
}

async fn messages_since_an_id_come_in_its_order(store: Fixture) {
    let (one, two) = (RoomId::new(), RoomId::new());
    let mut all = [messages(one, 1..=3, UserId::new()), messages(two, 1..=2, UserId::new())].concat();
    store.append_messages(&all).await.expect("appended");
    all.sort_by_key(|message| message.id);
    let since = async |id, limit| store.messages_since(id, limit).await.expect("read");
    assert_eq!(since(MessageId::NIL, 9).await, all);
    assert_eq!(since(all[1].id, 2).await, all[2..4]);
    assert_eq!(since(all[4].id, 2).await, []);
}

/// Stores and indexes messages with these words.
async fn said(store: &Fixture, room: RoomId, sender: UserId, texts: &[&str]) -> Vec<MessageRow> {
    let rows: Vec<MessageRow> = (1..)
        .zip(texts)
        .map(|(seq, text)| MessageRow { content: (*text).to_owned(), ..message(room, seq, sender) })
        .collect();
    store.append_messages(&rows).await.expect("appended");
    store.index(&rows.iter().map(indexed).collect::<Vec<_>>()).await.expect("indexed");
    rows
}

fn indexed(row: &MessageRow) -> IndexedMessage {
    IndexedMessage {
        id: row.id,
        room: row.room,
        seq: row.seq,
        sender: row.sender,
        created_at: row.created_at,
        words: row.content.split_whitespace().map(str::to_owned).collect(),
    }
}

fn query(rooms: &[(RoomId, u64)], words: &[&str]) -> SearchQuery {
    // A word that ends in a star stands for all that begin so.
    let word = |word: &&str| match word.strip_suffix('*') {
        Some(text) => WantedWord { text: text.to_owned(), prefix: true },
        None => WantedWord { text: (*word).to_owned(), prefix: false },
    };
    SearchQuery {
        rooms: rooms.to_vec(),
        words: words.iter().map(word).collect(),
        sender: None,
        since: None,
        until: None,
        part: Part::First,
        limit: 10,
    }
}

async fn found(store: &Fixture, query: &SearchQuery) -> Vec<(RoomId, u64)> {
    let found = store.search(query).await.expect("read");
    found.into_iter().map(|row| (row.room, row.seq)).collect()
}

async fn messages_are_found_by_words_and_beginnings(store: Fixture) {
    let room = RoomId::new();
    said(&store, room, UserId::new(), &["red apple", "red apples", "green apple", "a.c abc", "語学 学校 🎉"]).await;
    let seqs = async |words: &[&str]| -> Vec<u64> {
        let found = found(&store, &query(&[(room, 1)], words)).await;
        found.into_iter().map(|(_, seq)| seq).collect()
    };
    assert_eq!(seqs(&["apple"]).await, [3, 1], "newest first");
    assert_eq!(seqs(&["apple*"]).await, [3, 2, 1]);
    assert_eq!(seqs(&["red", "apple*"]).await, [2, 1]);
    assert_eq!(seqs(&["red", "green"]).await, [0; 0]);
    assert_eq!(seqs(&["a.c"]).await, [4]);
    assert_eq!(seqs(&["a.*"]).await, [4], "no pattern of any database");
    assert_eq!(seqs(&["学*"]).await, [5]);
    assert_eq!(seqs(&["🎉"]).await, [5]);
    assert_eq!(seqs(&["appl"]).await, [0; 0]);
}

async fn only_what_someone_may_see_is_found(store: Fixture) {
    let (one, two, foreign, ada) = (room("1").id, room("2").id, room("3").id, UserId::new());
    for place in [one, two, foreign] {
        said(&store, place, ada, &["word", "word", "word"]).await;
    }
    let mut seen = found(&store, &query(&[(one, 1), (two, 3)], &["word"])).await;
    seen.sort_unstable();
    let mut expected = [(one, 1), (one, 2), (one, 3), (two, 3)];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(found(&store, &query(&[], &["word"])).await, []);
}

async fn what_is_found_is_narrowed_down_and_paged(store: Fixture) {
    let (here, there, ada, ben) = (RoomId::new(), RoomId::new(), UserId::new(), UserId::new());
    let by_ada = said(&store, here, ada, &["word", "word", "word", "word"]).await;
    said(&store, there, ben, &["word", "word"]).await;
    let all = query(&[(here, 1), (there, 1)], &["word"]);
    let narrowed = async |query| found(&store, &query).await;
    assert_eq!(narrowed(SearchQuery { sender: Some(ben), ..all.clone() }).await, [(there, 2), (there, 1)]);
    let times = SearchQuery { since: Some(time(2)), until: Some(time(4)), sender: Some(ada), ..all.clone() };
    assert_eq!(narrowed(times).await, [(here, 3), (here, 2)], "from a time on, before another");
    let first = SearchQuery { sender: Some(ada), limit: 2, ..all.clone() };
    assert_eq!(narrowed(first.clone()).await, [(here, 4), (here, 3)]);
    let last = &by_ada[2];
    let next = SearchQuery { part: Part::After((last.created_at, last.id)), ..first.clone() };
    assert_eq!(narrowed(next.clone()).await, [(here, 2), (here, 1)]);
    let oldest = &by_ada[0];
    let back = SearchQuery { part: Part::Before((oldest.created_at, oldest.id)), ..first };
    assert_eq!(narrowed(back).await, [(here, 3), (here, 2)], "the nearest ones, newest first");
    assert_eq!(narrowed(SearchQuery { part: Part::After((oldest.created_at, oldest.id)), ..next }).await, []);
}

async fn new_words_replace_the_old_ones_and_a_tombstone_has_none(store: Fixture) {
    let room = RoomId::new();
    let rows = said(&store, room, UserId::new(), &["first", "second"]).await;
    let edited = MessageRow { content: "third".into(), rev: 2, ..rows[0].clone() };
    store.commit(&[], &[Op::ReplaceMessage(edited.clone())]).await.expect("replaced");
    store.index(&[indexed(&edited)]).await.expect("indexed");
    let is_found = async |word| found(&store, &query(&[(room, 1)], &[word])).await.len();
    assert_eq!((is_found("first").await, is_found("third").await, is_found("second").await), (0, 1, 1));
    let gone = MessageRow { content: String::new(), rev: 2, deleted_at: Some(time(9)), ..rows[1].clone() };
    store.commit(&[], &[Op::ReplaceMessage(gone)]).await.expect("replaced");
    assert_eq!(is_found("second").await, 0);
    store.index(&[IndexedMessage { words: Vec::new(), ..indexed(&edited) }]).await.expect("indexed");
    assert_eq!(is_found("third").await, 0);
}

async fn words_are_committed_with_a_change_or_not_at_all(store: Fixture) {
    let room = RoomId::new();
    let rows = said(&store, room, UserId::new(), &["first", "second"]).await;
    let edited = MessageRow { content: "third".into(), rev: 2, ..rows[0].clone() };
    let ops = [Op::ReplaceMessage(edited.clone()), Op::Index(indexed(&edited))];
    store.commit(&[], &ops).await.expect("replaced");
    let is_found = async |word| found(&store, &query(&[(room, 1)], &[word])).await.len();
    assert_eq!((is_found("first").await, is_found("third").await), (0, 1));
    let late = MessageRow { content: "fourth".into(), ..edited };
    let refused = store.commit(&[], &[Op::Index(indexed(&late)), Op::ReplaceMessage(late.clone())]).await;
    assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    assert_eq!((is_found("third").await, is_found("fourth").await), (1, 0));
    store.commit(&[], &[Op::Index(IndexedMessage { words: Vec::new(), ..indexed(&late) })]).await.expect("indexed");
    assert_eq!((is_found("third").await, is_found("second").await), (0, 1));
}

async fn places_are_those_of_rooms_that_are_there(store: Fixture) {
    let (ada, ben) = (UserId::new(), UserId::new());
    let rooms: Vec<_> = ["1", "2", "3"].map(room).into_iter().collect();
    for (row, joined) in rooms.iter().zip(1..) {
        let ops = [
            Op::InsertRoom(row.clone()),
            Op::InsertMember(MemberRow { joined_at: time(joined), from_seq: 4, ..member(row.id, ada) }),
            Op::InsertMember(member(row.id, ben)),
        ];
        store.commit(&[], &ops).await.expect("committed");
    }
    let deleted = RoomRow { deleted_at: Some(time(9)), version: rooms[1].version + 1, ..rooms[1].clone() };
    store.commit(&[], &[Op::ReplaceRoom(deleted), Op::DeleteMember(rooms[0].id, ben)]).await.expect("committed");
    let places = async |user, limit| store.places_of(user, limit).await.expect("read");
    assert_eq!(places(ada, 9).await, [(rooms[2].id, 4), (rooms[0].id, 4)], "who was joined last comes first");
    assert_eq!(places(ada, 1).await, [(rooms[2].id, 4)]);
    assert_eq!(places(ben, 9).await, [(rooms[2].id, 1)]);
    assert_eq!(places(UserId::new(), 9).await, []);
}
