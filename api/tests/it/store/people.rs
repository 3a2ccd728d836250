//! People and memberships: finding them, what changes about them, who owns next, who read what.

use super::{
    conformance,
    fixture::{Fixture, member, room, session, time, user},
};
use rookery_api::store::{
    MemberChange, Op, Part, StoreError,
    rows::{MemberRow, Mute, ReadRow, RoomRow, SessionRow, UserRow},
};
use rookery_shared::{
    ids::{RoomId, UserId},
    model::{ChosenStatus, MemberRole},
};

conformance! {
    people_are_found_by_the_beginning_of_either_name,
    a_user_is_replaced_with_all_that_is_new,
    open_sessions_are_listed_newest_first,
    companions_share_a_room_that_is_small_enough,
    what_changes_about_a_membership_is_read_back,
    a_room_is_replaced_by_its_next_version,
    a_change_that_expects_another_version_is_refused,
    the_heir_is_an_owner_then_who_is_there_for_longest,
    a_read_cursor_moves_forward_alone,
    who_read_a_place_and_when_first,
    the_cursors_of_many_rooms_are_read_at_once,
    a_deleted_room_is_purged_of_everything,
}

async fn people_are_found_by_the_beginning_of_either_name(store: Fixture) {
    let named = |name: &str, display: &str| UserRow { display_name: display.into(), ..user(name) };
    let gone = UserRow { deleted_at: Some(time(1)), ..named("annex", "x") };
    let service = UserRow { is_service: true, ..named("anna-bot", "x") };
    let all =
        [named("anna", "Zoe"), named("ben", "Annika"), named("cleo", "Cleo"), named("dan", "ANNE"), gone, service];
    for one in &all {
        store.insert_user(one.clone()).await.expect("inserted");
    }
    let found = async |prefix: &str, part, limit| -> Vec<String> {
        let users = store.find_users(prefix, part, limit).await.expect("read");
        users.into_iter().map(|user| user.username).collect()
    };
    assert_eq!(found("ann", Part::First, 9).await, ["anna", "ben", "dan"]);
    assert_eq!(found("ann", Part::First, 2).await, ["anna", "ben"]);
    assert_eq!(found("ann", Part::After("ben"), 9).await, ["dan"]);
    assert_eq!(found("ann", Part::Before("dan"), 1).await, ["ben"]);
    assert_eq!(found("zo", Part::First, 9).await, ["anna"]);
    assert_eq!(found("", Part::First, 9).await, ["anna", "ben", "cleo", "dan"]);
    assert!(found("nobody", Part::First, 9).await.is_empty());
}

async fn a_user_is_replaced_with_all_that_is_new(store: Fixture) {
    let ada = store.with_user("ada").await;
    let next = UserRow {
        status: ChosenStatus::Invisible,
        status_text: Some("on the train".into()),
        status_at: Some(time(5)),
        is_service: true,
        version: 2,
        ..ada.clone()
    };
    let bot = user("bot");
    store.commit(&[], &[Op::ReplaceUser(next.clone()), Op::InsertUser(bot.clone())]).await.expect("committed");
    assert_eq!(store.users(&[ada.id, bot.id]).await.expect("read"), [Some(next.clone()), Some(bot)]);
    let late = store.commit(&[], &[Op::ReplaceUser(next)]).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
}

async fn open_sessions_are_listed_newest_first(store: Fixture) {
    let ada = UserId::new();
    let mut open: Vec<SessionRow> = (0..3).map(|_| session(ada)).collect();
    open.sort_by_key(|one| std::cmp::Reverse(one.id));
    let over = SessionRow { expires_at: time(10), ..session(ada) };
    let ended = SessionRow { ended_at: Some(time(2)), ..session(ada) };
    for one in open.iter().chain([&over, &ended, &session(UserId::new())]) {
        store.insert_session(one.clone()).await.expect("inserted");
    }
    assert_eq!(store.sessions_of(ada, time(10)).await.expect("read"), open);
}

