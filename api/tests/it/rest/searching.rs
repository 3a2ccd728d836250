//! How messages come into the search index and out of it, whatever happens meanwhile.

use super::search::{found, is_found};
use crate::{
    harness::{Cluster, Person, unlimited},
    store::{
        conformance,
        fixture::{self, Fixture},
    },
};
use rookery_api::{
    config::ApiConfig,
    store::{Part, SearchQuery, SharedStore, Store, WantedWord, records::Area},
    writer::{NewMessage, Writer, WriterConfig},
};
use rookery_shared::{
    bus::MemoryBus,
    ids::{MessageId, RoomId, UserId},
    limits::MemoryLimits,
    model::Author,
    testing::poll,
};
use serde_json::Value;
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

conformance! {
    an_edited_message_is_found_by_its_new_words_alone,
    a_deleted_message_is_found_no_more,
    what_a_killed_api_left_is_indexed_by_another,
    what_was_stored_before_there_was_an_index_is_found,
    an_api_that_ends_in_good_order_leaves_nothing_to_others,
}

fn id_of(message: &Value) -> MessageId {
    message["id"].as_str().expect("an id").parse().expect("an id")
}

async fn says(person: &Person, content: &str) -> Value {
    let room = person.makes_public_room().await;
    person.says(&room, content).await
}

async fn an_edited_message_is_found_by_its_new_words_alone(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let message = says(&ada, "first words").await;
    is_found(&ada, "first").await;
    ada.edits(&message, "other words").await.ok();
    assert_eq!(found(&ada, "other").await, ["other words"], "at once");
    assert_eq!(found(&ada, "first").await, [""; 0], "only what it says now");
    assert_eq!(found(&ada, "words").await, ["other words"]);
}

async fn a_deleted_message_is_found_no_more(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let message = says(&ada, "first words").await;
    is_found(&ada, "first").await;
    ada.edits(&message, "other words").await.ok();
    assert!(cluster.store.is_indexed(id_of(&message)).await);
    ada.deletes(&message).await.expect(204);
    for query in ["first", "other", "words"] {
        assert_eq!(found(&ada, query).await, [""; 0], "{query}");
    }
    assert!(!cluster.store.is_indexed(id_of(&message)).await, "nothing of it is left");
}

/// Records of the index: one says that all from before is in it, the others are of one api each.
async fn checkpoints(store: &dyn Store) -> usize {
    store.list_records(Area::Indexer, Uuid::nil(), Part::First, 10).await.expect("read").len()
}

/// One more api on this store, which takes the work of those over that do not keep theirs up.
async fn joined_by(cluster: &mut Cluster, store: SharedStore) {
    let mut config = unlimited();
    config.indexer.keep_every = Duration::from_millis(20);
    config.indexer.takeover_after = Duration::from_millis(100);
    let bus = cluster.bus.clone();
    cluster.add(store, bus, Arc::new(MemoryLimits::new()), config).await;
}

async fn what_a_killed_api_left_is_indexed_by_another(store: Fixture) {
    let whole = store.for_another_api().await;
    // Its index takes nothing in any more, and so it says nothing either: to others it is as good as killed.
    let killed = Arc::new(AtomicBool::new(false));
    let is_killed = killed.clone();
    let store = store.hooked(move |name| {
        let stopped = name == "index" && is_killed.load(Ordering::Relaxed);
        async move { if stopped { pending().await } else { Ok(()) } }
    });
    let mut cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    poll("the first api says how far it is", async || (checkpoints(&*whole).await == 2).then_some(())).await;
    killed.store(true, Ordering::Relaxed);
    says(&ada, "left behind").await;
    joined_by(&mut cluster, whole.clone()).await;
    is_found(&ada, "left").await;
    poll("the record of the killed one goes", async || (checkpoints(&*whole).await == 2).then_some(())).await;
}

async fn what_was_stored_before_there_was_an_index_is_found(store: Fixture) {
    let shared = store.store.clone();
    let writer = Writer::start(shared.clone(), MemoryBus::new().publisher(), WriterConfig::default());
    let room = RoomId::new();
    let author = Arc::new(Author { user_id: UserId::new(), username: None, display_name: "old".into() });
    let old = (0..450).map(|n| NewMessage::text(room, author.clone(), format!("{n}"), format!("old {n}")));
    assert!(writer.send(old.collect()).await.iter().all(Result::is_ok));
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let query = SearchQuery {
        rooms: vec![(room, 1)],
        words: vec![WantedWord { text: "old".into(), prefix: false }],
        sender: None,
        since: None,
        until: None,
        part: Part::First,
        limit: 1_000,
    };
    poll("all that is old is in the index", async || {
        let found = shared.search(&query).await.expect("read");
        (found.len() == 450).then_some(())
    })
    .await;
    drop(cluster);
}

async fn an_api_that_ends_in_good_order_leaves_nothing_to_others(store: Fixture) {
    let whole = store.for_another_api().await;
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    poll("the api says how far it is", async || (checkpoints(&*whole).await == 2).then_some(())).await;
    let room = ada.makes_public_room().await;
    for n in 0..20 {
        ada.says(&room, &format!("goodbye {n}")).await;
    }
    cluster.apis[0].finish().await;
    assert_eq!(found(&ada, "goodbye").await.len(), 20);
    assert_eq!(checkpoints(&*whole).await, 1);
}

#[tokio::test]
async fn what_did_not_fit_into_the_queue_is_found_all_the_same() {
    let mut config: ApiConfig = unlimited();
    config.indexer.queue_bytes = 3_000;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let saying = (0..40).map(|n| {
        let (ada, room) = (ada.clone(), room.clone());
        async move { ada.says(&room, &format!("many {n}")).await }
    });
    futures_util::future::join_all(saying).await;
    poll("all are found", async || (found(&ada, "many").await.len() == 40).then_some(())).await;
}

#[tokio::test]
async fn a_message_that_changes_while_it_is_indexed_is_indexed_as_it_is_then() {
    let (gate, calls) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, counted) = (gate.clone(), calls.clone());
    let store = fixture::sqlite().await.hooked(move |name| {
        let (gate, waits) = (opened.clone(), name == "index");
        counted.fetch_add(usize::from(waits), Ordering::SeqCst);
        async move {
            if waits {
                gate.acquire().await.expect("the gate stays").forget();
            }
            Ok(())
        }
    });
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let called = async |times| {
        poll("words are about to be written", async || (calls.load(Ordering::SeqCst) == times).then_some(())).await;
    };
    let edited = says(&ada, "first words").await;
    called(1).await;
    ada.edits(&edited, "other words").await.ok();
    gate.add_permits(1);
    // The old words were written over the new ones; that is seen, and the new ones are about to be written again.
    called(2).await;
    assert_eq!(found(&ada, "other").await, [""; 0]);
    gate.add_permits(1);
    is_found(&ada, "other").await;
    let deleted = says(&ada, "secret words").await;
    called(3).await;
    ada.deletes(&deleted).await.expect(204);
    gate.add_permits(1);
    // The words of what is deleted were written; that is seen as well.
    called(4).await;
    assert!(cluster.store.is_indexed(id_of(&deleted)).await);
    gate.add_permits(1);
    assert_eq!(found(&ada, "secret").await, [""; 0]);
    poll("no word of it is left", async || (!cluster.store.is_indexed(id_of(&deleted)).await).then_some(())).await;
}
