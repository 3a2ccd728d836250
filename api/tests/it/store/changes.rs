//! Entries and changes in one transaction.

use super::{
    conformance,
    fixture::{Fixture, entry, entry_of, member, message, messages, room, session, time},
};
use rookery_api::store::{Op, StoreError, Stretch, Unique, rows::MemberRow};
use rookery_shared::{
    envelope::Kind,
    ids::{StreamId, UserId},
};

conformance! {
    entries_and_changes_happen_together,
    a_taken_place_undoes_everything,
    a_taken_client_id_undoes_everything,
    a_refused_change_undoes_everything,
    a_refused_change_is_told_before_a_taken_place,
    changes_happen_in_their_order,
    one_of_two_changes_gets_a_place,
    a_change_and_a_message_never_share_a_place,
    a_refused_write_undoes_nothing_of_its_neighbours,
}

async fn entries_and_changes_happen_together(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    let open = session(ada);
    store.insert_session(open.clone()).await.expect("inserted");
    let (log, own) = (StreamId::Room(place.id), StreamId::User(ada));
    let entries = [entry(log, 1, Kind::UserJoined), entry(own, 1, Kind::RoomAdded), entry(own, 2, Kind::SessionEnded)];
    let ops = [
        Op::InsertRoom(place.clone()),
        Op::InsertMember(member(place.id, ada)),
        Op::EndSessions { user: ada, only: None, except: None, at: time(4) },
    ];
    store.commit(&entries, &ops).await.expect("committed");
    assert_eq!(store.heads(&[log, own]).await.expect("read"), [1, 2]);
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 1))]);
    assert_eq!(store.session(open.id).await.expect("read").expect("there").ended_at, Some(time(4)));
}

async fn a_taken_place_undoes_everything(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    let (log, own) = (StreamId::Room(place.id), StreamId::User(ada));
    store.commit(&[entry(own, 1, Kind::RoomAdded)], &[]).await.expect("committed");
    let entries = [entry(log, 1, Kind::UserJoined), entry(own, 1, Kind::RoomAdded)];
    let ops = [Op::InsertRoom(place.clone()), Op::InsertMember(member(place.id, ada))];
    assert!(matches!(store.commit(&entries, &ops).await, Err(StoreError::Taken(Unique::LogEntry))));
    assert_eq!(store.heads(&[log, own]).await.expect("read"), [0, 1]);
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [None]);
}

async fn a_taken_client_id_undoes_everything(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.append_messages(&messages(place.id, 1..=1, ada)).await.expect("appended");
    let mut again = message(place.id, 3, ada);
    again.client_id = "c1".into();
    let entries = [entry_of(&message(place.id, 2, ada)), entry_of(&again)];
    assert!(matches!(store.commit(&entries, &[]).await, Err(StoreError::Taken(Unique::LogEntry))));
    assert_eq!(store.heads(&[StreamId::Room(place.id)]).await.expect("read"), [1]);
}

async fn a_refused_change_undoes_everything(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[ada]).await;
    let log = StreamId::Room(place.id);
    let left = [entry(log, 1, Kind::UserLeft)];
    let ops = [Op::DeleteMember(place.id, ada), Op::DeleteMember(place.id, ada)];
    assert!(matches!(store.commit(&left, &ops).await, Err(StoreError::Stale(_))));
    assert_eq!(store.heads(&[log]).await.expect("read"), [0]);
    assert_eq!(store.memberships(&[(place.id, ada)]).await.expect("read"), [Some(member(place.id, ada))]);
}

async fn a_refused_change_is_told_before_a_taken_place(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[ada]).await;
    let joined = [entry(StreamId::Room(place.id), 1, Kind::UserJoined)];
    store.commit(&joined, &[]).await.expect("committed");
    let again = [Op::InsertMember(member(place.id, ada))];
    assert!(matches!(store.commit(&joined, &again).await, Err(StoreError::Taken(Unique::Member))));
}