async fn companions_share_a_room_that_is_small_enough(store: Fixture) {
    let (ada, ben, cleo, dan) = (UserId::new(), UserId::new(), UserId::new(), UserId::new());
    let gone = room("gone");
    store.with_room(&room("small"), &[ada, ben]).await;
    store.with_room(&room("small too"), &[ada, ben, dan]).await;
    store.with_room(&room("large"), &[ada, ben, cleo, dan]).await;
    store.with_room(&gone, &[ada, cleo]).await;
    let deleted = RoomRow { deleted_at: Some(time(1)), version: 2, ..gone };
    store.commit(&[], &[Op::ReplaceRoom(deleted)]).await.expect("deleted");
    let mut found = store.companions(ada, 3, 10).await.expect("read");
    found.sort_unstable();
    let mut expected = [ben, dan];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(store.companions(ada, 3, 1).await.expect("read").len(), 1);
    assert_eq!(store.companions(cleo, 3, 10).await.expect("read"), []);
}

async fn what_changes_about_a_membership_is_read_back(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[ada]).await;
    let changes = [
        MemberChange::Role(MemberRole::Moderator),
        MemberChange::Mute(Some(Mute::Until(time(7)))),
        MemberChange::Hidden(4),
    ];
    let ops = changes.map(|change| Op::UpdateMember(place.id, ada, change));
    store.commit(&[], &ops).await.expect("changed");
    let expected = MemberRow {
        role: MemberRole::Moderator,
        mute: Some(Mute::Until(time(7))),
        hidden_seq: 4,
        ..member(place.id, ada)
    };
    let read = async || store.memberships(&[(place.id, ada)]).await.expect("read");
    assert_eq!(read().await, [Some(expected.clone())]);
    let good = [Op::UpdateMember(place.id, ada, MemberChange::Mute(Some(Mute::ForGood)))];
    store.commit(&[], &good).await.expect("changed");
    assert_eq!(read().await, [Some(MemberRow { mute: Some(Mute::ForGood), ..expected.clone() })]);
    store.commit(&[], &[Op::UpdateMember(place.id, ada, MemberChange::Mute(None))]).await.expect("changed");
    assert_eq!(read().await, [Some(MemberRow { mute: None, ..expected })]);
    let nobody = Op::UpdateMember(place.id, UserId::new(), MemberChange::Hidden(1));
    assert!(matches!(store.commit(&[], &[nobody]).await, Err(StoreError::Stale(_))));
}

async fn a_room_is_replaced_by_its_next_version(store: Fixture) {
    let (place, ada) = (room("old"), UserId::new());
    store.with_room(&place, &[ada]).await;
    let next = RoomRow { name: Some("new".into()), version: 2, ..place.clone() };
    store.commit(&[], &[Op::ReplaceRoom(next.clone())]).await.expect("replaced");
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((next.clone(), 1))], "the count of members stays");
    assert!(matches!(store.commit(&[], &[Op::ReplaceRoom(next.clone())]).await, Err(StoreError::Stale(_))));
    let found = store.visible_rooms(ada, "NEW", Part::First, 9).await.expect("read");
    assert_eq!(found.len(), 1, "it is found by its new name");
    let deleted = RoomRow { deleted_at: Some(time(3)), version: 3, ..next };
    store.commit(&[], &[Op::ReplaceRoom(deleted.clone())]).await.expect("deleted");
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [None]);
    let again = RoomRow { version: 4, ..deleted };
    assert!(matches!(store.commit(&[], &[Op::ReplaceRoom(again)]).await, Err(StoreError::Stale(_))));
}

