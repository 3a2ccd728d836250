//! Accounts and sessions.

use super::{
    conformance,
    fixture::{Fixture, room, session, time, user},
};
use rookery_api::store::{Op, Part, StoreError, Unique, rows::UserRow};
use rookery_shared::{
    ids::{SessionId, UserId},
    model::{Role, UserType},
};

conformance! {
    a_user_is_read_back_as_written,
    users_come_in_the_order_asked,
    a_taken_name_or_address_is_named,
    a_user_is_found_by_name_and_by_address,
    replacing_a_user_needs_the_version_before,
    replacing_a_user_cannot_take_anothers_name_or_address,
    another_admin_is_found_while_there_is_one,
    a_deleted_member_keeps_a_place_among_the_others,
    a_session_is_read_back_as_written,
    replacing_a_session_needs_the_version_before,
    one_session_ends_alone,
    all_sessions_end_but_the_excepted_one,
    an_ended_session_stays_as_it_is,
}

async fn a_user_is_read_back_as_written(store: Fixture) {
    let full = UserRow {
        password_hash: Some("$argon2id$".into()),
        first_name: Some("Ada".into()),
        last_name: Some("L".into()),
        bio: Some("bio".into()),
        profile_picture: Some("https://example.org/a.png".into()),
        user_type: UserType::Support,
        role: Role::Admin,
        deleted_at: Some(time(5)),
        version: 3,
        ..user("Ada")
    };
    let bare = user("Bo");
    for user in [&full, &bare] {
        store.insert_user(user.clone()).await.expect("inserted");
    }
    assert_eq!(store.users(&[full.id, bare.id]).await.expect("read"), [Some(full), Some(bare)]);
}

async fn users_come_in_the_order_asked(store: Fixture) {
    let (ada, bo) = (store.with_user("ada").await, store.with_user("bo").await);
    let found = store.users(&[bo.id, UserId::new(), ada.id, bo.id]).await.expect("read");
    assert_eq!(found, [Some(bo.clone()), None, Some(ada), Some(bo)]);
    assert_eq!(store.users(&[]).await.expect("read"), []);
}

async fn a_taken_name_or_address_is_named(store: Fixture) {
    let ada = store.with_user("ada").await;
    let same_name = UserRow { username_key: ada.username_key.clone(), ..user("x") };
    let same_address = UserRow { email_key: ada.email_key.clone(), ..user("y") };
    let same_id = UserRow { id: ada.id, ..user("z") };
    for (user, expected) in [(same_name, Unique::Username), (same_address, Unique::Email), (same_id, Unique::Other)] {
        let id = user.id;
        match store.insert_user(user).await {
            Err(StoreError::Taken(unique)) => assert_eq!(unique, expected),
            other => panic!("expected {expected}, got {other:?}"),
        }
        if id != ada.id {
            assert_eq!(store.users(&[id]).await.expect("read"), [None]);
        }
    }
    assert_eq!(store.users(&[ada.id]).await.expect("read"), [Some(ada)]);
}

async fn a_user_is_found_by_name_and_by_address(store: Fixture) {
    let ada = store.with_user("Ada").await;
    assert_eq!(store.user_by_key("ada").await.expect("read"), Some(ada.clone()));
    assert_eq!(store.user_by_key("ada@example.org").await.expect("read"), Some(ada.clone()));
    assert_eq!(store.user_by_key("Ada").await.expect("read"), None);
    // Were one's name another's address, the name would win.
    let odd = UserRow { username_key: "ada@example.org".into(), ..user("odd") };
    store.insert_user(odd.clone()).await.expect("inserted");
    assert_eq!(store.user_by_key("ada@example.org").await.expect("read"), Some(odd));
}

async fn replacing_a_user_needs_the_version_before(store: Fixture) {
    let ada = store.with_user("ada").await;
    let renamed =
        UserRow { username: "Eve".into(), username_key: "eve".into(), bio: Some("b".into()), version: 2, ..ada };
    store.replace_user(renamed.clone()).await.expect("replaced");
    assert_eq!(store.users(&[renamed.id]).await.expect("read"), [Some(renamed.clone())]);
    for version in [1, 2, 4] {
        let stale = UserRow { version, bio: None, ..renamed.clone() };
        assert!(matches!(store.replace_user(stale).await, Err(StoreError::Stale(_))));
    }
    assert!(matches!(store.replace_user(user("nobody")).await, Err(StoreError::Stale(_))));
    assert_eq!(store.users(&[renamed.id]).await.expect("read"), [Some(renamed)]);
    // The old name is free again.
    store.insert_user(UserRow { email_key: "other".into(), ..user("ada") }).await.expect("inserted");
}

async fn replacing_a_user_cannot_take_anothers_name_or_address(store: Fixture) {
    let (ada, bo) = (store.with_user("ada").await, store.with_user("bo").await);
    let name = UserRow { username_key: ada.username_key.clone(), version: 2, ..bo.clone() };
    assert!(matches!(store.replace_user(name).await, Err(StoreError::Taken(Unique::Username))));
    let address = UserRow { email_key: ada.email_key.clone(), version: 2, ..bo.clone() };
    assert!(matches!(store.replace_user(address).await, Err(StoreError::Taken(Unique::Email))));
    assert_eq!(store.users(&[bo.id]).await.expect("read"), [Some(bo)]);
}

