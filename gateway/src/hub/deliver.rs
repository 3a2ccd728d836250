//! From the feed to the followers: what each entry means for who follows the stream, and what a feed wants done.

use super::{
    connection::Connection,
    core::{Core, State},
    flush::put_pending,
    newcomers::hidden,
    stream::Until,
};
use crate::{feed::Need, session};
use bytes::BytesMut;
use rookery_shared::{
    backend::EntriesAfter,
    envelope::{Event, Kind},
    ids::{RoomId, SessionId, StreamId, UserId},
    protocol::CloseReason,
};
use std::{rc::Rc, time::Duration};
use tokio::{task::spawn_local, time::sleep};

/// How long an entry that came too early waits for the one before it.
const REORDER: Duration = Duration::from_millis(25);

/// How long before a fetch that failed is tried again, plus up to as much at random.
const FETCH_AGAIN: Duration = Duration::from_millis(250);

/// Entries in one fetch.
pub const FETCH_LIMIT: u32 = 500;

/// Bytes of live entries that may queue behind a catch-up.
const MAX_QUEUED_BYTES: usize = 1024 * 1024;

impl Core {
    /// An event came in from the bus.
    pub fn event(self: &Rc<Self>, event: Event) {
        let mut state = self.state.borrow_mut();
        let Some(&slot) = state.by_id.get(&event.header.stream) else { return };
        if !event.header.kind.is_durable() {
            self.ephemeral(&mut state, slot, &event);
            return;
        }
        if event.header.published_at != 0 {
            let age = rookery_shared::clock::micros().saturating_sub(event.header.published_at);
            #[expect(clippy::cast_precision_loss, reason = "a delay in microseconds has few digits")]
            metrics::histogram!("rookery_publish_to_deliver_seconds").record(age as f64 / 1e6);
        }
        let mut out = Vec::new();
        let need = state.streams[slot as usize].feed.event(event, &mut out);
        self.handed_out(&mut state, slot, out);
        self.meet(&state, slot, need);
    }

    /// The head of a stream is known, or known to have got further.
    pub fn reached(self: &Rc<Self>, state: &mut State, slot: u32, head: u64) {
        let mut out = Vec::new();
        let Some(stream) = state.streams.get_mut(slot as usize) else { return };
        let need = stream.feed.opened(head, &mut out);
        self.handed_out(state, slot, out);
        self.meet(state, slot, need);
    }

    /// Entries that the feed has handed out, in order.
    pub fn handed_out(self: &Rc<Self>, state: &mut State, slot: u32, entries: Vec<Event>) {
        if entries.is_empty() {
            return;
        }
        for event in entries {
            self.admit(state, slot, event.header.seq);
            if !state.typing.is_empty() && event.header.kind == Kind::Message {
                self.typing_ends(state, slot, UserId(event.header.subject));
            }
            if !self.tell_apart(state, slot, &event) {
                put_pending(state, slot, &event);
            }
            queue_behind(state, slot, &event);
            self.effect(state, slot, &event);
            let ring = state.streams[slot as usize].ring;
            state.rings.push(ring, event);
        }
        let next = state.streams[slot as usize].feed.delivered() + 1;
        self.admit(state, slot, next);
        // Entries that came through a fetch find the loop asleep.
        self.wake.notify_one();
    }

    /// Makes members of those who waited for the feed to come to the place before `seq`.
    fn admit(self: &Rc<Self>, state: &mut State, slot: u32, seq: u64) {
        let stream = &mut state.streams[slot as usize];
        let due = |until: &Until| matches!(until, Until::Place(place) if *place < seq);
        if !stream.busy.as_ref().is_some_and(|busy| busy.attaching.iter().any(|one| due(&one.until))) {
            return;
        }
        self.flush_now(state, slot);
        let stream = &mut state.streams[slot as usize];
        let attaching = std::mem::take(&mut stream.busy().attaching);
        let (now, later): (Vec<_>, Vec<_>) = attaching.into_iter().partition(|one| due(&one.until));
        stream.busy().attaching = later;
        stream.members.extend(now.into_iter().map(|one| one.connection));
    }

    /// What an entry means beyond being told.
    fn effect(self: &Rc<Self>, state: &mut State, slot: u32, event: &Event) {
        match (event.header.kind, event.header.stream) {
            (Kind::UserLeft, StreamId::Room(_)) => {
                // The leaver is told too; nothing after it reaches them.
                self.flush_now(state, slot);
                let user = UserId(event.header.subject);
                let room = state.streams[slot as usize].id.room();
                let stream = &mut state.streams[slot as usize];
                stream.member_count = stream.member_count.saturating_sub(1);
                for connection in self.followers(state, slot) {
                    if connection.user() == Some(user) {
                        self.detach(state, &connection, slot);
                        if let Some(room) = room {
                            session::recheck(self, &connection, room, event.header.seq);
                        }
                    }
                }
            }
            (Kind::UserJoined, StreamId::Room(_)) => {
                let stream = &mut state.streams[slot as usize];
                stream.member_count = stream.member_count.saturating_add(1);
            }
            (_, StreamId::User(_)) => {
                self.flush_now(state, slot);
                for connection in self.followers(state, slot) {
                    self.effect_on(state, &connection, event);
                }
            }
            _ => {}
        }
    }