async fn a_change_that_expects_another_version_is_refused(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[]).await;
    let join = |version| [Op::ExpectRoom(place.id, version), Op::InsertMember(member(place.id, ada))];
    assert!(matches!(store.commit(&[], &join(2)).await, Err(StoreError::Stale(_))));
    assert_eq!(store.memberships(&[(place.id, ada)]).await.expect("read"), [None]);
    store.commit(&[], &join(1)).await.expect("the version is right");
    let nowhere = [Op::ExpectRoom(RoomId::new(), 1)];
    assert!(matches!(store.commit(&[], &nowhere).await, Err(StoreError::Stale(_))));
    assert_eq!(store.rooms(&[place.id]).await.expect("read"), [Some((place, 1))], "expecting changes no version");
}

async fn the_heir_is_an_owner_then_who_is_there_for_longest(store: Fixture) {
    let (ada, ben, cleo, dan) = (user("ada"), user("ben"), user("cleo"), user("dan"));
    let gone = UserRow { deleted_at: Some(time(1)), ..user("gone") };
    for one in [&ada, &ben, &cleo, &dan, &gone] {
        store.insert_user(one.clone()).await.expect("inserted");
    }
    let place = room("r");
    store.commit(&[], &[Op::InsertRoom(place.clone())]).await.expect("made");
    let joins = async |user: &UserRow, role, at, in_seq| {
        let row = MemberRow { role, joined_at: time(at), in_seq, ..member(place.id, user.id) };
        store.commit(&[], &[Op::InsertMember(row)]).await.expect("in");
    };
    joins(&ada, MemberRole::Owner, 1, 1).await;
    let heir = async || store.heir(place.id, ada.id).await.expect("read").map(|heir| heir.user);
    assert_eq!(heir().await, None);
    joins(&gone, MemberRole::Moderator, 1, 2).await;
    assert_eq!(heir().await, None, "nobody inherits after the end");
    joins(&ben, MemberRole::Member, 2, 3).await;
    joins(&cleo, MemberRole::Member, 3, 4).await;
    assert_eq!(heir().await, Some(ben.id));
    joins(&dan, MemberRole::Moderator, 4, 5).await;
    assert_eq!(heir().await, Some(dan.id));
    let owner = [Op::UpdateMember(place.id, cleo.id, MemberChange::Role(MemberRole::Owner))];
    store.commit(&[], &owner).await.expect("promoted");
    assert_eq!(heir().await, Some(cleo.id));
}

fn read(room: RoomId, user: UserId, up_to: u64, at: i64) -> ReadRow {
    ReadRow { room, user, from_seq: 1, up_to, at: time(at) }
}

async fn a_read_cursor_moves_forward_alone(store: Fixture) {
    let (place, ada) = (room("r"), UserId::new());
    store.with_room(&place, &[ada]).await;
    let moves = async |up_to| store.move_read(read(place.id, ada, up_to, 1)).await.expect("written");
    assert_eq!((moves(5).await, moves(3).await, moves(5).await, moves(10_000).await), (true, false, false, true));
    let found = store.memberships(&[(place.id, ada)]).await.expect("read");
    assert_eq!(found[0].as_ref().map(|member| member.read_seq), Some(10_000));
    assert!(!store.move_read(read(place.id, UserId::new(), 7, 1)).await.expect("written"), "nobody's cursor");
}

async fn who_read_a_place_and_when_first(store: Fixture) {
    let (place, ada, ben, late) = (room("r"), UserId::new(), UserId::new(), UserId::new());
    store.with_room(&place, &[ada, ben, late]).await;
    for (user, up_to, at) in [(ben, 3, 10), (ada, 2, 11), (ada, 7, 12), (ben, 9, 20)] {
        assert!(store.move_read(read(place.id, user, up_to, at)).await.expect("written"));
    }
    let newcomer = ReadRow { from_seq: 4, ..read(place.id, late, 9, 30) };
    assert!(store.move_read(newcomer).await.expect("written"));
    let of = async |seq, limit| store.reads_of(place.id, seq, limit).await.expect("read");
    assert_eq!(of(3, 9).await, [(ben, time(10)), (ada, time(12))]);
    assert_eq!(of(8, 9).await, [(ben, time(20)), (late, time(30))]);
    assert_eq!(of(2, 1).await, [(ben, time(10))]);
    assert_eq!(of(10, 9).await, []);
}

