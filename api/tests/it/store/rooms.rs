//! Rooms and who is in them.

use super::{
    conformance,
    fixture::{Fixture, conversation, member, room, time, user},
};
use rookery_api::store::{
    Op, Part, StoreError, Unique,
    rows::{MemberRow, RoomRow},
};
use rookery_shared::{
    ids::{RoomId, UserId},
    model::{HistoryFrom, MemberRole, RoomType, Visibility},
};

conformance! {
    a_room_is_read_back_as_written_with_its_count,
    rooms_come_in_the_order_asked,
    a_deleted_room_is_not_there,
    a_conversation_is_found_by_its_key_and_made_once,
    a_deleted_conversation_gives_its_key_free,
    a_membership_is_read_back_as_written,
    memberships_come_in_the_order_asked,
    a_member_is_taken_once,
    a_member_needs_a_room,
    who_is_no_member_cannot_go,
    the_count_follows_the_members,
    members_come_by_name_and_page,
    another_owner_of_the_same_room_is_found,
}

async fn a_room_is_read_back_as_written_with_its_count(store: Fixture) {
    let full = RoomRow {
        description: Some("about".into()),
        visibility: Visibility::Private,
        history_from: HistoryFrom::Join,
        created_by: Some(UserId::new()),
        ..room("Full")
    };
    let talk = RoomRow { room_type: RoomType::ConsumerToSupport, ..conversation("a+b") };
    store.with_room(&full, &[UserId::new(), UserId::new()]).await;
    store.with_room(&talk, &[]).await;
    assert_eq!(store.rooms(&[full.id, talk.id]).await.expect("read"), [Some((full.clone(), 2)), Some((talk, 0))]);
    assert!(matches!(store.commit(&[], &[Op::InsertRoom(full)]).await, Err(StoreError::Taken(Unique::Other))));
}

async fn rooms_come_in_the_order_asked(store: Fixture) {
    let (a, b) = (room("a"), room("b"));
    for room in [&a, &b] {
        store.with_room(room, &[]).await;
    }
    let found = store.rooms(&[b.id, RoomId::new(), a.id, b.id]).await.expect("read");
    let ids: Vec<_> = found.into_iter().map(|found| found.map(|(room, _)| room.id)).collect();
    assert_eq!(ids, [Some(b.id), None, Some(a.id), Some(b.id)]);
    assert_eq!(store.rooms(&[]).await.expect("read"), []);
}

async fn a_deleted_room_is_not_there(store: Fixture) {
    let ada = store.with_user("ada").await;
    let gone = RoomRow { deleted_at: Some(time(3)), ..room("gone") };
    store.commit(&[], &[Op::InsertRoom(gone.clone())]).await.expect("made");
    assert_eq!(store.rooms(&[gone.id]).await.expect("read"), [None]);
    assert!(store.visible_rooms(ada.id, "", Part::First, 10).await.expect("read").is_empty());
    assert!(matches!(store.commit(&[], &[Op::InsertMember(member(gone.id, ada.id))]).await, Err(StoreError::Stale(_))));
    assert!(store.members(gone.id, Part::First, 10).await.expect("read").is_empty());
    assert_eq!(store.memberships(&[(gone.id, ada.id)]).await.expect("read"), [None]);
    assert!(store.rooms_of(ada.id, 10).await.expect("read").is_empty());
}

async fn a_conversation_is_found_by_its_key_and_made_once(store: Fixture) {
    let talk = conversation("a+b");
    store.with_room(&talk, &[]).await;
    assert_eq!(store.conversation("a+b").await.expect("read"), Some(talk));
    assert_eq!(store.conversation("a+c").await.expect("read"), None);
    assert!(matches!(
        store.commit(&[], &[Op::InsertRoom(conversation("a+b"))]).await,
        Err(StoreError::Taken(Unique::Conversation))
    ));
    // Rooms without a key are as many as one likes.
    store.with_room(&room("one"), &[]).await;
    store.with_room(&room("two"), &[]).await;
    // Two at once make one.
    let (one, other) = (conversation("c+d"), conversation("c+d"));
    let ops = [[Op::InsertRoom(one.clone())], [Op::InsertRoom(other.clone())]];
    let (first, second) = tokio::join!(store.commit(&[], &ops[0]), store.commit(&[], &ops[1]));
    let (winner, loser) = if first.is_ok() { (one, second) } else { (other, first) };
    assert!(matches!(loser, Err(StoreError::Taken(Unique::Conversation))));
    assert_eq!(store.conversation("c+d").await.expect("read"), Some(winner));
}

async fn a_deleted_conversation_gives_its_key_free(store: Fixture) {
    let gone = RoomRow { deleted_at: Some(time(3)), ..conversation("a+b") };
    store.commit(&[], &[Op::InsertRoom(gone)]).await.expect("made");
    assert_eq!(store.conversation("a+b").await.expect("read"), None);
    let again = conversation("a+b");
    store.with_room(&again, &[]).await;
    assert_eq!(store.conversation("a+b").await.expect("read"), Some(again));
}

