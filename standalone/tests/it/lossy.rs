//! A bus that loses, doubles and reorders: the feed puts it right from the log, and nobody misses a message.

use crate::harness::{Installation, Person, with_bus};
use reqwest::{Method, StatusCode};
use rookery_shared::{
    bus::{Bus, BusCall, SharedBus},
    envelope::Event,
    ids::StreamId,
};
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

/// Messages that are sent.
const MESSAGES: u64 = 300;

/// Passes on what an api publishes, badly.
struct Lossy {
    inner: SharedBus,
    published: AtomicU64,
    late: Mutex<Vec<Event>>,
}

impl Bus for Lossy {
    fn publish(&self, events: Vec<Event>) {
        for event in events {
            let n = self.published.fetch_add(1, Ordering::SeqCst);
            let mut late = self.late.lock().expect("not poisoned");
            match n % 7 {
                // Lost for good.
                1 | 2 => {}
                // Twice.
                3 => self.inner.publish(vec![event.clone(), event]),
                // Behind those that come after it.
                4 => late.push(event),
                _ => {
                    self.inner.publish(vec![event]);
                    self.inner.publish(std::mem::take(&mut *late));
                }
            }
        }
    }

    fn announce(&self, heads: &[(StreamId, u64)]) {
        self.inner.announce(heads);
    }

    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, Vec<Option<u64>>> {
        self.inner.heads(streams)
    }

    fn subscribe<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, ()> {
        self.inner.subscribe(streams)
    }

    fn unsubscribe(&self, streams: &[StreamId]) {
        self.inner.unsubscribe(streams);
    }

    fn generation(&self) -> BusCall<'_, String> {
        self.inner.generation()
    }

    fn renew_generation(&self) -> BusCall<'_, ()> {
        self.inner.renew_generation()
    }
}

fn lossy(inner: SharedBus) -> SharedBus {
    Arc::new(Lossy { inner, published: AtomicU64::new(0), late: Mutex::default() })
}

async fn all_of_it_in_order(installation: &Installation, people: [&Person; 2], room: &str) {
    let mut sender = people[0].socket(&installation.gateway(0)).await;
    let mut reader = people[1].socket(&installation.gateway(0)).await;
    let mut first = None;
    for n in 0..MESSAGES {
        let data = json!({ "roomId": room, "content": format!("message {n}") });
        let sent = sender.command("send_message", data).await;
        first.get_or_insert(sent["data"]["seq"].as_u64().expect("a seq"));
    }
    let first = first.expect("something was sent");
    for socket in [&mut reader, &mut sender] {
        for seq in first..first + MESSAGES {
            assert_eq!(socket.event("new_message").await["seq"], seq);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_loses_doubles_and_reorders_costs_nobody_a_message() {
    let installation = with_bus(&[("ROOKERY_SWEEP_MILLISECONDS", "200")], lossy).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    all_of_it_in_order(&installation, [&ada, &bob], &room).await;
}

/// Whoever is added while their own stream loses entries follows the room all the same.
#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_added_although_the_bus_loses_that_they_were() {
    let installation = with_bus(&[("ROOKERY_SWEEP_MILLISECONDS", "200")], lossy).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let mut socket = bob.socket(&installation.gateway(0)).await;
    for n in 0..14 {
        let room = ada.make_room("private", &[&bob]).await;
        ada.post(&format!("/rooms/{room}/messages"), json!({ "content": format!("in room {n}") })).await;
        assert_eq!(socket.event("room_added").await["data"]["id"], room.as_str());
        let message = socket.event("new_message").await;
        assert_eq!((&message["roomId"], &message["data"]["content"]), (&json!(room), &json!(format!("in room {n}"))));
    }
}

/// Where a newcomer's part of a room begins was decided when they came, not by what the room is when they hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_more_of_a_room_because_they_heard_late_of_being_in_it() {
    let installation = with_bus(&[("ROOKERY_SWEEP_MILLISECONDS", "200")], lossy).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let mut socket = bob.socket(&installation.gateway(0)).await;
    for _ in 0..7 {
        let room = ada.make_room("private", &[]).await;
        let early = ada.post(&format!("/rooms/{room}/messages"), json!({ "content": "before bob" })).await;
        ada.post(&format!("/rooms/{room}/members"), json!({ "userId": bob.id })).await;
        for (path, change) in [
            (format!("/rooms/{room}"), json!({ "historyFrom": "start" })),
            (format!("/messages/{}", early["id"].as_str().expect("an id")), json!({ "content": "still before" })),
        ] {
            let (status, answer) = ada.request(Method::PATCH, &path, Some(change)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        let edit = socket.event("message_updated").await;
        assert_eq!((&edit["roomId"], &edit["data"]), (&json!(room), &json!(null)));
    }
}