async fn the_cursors_of_many_rooms_are_read_at_once(store: Fixture) {
    let (first, second, nobodys) = (room("a"), room("b"), room("c"));
    let (ada, ben) = (UserId::new(), UserId::new());
    store.with_room(&first, &[ada, ben]).await;
    store.with_room(&second, &[ben]).await;
    store.with_room(&nobodys, &[]).await;
    assert!(store.move_read(read(first.id, ada, 7, 1)).await.expect("written"));
    assert!(store.move_read(read(second.id, ben, 3, 1)).await.expect("written"));
    let mut cursors = store.read_cursors(&[second.id, nobodys.id, first.id]).await.expect("read");
    for of in &mut cursors {
        of.sort_unstable_by_key(|(_, up_to)| *up_to);
    }
    assert_eq!(cursors, [vec![(ben, 3)], vec![], vec![(ben, 0), (ada, 7)]]);
    assert!(store.read_cursors(&[]).await.expect("read").is_empty());
}

async fn a_deleted_room_is_purged_of_everything(store: Fixture) {
    use super::fixture::{entry, messages};
    use rookery_api::store::records::{Area, RecordKey, RecordRow};
    use rookery_shared::{envelope::Kind, ids::StreamId};
    let (place, other, ada) = (room("r"), room("other"), UserId::new());
    store.with_room(&place, &[ada]).await;
    store.with_room(&other, &[ada]).await;
    let ban = RecordKey { area: Area::Ban, owner: place.id.0, id: UserId::new().0 };
    let ban = RecordRow { key: ban, place: UserId::new().0, version: 1, data: "{}".into() };
    let log = StreamId::Room(place.id);
    store.commit(&[entry(log, 1, Kind::UserJoined)], &[Op::PutRecord(ban.clone())]).await.expect("put");
    store.append_messages(&messages(place.id, 2..=4, ada)).await.expect("appended");
    store.append_messages(&messages(other.id, 1..=1, ada)).await.expect("appended");
    assert!(store.move_read(read(place.id, ada, 3, 1)).await.expect("written"));
    assert_eq!(store.rooms_to_purge(9).await.expect("read"), []);
    assert_eq!(store.leftover_members(place.id, 9).await.expect("read"), [], "it is not deleted");
    assert_eq!(store.deleted_room(place.id).await.expect("read"), None);
    let deleted = RoomRow { deleted_at: Some(time(3)), deleted_by: Some(ada), version: 2, ..place.clone() };
    store.commit(&[], &[Op::ReplaceRoom(deleted)]).await.expect("deleted");
    assert_eq!(store.rooms_to_purge(9).await.expect("read"), [place.id]);
    assert_eq!(store.leftover_members(place.id, 9).await.expect("read"), [ada]);
    store.commit(&[], &[Op::ForgetMember(place.id, ada)]).await.expect("forgotten");
    assert!(matches!(store.commit(&[], &[Op::ForgetMember(place.id, ada)]).await, Err(StoreError::Stale(_))));
    store.purge_room(place.id, false).await.expect("purged");
    assert_eq!(store.heads(&[log]).await.expect("read"), [0]);
    assert_eq!(store.records(&[ban.key]).await.expect("read"), [None]);
    assert_eq!(store.reads_of(place.id, 1, 9).await.expect("read"), []);
    assert_eq!(store.rooms_to_purge(9).await.expect("read"), [place.id], "it is looked at once more");
    store.purge_room(place.id, true).await.expect("purged");
    assert_eq!(store.rooms_to_purge(9).await.expect("read"), []);
    let row = store.deleted_room(place.id).await.expect("read").expect("the row stays");
    assert_eq!((row.id, row.deleted_at, row.deleted_by), (place.id, Some(time(3)), Some(ada)));
    assert_eq!(store.heads(&[StreamId::Room(other.id)]).await.expect("read"), [1], "others stay");
}
