//! How the writer shares its time: what it asks the store for, and who waits for whom.

use crate::store::fixture;
use rookery_api::{
    store::StoreError,
    writer::{Heads, NewMessage, Planned, SendError, Writer, WriterConfig},
};
use rookery_shared::{
    bus::MemoryBus,
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    model::Author,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, Semaphore};

fn one_shard() -> WriterConfig {
    WriterConfig { shards: 1, ..WriterConfig::default() }
}

fn author() -> Arc<Author> {
    Arc::new(Author { user_id: UserId::new(), username: Some("ada".into()), display_name: "Ada".into() })
}

/// How often each call of a store was made.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<HashMap<&'static str, usize>>>);

impl Calls {
    fn count(&self, name: &'static str) {
        *self.0.lock().expect("no panic").entry(name).or_default() += 1;
    }

    fn take(&self) -> HashMap<&'static str, usize> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

#[tokio::test]
async fn the_heads_of_many_rooms_that_others_wrote_in_are_learned_at_once() {
    let calls = Calls::default();
    let fixture = fixture::sqlite().await;
    let other = Writer::start(fixture.store.clone(), MemoryBus::new().publisher(), one_shard());
    let counted = calls.clone();
    let fixture = fixture.hooked(move |name| {
        counted.count(name);
        async { Ok(()) }
    });
    let writer = Writer::start(fixture.store.clone(), MemoryBus::new().publisher(), one_shard());
    let (author, rooms): (_, Vec<_>) = (author(), (0..20).map(|_| RoomId::new()).collect());
    let said = |client_id: &str| -> Vec<NewMessage> {
        rooms.iter().map(|room| NewMessage::text(*room, author.clone(), client_id, "words")).collect()
    };
    for (writer, client_id) in [(&writer, "1"), (&other, "2")] {
        assert!(writer.send(said(client_id)).await.iter().all(Result::is_ok));
    }
    calls.take();
    for answer in writer.send(said("3")).await {
        assert_eq!(answer.expect("stored").row.seq, 3);
    }
    let made = calls.take();
    assert_eq!((made["heads"], made["messages_by_client_id"], made["append_messages"]), (1, 1, 2));
}

#[tokio::test]
async fn what_waits_behind_a_batch_that_met_an_unavailable_store_is_refused_with_it() {
    let (reached, held, calls) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)), Calls::default());
    let hook = {
        let (reached, held, calls) = (reached.clone(), held.clone(), calls.clone());
        move |name| {
            calls.count(name);
            let (reached, held) = (reached.clone(), held.clone());
            async move {
                reached.notify_one();
                held.acquire().await.expect("is open").forget();
                Err(StoreError::Unavailable("lost".into()))
            }
        }
    };
    let fixture = fixture::sqlite().await.hooked(hook);
    let writer = Writer::start(fixture.store.clone(), MemoryBus::new().publisher(), one_shard());
    let author = author();
    let message = || NewMessage::text(RoomId::new(), author.clone(), "1", "words");
    let first = tokio::spawn({
        let (writer, message) = (writer.clone(), message());
        async move { writer.send(vec![message]).await }
    });
    reached.notified().await;
    let others = writer.send((0..10).map(|_| message()).collect());
    // The others are in the queue before the first batch learns of it: they are polled first.
    let (others, ()) = tokio::join!(others, async { held.add_permits(100) });
    assert_eq!(first.await.expect("no panic")[0].as_ref().err(), Some(&SendError::NotWritten));
    assert!(others.iter().all(|answer| matches!(answer, Err(SendError::NotWritten))));
    assert_eq!(calls.take(), HashMap::from([("heads", 1)]), "one look at the store was enough");
}

#[tokio::test]
async fn a_slow_job_holds_up_the_messages_of_its_own_room_and_no_others() {
    let fixture = fixture::sqlite().await;
    let writer = Writer::start(fixture.store.clone(), MemoryBus::new().publisher(), one_shard());
    let (reached, held, author) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)), author());
    let (busy, other) = (RoomId::new(), RoomId::new());
    let message = |room, client_id: &str| NewMessage::text(room, author.clone(), client_id, "words");
    let changing = tokio::spawn({
        let (writer, reached, held) = (writer.clone(), reached.clone(), held.clone());
        async move {
            let decide = move |mut heads: Heads| {
                let (reached, held) = (reached.clone(), held.clone());
                async move {
                    reached.notify_one();
                    held.acquire().await.expect("is open").forget();
                    let entry = heads.entry(StreamId::Room(busy), Kind::RoomUpdated, busy.0, 0);
                    Ok(Planned { value: entry.seq, entries: vec![entry], ops: Vec::new() })
                }
            };
            writer.change(vec![StreamId::Room(busy)], decide).await
        }
    });
    reached.notified().await;
    let waiting = tokio::spawn({
        let (writer, messages) = (writer.clone(), vec![message(busy, "1"), message(busy, "2")]);
        async move { writer.send(messages).await }
    });
    for client_id in ["1", "2"] {
        assert!(writer.send(vec![message(other, client_id)]).await[0].is_ok());
    }
    assert!(!waiting.is_finished());
    held.add_permits(100);
    assert_eq!(changing.await.expect("no panic"), Ok(1));
    let seqs: Vec<_> = waiting.await.expect("no panic").into_iter().map(|sent| sent.expect("stored").row.seq).collect();
    assert_eq!(seqs, [2, 3]);
}