async fn changes_happen_in_their_order(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[ada]).await;
    let ops = [Op::DeleteMember(place.id, ada), Op::InsertMember(member(place.id, ada))];
    store.commit(&[], &ops).await.expect("committed");
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 1))]);
}

async fn one_of_two_changes_gets_a_place(store: Fixture) {
    let (place, people) = (room("r"), [UserId::new(), UserId::new()]);
    store.with_room(&place, &[]).await;
    let log = StreamId::Room(place.id);
    for seq in 1..=5 {
        let entries = [[entry(log, seq, Kind::UserJoined)], [entry(log, seq, Kind::UserJoined)]];
        let ops = people.map(|user| [Op::InsertMember(member(place.id, user))]);
        let (first, second) = tokio::join!(store.commit(&entries[0], &ops[0]), store.commit(&entries[1], &ops[1]));
        let (winner, refusal) = if first.is_ok() { (0, second) } else { (1, first) };
        assert!(matches!(refusal, Err(StoreError::Taken(Unique::LogEntry))), "{refusal:?}");
        assert_eq!(store.entries(log, Stretch::Newest, 1, false).await.expect("read"), entries[winner]);
        let here = store.memberships(&people.map(|user| (place.id, user))).await.expect("read");
        assert_eq!(only(here), Some(people[winner]));
        store.commit(&[], &[Op::DeleteMember(place.id, people[winner])]).await.expect("gone");
    }
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 0))]);
}

/// The only one of them who is a member.
fn only(members: Vec<Option<MemberRow>>) -> Option<UserId> {
    let mut here = members.into_iter().flatten();
    here.next().filter(|_| here.next().is_none()).map(|member| member.user)
}

async fn a_change_and_a_message_never_share_a_place(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[]).await;
    let log = StreamId::Room(place.id);
    for seq in 1..=10 {
        let entries = [entry(log, seq, Kind::RoomUpdated)];
        let said = [message(place.id, seq, ada)];
        let (changed, appended) = tokio::join!(store.commit(&entries, &[]), store.append_messages(&said));
        let appended = appended.expect("decided");
        assert_eq!(changed.is_ok(), appended.clashed);
        assert_ne!(changed.is_ok(), appended.committed == 1);
        assert!(matches!(changed, Ok(()) | Err(StoreError::Taken(Unique::LogEntry))), "{changed:?}");
    }
    assert_eq!(store.heads(&[log]).await.expect("read"), [10]);
}

async fn a_refused_write_undoes_nothing_of_its_neighbours(store: Fixture) {
    let ada = UserId::new();
    let rooms: Vec<_> = (0..24).map(|_| room("r")).collect();
    for room in &rooms {
        store.with_room(room, &[ada]).await;
    }
    // All at once, so that they meet in one group: every second one is refused after it has counted a member.
    let writes = rooms.iter().zip([false, true].into_iter().cycle()).map(|(room, refused)| {
        let store = store.store.clone();
        async move {
            let someone = UserId::new();
            let own = [entry(StreamId::User(someone), 1, Kind::RoomAdded)];
            let ops = [Op::InsertMember(member(room.id, if refused { ada } else { someone }))];
            let outcome = store.commit(&own, &ops).await;
            match outcome {
                Err(StoreError::Taken(Unique::Member)) => assert!(refused),
                outcome => assert!(outcome.is_ok() && !refused, "{outcome:?}"),
            }
            assert_eq!(store.heads(&[StreamId::User(someone)]).await.expect("read"), [u64::from(!refused)]);
        }
    });
    futures_util::future::join_all(writes).await;
    let ids: Vec<_> = rooms.iter().map(|room| room.id).collect();
    let counts = store.rooms(&ids).await.expect("read").into_iter().flatten().map(|(_, count)| count);
    assert_eq!(counts.collect::<Vec<_>>(), [2, 1].repeat(12));
}