    /// What an entry of a user's stream means for one of the user's connections, which has been told.
    fn effect_on(self: &Rc<Self>, state: &mut State, connection: &Rc<Connection>, event: &Event) {
        let header = &event.header;
        let room = RoomId(header.subject);
        match header.kind {
            Kind::RoomAdded => session::follow_added_room(self, connection, room, header.ref_seq),
            Kind::RoomRemoved => {
                let Some(&slot) = state.by_id.get(&StreamId::Room(room)) else { return };
                if state.streams[slot as usize].feed.delivered() < header.ref_seq {
                    // The room's own log ends the following, at its place; see that it gets there.
                    self.reached(state, slot, header.ref_seq);
                } else if connection.follows.borrow().contains(&slot) {
                    // The log has passed that place. Whether they follow by mistake or because they came back since,
                    // only the store can say.
                    session::recheck(self, connection, room, header.ref_seq);
                }
            }
            Kind::RoomDeleted => {
                if let Some(&slot) = state.by_id.get(&StreamId::Room(room)) {
                    self.detach(state, connection, slot);
                }
            }
            Kind::SessionEnded => {
                let ended = SessionId(header.subject);
                if connection.live().is_some_and(|live| ended == SessionId::NIL || live.session == ended) {
                    state.condemned.push((connection.clone(), CloseReason::SessionEnded));
                }
            }
            _ => {}
        }
    }

    /// The connections at the feed's place.
    pub fn followers(&self, state: &State, slot: u32) -> Vec<Rc<Connection>> {
        let members = &state.streams[slot as usize].members;
        members.iter().filter_map(|member| state.connections.get(*member as usize).cloned()).collect()
    }

    /// Does what a feed wants.
    pub fn meet(self: &Rc<Self>, state: &State, slot: u32, need: Need) {
        let Some(stream) = state.streams.get(slot as usize) else { return };
        let ring = stream.ring;
        match need {
            Need::Nothing => {}
            Need::Wait => {
                let core = self.clone();
                spawn_local(async move {
                    sleep(REORDER).await;
                    core.with_stream(slot, ring, |core, state| {
                        let need = state.streams[slot as usize].feed.waited();
                        core.meet(state, slot, need);
                    });
                });
            }
            Need::Fetch { after } => {
                let fetch = self.node.entries(EntriesAfter { stream: stream.id, after, limit: FETCH_LIMIT });
                let core = self.clone();
                spawn_local(async move {
                    let result = fetch.await;
                    if result.is_err() {
                        sleep(FETCH_AGAIN + FETCH_AGAIN.mul_f64(rand::random::<f64>())).await;
                    }
                    core.with_stream(slot, ring, |core, state| {
                        let mut out = Vec::new();
                        let feed = &mut state.streams[slot as usize].feed;
                        let need = match result {
                            Ok(entries) => feed.fetched(entries.to_vec(), &mut out),
                            Err(_) => feed.fetch_failed(),
                        };
                        core.handed_out(state, slot, out);
                        core.meet(state, slot, need);
                    });
                });
            }
        }
    }

    /// Runs something on a stream, if it is still the one that it was.
    pub fn with_stream(self: &Rc<Self>, slot: u32, ring: u64, work: impl FnOnce(&Rc<Self>, &mut State)) {
        let mut state = self.state.borrow_mut();
        if state.streams.get(slot as usize).is_some_and(|stream| stream.ring == ring) {
            work(self, &mut state);
        }
    }

    /// Writes entries of a stream to one connection that catches up, with what they mean for it. Stops at one that ends
    /// its membership of the room; returns the place of such a one.
    pub fn write_entries(
        self: &Rc<Self>,
        state: &mut State,
        connection: &Rc<Connection>,
        slot: u32,
        entries: &[Event],
    ) -> Option<u64> {
        let from = state.streams[slot as usize].newcomers.from(connection.slot);
        let user = connection.user();
        let left = |event: &Event| event.header.kind == Kind::UserLeft && user == Some(UserId(event.header.subject));
        let end = entries.iter().position(left);
        let entries = &entries[..end.map_or(entries.len(), |end| end + 1)];
        let mut frames = BytesMut::new();
        for event in entries {
            if event.header.is_hidden(from) {
                connection.transport.put_event(&hidden(event), &mut frames);
            } else {
                connection.transport.put_event(event, &mut frames);
            }
        }
        if !frames.is_empty() {
            self.write_bytes(connection, &frames.freeze());
        }
        for event in entries.iter().filter(|event| matches!(event.header.stream, StreamId::User(_))) {
            self.effect_on(state, connection, event);
        }
        // Who was found too slow, or signed out, is closed by the loop.
        self.wake.notify_one();
        end.and_then(|end| entries.get(end)).map(|event| event.header.seq)
    }
}

/// Live entries queue behind the catch-up of those who still wait for it.
fn queue_behind(state: &mut State, slot: u32, event: &Event) {
    let Some(busy) = &mut state.streams[slot as usize].busy else { return };
    for one in &mut busy.attaching {
        if let Until::Fetched { queued, bytes, .. } = &mut one.until {
            *bytes += event.data.len();
            queued.push(event.clone());
            if *bytes > MAX_QUEUED_BYTES
                && let Some(connection) = state.connections.get(one.connection as usize)
            {
                state.condemned.push((connection.clone(), CloseReason::SlowConsumer));
            }
        }
    }
}