async fn another_admin_is_found_while_there_is_one(store: Fixture) {
    let admin = |name: &str| UserRow { role: Role::Admin, ..user(name) };
    let (one, other, gone) = (admin("one"), admin("other"), UserRow { deleted_at: Some(time(9)), ..admin("gone") });
    for user in [&user("nobody"), &one, &gone] {
        store.insert_user(user.clone()).await.expect("inserted");
    }
    assert_eq!(store.other_admin(one.id).await.expect("read"), None);
    store.insert_user(other.clone()).await.expect("inserted");
    assert_eq!(store.other_admin(one.id).await.expect("read"), Some(other.clone()));
    assert_eq!(store.other_admin(other.id).await.expect("read"), Some(one.clone()));
    store.replace_user(UserRow { role: Role::User, version: 2, ..other }).await.expect("replaced");
    assert_eq!(store.other_admin(one.id).await.expect("read"), None);
}

async fn a_deleted_member_keeps_a_place_among_the_others(store: Fixture) {
    let (ada, bo, eve) = (store.with_user("ada").await, store.with_user("bo").await, store.with_user("eve").await);
    let room = room("a room");
    store.with_room(&room, &[ada.id, bo.id, eve.id]).await;
    let gone = UserRow { username_key: "deleted:1".into(), deleted_at: Some(time(5)), version: 2, ..ada };
    store.replace_user(gone.clone()).await.expect("replaced");
    let mut walked = Vec::new();
    let mut part = Part::First;
    loop {
        let page = store.members(room.id, part.as_deref(), 1).await.expect("read");
        let Some((_, user)) = page.into_iter().next() else { break };
        part = Part::After(user.username_key.clone());
        walked.push(user.id);
    }
    assert_eq!(walked, [bo.id, gone.id, eve.id]);
}

async fn a_session_is_read_back_as_written(store: Fixture) {
    let mut full = session(UserId::new());
    full.previous_hash = Some(vec![2; 32]);
    full.previous_used = true;
    full.device = Some("a browser".into());
    full.ended_at = Some(time(8));
    let bare = session(full.user);
    for session in [&full, &bare] {
        store.insert_session(session.clone()).await.expect("inserted");
        assert_eq!(store.session(session.id).await.expect("read").as_ref(), Some(session));
    }
    assert_eq!(store.session(SessionId::new()).await.expect("read"), None);
    assert!(matches!(store.insert_session(bare).await, Err(StoreError::Taken(Unique::Other))));
}

async fn replacing_a_session_needs_the_version_before(store: Fixture) {
    let mut row = session(UserId::new());
    store.insert_session(row.clone()).await.expect("inserted");
    row.refresh_hash = vec![9; 32];
    row.previous_hash = Some(vec![1; 32]);
    row.version = 2;
    store.replace_session(row.clone()).await.expect("replaced");
    assert!(matches!(store.replace_session(row.clone()).await, Err(StoreError::Stale(_))));
    assert_eq!(store.session(row.id).await.expect("read"), Some(row));
    assert!(matches!(store.replace_session(session(UserId::new())).await, Err(StoreError::Stale(_))));
}

async fn one_session_ends_alone(store: Fixture) {
    let [one, other] = two_sessions(&store).await;
    let end = Op::EndSessions { user: one.user, only: Some(one.id), except: None, at: time(4) };
    store.commit(&[], &[end]).await.expect("committed");
    let ended = store.session(one.id).await.expect("read").expect("there");
    assert_eq!((ended.ended_at, ended.version), (Some(time(4)), 2));
    assert_eq!(store.session(other.id).await.expect("read"), Some(other.clone()));
    // Another user's session does not end by being named.
    let foreign = Op::EndSessions { user: UserId::new(), only: Some(other.id), except: None, at: time(4) };
    store.commit(&[], &[foreign]).await.expect("committed");
    assert_eq!(store.session(other.id).await.expect("read"), Some(other));
}

async fn all_sessions_end_but_the_excepted_one(store: Fixture) {
    let [one, other] = two_sessions(&store).await;
    let foreign = session(UserId::new());
    store.insert_session(foreign.clone()).await.expect("inserted");
    let end = Op::EndSessions { user: one.user, only: None, except: Some(other.id), at: time(4) };
    store.commit(&[], &[end]).await.expect("committed");
    assert_eq!(store.session(one.id).await.expect("read").expect("there").ended_at, Some(time(4)));
    assert_eq!(store.session(other.id).await.expect("read").expect("there").ended_at, None);
    let end = Op::EndSessions { user: one.user, only: None, except: None, at: time(5) };
    store.commit(&[], &[end]).await.expect("committed");
    assert_eq!(store.session(other.id).await.expect("read").expect("there").ended_at, Some(time(5)));
    assert_eq!(store.session(foreign.id).await.expect("read"), Some(foreign));
}

async fn an_ended_session_stays_as_it_is(store: Fixture) {
    let [one, _] = two_sessions(&store).await;
    for at in [time(4), time(5)] {
        let end = Op::EndSessions { user: one.user, only: None, except: None, at };
        store.commit(&[], &[end]).await.expect("committed");
    }
    let ended = store.session(one.id).await.expect("read").expect("there");
    assert_eq!((ended.ended_at, ended.version), (Some(time(4)), 2));
}

async fn two_sessions(store: &Fixture) -> [rookery_api::store::rows::SessionRow; 2] {
    let one = session(UserId::new());
    let other = session(one.user);
    for session in [&one, &other] {
        store.insert_session(session.clone()).await.expect("inserted");
    }
    [one, other]
}