async fn a_membership_is_read_back_as_written(store: Fixture) {
    let place = room("r");
    store.with_room(&place, &[]).await;
    for role in [MemberRole::Member, MemberRole::Moderator, MemberRole::Owner] {
        let row = MemberRow { role, in_seq: 4, from_seq: 5, read_seq: 6, ..member(place.id, UserId::new()) };
        store.commit(&[], &[Op::InsertMember(row.clone())]).await.expect("inserted");
        assert_eq!(store.memberships(&[(row.room, row.user)]).await.expect("read"), [Some(row)]);
    }
}

async fn memberships_come_in_the_order_asked(store: Fixture) {
    let (a, b) = (room("a"), room("b"));
    let (ada, bo) = (UserId::new(), UserId::new());
    store.with_room(&a, &[ada, bo]).await;
    store.with_room(&b, &[ada]).await;
    let asked = [(b.id, ada), (b.id, bo), (a.id, bo), (a.id, ada), (RoomId::new(), ada), (b.id, ada)];
    let found = store.memberships(&asked).await.expect("read");
    let found: Vec<_> = found.into_iter().map(|row| row.map(|row| (row.room, row.user))).collect();
    assert_eq!(found, [Some(asked[0]), None, Some(asked[2]), Some(asked[3]), None, Some(asked[0])]);
    assert_eq!(store.memberships(&[]).await.expect("read"), []);
}

async fn a_member_is_taken_once(store: Fixture) {
    let place = room("r");
    let ada = UserId::new();
    store.with_room(&place, &[ada]).await;
    let again = [Op::InsertMember(member(place.id, UserId::new())), Op::InsertMember(member(place.id, ada))];
    assert!(matches!(store.commit(&[], &again).await, Err(StoreError::Taken(Unique::Member))));
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 1))]);
}

async fn a_member_needs_a_room(store: Fixture) {
    let op = Op::InsertMember(member(RoomId::new(), UserId::new()));
    assert!(matches!(store.commit(&[], &[op]).await, Err(StoreError::Stale(_))));
}

async fn who_is_no_member_cannot_go(store: Fixture) {
    let place = room("r");
    let (ada, bo) = (UserId::new(), UserId::new());
    store.with_room(&place, &[ada]).await;
    let both = [Op::DeleteMember(place.id, ada), Op::DeleteMember(place.id, bo)];
    assert!(matches!(store.commit(&[], &both).await, Err(StoreError::Stale(_))));
    // Nothing of it was done.
    assert_eq!(store.memberships(&[(place.id, ada)]).await.expect("read"), [Some(member(place.id, ada))]);
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 1))]);
}

async fn the_count_follows_the_members(store: Fixture) {
    let place = room("r");
    let people: Vec<_> = (0..4).map(|_| UserId::new()).collect();
    store.with_room(&place, &people).await;
    store.commit(&[], &[Op::DeleteMember(place.id, people[1])]).await.expect("gone");
    let ops = [Op::InsertMember(member(place.id, people[1])), Op::DeleteMember(place.id, people[0])];
    store.commit(&[], &ops).await.expect("changed");
    assert_eq!(store.memberships(&[(place.id, people[0])]).await.expect("read"), [None]);
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 3))]);
}

async fn members_come_by_name_and_page(store: Fixture) {
    let mut people = Vec::new();
    for name in ["carol", "ada", "Bo", "dan"] {
        people.push(store.with_user(name).await);
    }
    let place = room("r");
    store.with_room(&place, &people.iter().map(|user| user.id).collect::<Vec<_>>()).await;
    store.insert_user(user("elsewhere")).await.expect("inserted");
    let names = |page: Vec<(MemberRow, rookery_api::store::rows::UserRow)>| {
        page.into_iter()
            .map(|(member, user)| {
                assert_eq!((member.room, member.user), (place.id, user.id));
                user.username_key
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(store.members(place.id, Part::First, 3).await.expect("read")), ["ada", "bo", "carol"]);
    assert_eq!(names(store.members(place.id, Part::After("bo"), 3).await.expect("read")), ["carol", "dan"]);
    assert!(store.members(place.id, Part::After("dan"), 3).await.expect("read").is_empty());
    assert_eq!(names(store.members(place.id, Part::Before("dan"), 2).await.expect("read")), ["bo", "carol"]);
    assert_eq!(names(store.members(place.id, Part::Before("bo"), 2).await.expect("read")), ["ada"]);
    assert!(store.members(place.id, Part::Before("ada"), 2).await.expect("read").is_empty());
}

async fn another_owner_of_the_same_room_is_found(store: Fixture) {
    let (place, elsewhere) = (room("r"), room("elsewhere"));
    let (ada, bo) = (UserId::new(), UserId::new());
    store.with_room(&place, &[UserId::new()]).await;
    store.with_room(&elsewhere, &[]).await;
    let owner = |place: RoomId, user| Op::InsertMember(MemberRow { role: MemberRole::Owner, ..member(place, user) });
    store.commit(&[], &[owner(place.id, ada), owner(elsewhere.id, bo)]).await.expect("inserted");
    assert!(!store.has_other_owner(place.id, ada).await.expect("read"));
    assert!(store.has_other_owner(place.id, bo).await.expect("read"));
    store.commit(&[], &[owner(place.id, bo)]).await.expect("inserted");
    assert!(store.has_other_owner(place.id, ada).await.expect("read"));
}
