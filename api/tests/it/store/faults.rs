//! What a caller learns when the MongoDB primary is lost, and that nothing acknowledged is lost with it; and which
//! files are left alone.

use super::fixture::{entry, message, messages};
use rookery_api::store::{SharedStore, StoreError, Stretch, mongo::MongoStore, sqlite::SqliteStore};
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    testing::{MongoServer, poll},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_unavailable_and_what_was_acknowledged_is_there_after_it() {
    let mut server = MongoServer::start().await;
    let store: SharedStore = MongoStore::open(&server.uri(), "faults").await.expect("the store opens");
    let (room, ada) = (RoomId::new(), UserId::new());
    let said = messages(room, 1..=50, ada);
    store.append_messages(&said).await.expect("appended");

    server.kill();
    assert_unavailable(&store, room).await;

    server.restart().await;
    poll("the store is ready", async || store.ready().await.ok()).await;
    let found = store.entries(StreamId::Room(room), Stretch::After(0), 100, true).await.expect("read");
    assert_eq!(found.into_iter().filter_map(|entry| entry.message).collect::<Vec<_>>(), said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_stops_answering_is_unavailable() {
    let server = MongoServer::start().await;
    let store: SharedStore = MongoStore::open(&server.uri(), "faults").await.expect("the store opens");
    let room = RoomId::new();
    store.append_messages(&messages(room, 1..=1, UserId::new())).await.expect("appended");

    server.pause();
    assert_unavailable(&store, room).await;

    server.resume();
    poll("the store is ready", async || store.ready().await.ok()).await;
    // What had no answer may have happened since, or not; the store goes on either way.
    let head = store.heads(&[StreamId::Room(room)]).await.expect("read")[0];
    let next = [message(room, head + 1, UserId::new())];
    let appended = store.append_messages(&next).await.expect("decided");
    assert_ne!(appended.committed == 1, appended.clashed);
}

/// Every sort of call says so, and says it instead of waiting for ever: the test has no other clock than that.
async fn assert_unavailable(store: &SharedStore, room: RoomId) {
    let (said, changed) = ([message(room, 51, UserId::new())], [entry(StreamId::Room(room), 52, Kind::RoomUpdated)]);
    let log = [StreamId::Room(room)];
    let (appended, committed, heads, ready) =
        tokio::join!(store.append_messages(&said), store.commit(&changed, &[]), store.heads(&log), store.ready(),);
    assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
    assert!(matches!(committed, Err(StoreError::Unavailable(_))), "{committed:?}");
    assert!(matches!(heads, Err(StoreError::Unavailable(_))), "{heads:?}");
    assert!(matches!(ready, Err(StoreError::Unavailable(_))), "{ready:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path).await.expect("the store opens"));
    let file = rusqlite::Connection::open(&path).expect("the file opens");
    file.pragma_update(None, "user_version", 99).expect("written");
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Failed(_))));
    let version: u32 = file.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    assert_eq!(version, 99);
}
