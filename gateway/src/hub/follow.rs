//! Following: opening a stream on a core, attaching a connection at a place, leaving.
//!
//! The order is what makes it safe: the stream's feed holds events before the subscription stands, the subscription
//! stands before the head is read, and the head is read before anyone is attached.

use super::{
    connection::Connection,
    core::{Core, State},
    deliver::FETCH_LIMIT,
    stream::{Attaching, Stream, Until},
};
use crate::{feed::ring::settle, session};
use rookery_shared::{
    backend::EntriesAfter,
    envelope::Event,
    ids::StreamId,
    protocol::{CloseReason, Code, Problem},
};
use std::{collections::HashMap, rc::Rc, time::Duration};
use tokio::{sync::oneshot, task::spawn_local, time::sleep};

/// Where a connection comes into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// It gets what comes after this place …
    pub after: u64,
    /// … and this is the first place that its user may see.
    pub from: u64,
}

impl Position {
    /// After a place, but nothing from before the first that may be seen.
    pub fn after(place: u64, from: u64) -> Self {
        Self { after: place.max(from.saturating_sub(1)), from }
    }
}

/// Streams that are open and stay so while this lives.
pub struct Pins {
    core: Rc<Core>,
    /// Places in the core's table, with the streams' numbers.
    slots: Vec<(StreamId, u32)>,
}

impl Pins {
    /// The places of the pinned streams, in the order in which they were asked for.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().map(|(_, slot)| *slot)
    }

    /// The place of the first.
    pub fn first(&self) -> Option<u32> {
        self.slots().next()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut state = self.core.state.borrow_mut();
        for (_, slot) in &self.slots {
            state.streams[*slot as usize].pins -= 1;
            self.core.note_if_empty(&mut state, *slot);
        }
    }
}

impl Core {
    /// Pins streams; those that this core did not know begin to hold events.
    pub fn pin(self: &Rc<Self>, streams: &[StreamId]) -> Pins {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let mut slots = Vec::with_capacity(streams.len());
        for id in streams {
            let slot = *state.by_id.entry(*id).or_insert_with(|| {
                state.next_number += 1;
                u32::try_from(state.streams.insert(Stream::opening(*id, state.next_number))).unwrap_or(u32::MAX)
            });
            let stream = &mut state.streams[slot as usize];
            stream.pins += 1;
            stream.empty_since = None;
            slots.push((*id, slot));
        }
        Pins { core: self.clone(), slots }
    }

    /// Opens pinned streams: returns when the feed of each has its place. `known` gives heads that the caller has
    /// read after the subscriptions stood; the rest are asked for.
    pub async fn open(
        self: &Rc<Self>,
        pins: &Pins,
        subscribed: bool,
        known: &HashMap<StreamId, u64>,
    ) -> Result<(), Problem> {
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        {
            let mut state = self.state.borrow_mut();
            for (id, slot) in &pins.slots {
                let stream = &mut state.streams[*slot as usize];
                if !stream.feed.is_opening() {
                    continue;
                }
                if stream.claimed {
                    let (tell, opened) = oneshot::channel();
                    stream.busy().openers.push(tell);
                    others.push(opened);
                } else {
                    stream.claimed = true;
                    mine.push((*id, *slot));
                }
            }
        }
        let result = self.open_mine(&mine, subscribed, known).await;
        {
            // Whatever came of it, nobody waits for this task any longer; after a failure the next one may try.
            let mut state = self.state.borrow_mut();
            for (_, slot) in &mine {
                let stream = &mut state.streams[*slot as usize];
                stream.claimed = false;
                let opened = !stream.feed.is_opening();
                for opener in stream.busy.as_mut().map(|busy| std::mem::take(&mut busy.openers)).unwrap_or_default() {
                    if opened {
                        let _ = opener.send(());
                    }
                }
                state.settled.push(*slot);
            }
        }
        result?;
        for opened in others {
            opened.await.map_err(|_| Problem::from(Code::Unavailable))?;
        }
        Ok(())
    }

    async fn open_mine(
        self: &Rc<Self>,
        mine: &[(StreamId, u32)],
        subscribed: bool,
        known: &HashMap<StreamId, u64>,
    ) -> Result<(), Problem> {
        if mine.is_empty() {
            return Ok(());
        }
        let streams: Vec<StreamId> = mine.iter().map(|(id, _)| *id).collect();
        if !subscribed {
            self.subscribe(streams.clone()).await?;
        }
        let mut heads = known.clone();
        let unknown: Vec<StreamId> = streams.iter().filter(|id| !known.contains_key(id)).copied().collect();
        if !unknown.is_empty() {
            let found = self.node.heads(unknown.clone()).await.map_err(|_| Problem::from(Code::Unavailable))??;
            heads.extend(unknown.into_iter().zip(found));
        }
        let mut state = self.state.borrow_mut();
        for (id, slot) in mine {
            let head = heads.get(id).copied().ok_or(Problem::from(Code::Internal))?;
            self.reached(&mut state, *slot, head);
        }
        Ok(())
    }

    /// Has the node subscribe to streams; returns when the subscriptions stand.
    pub async fn subscribe(&self, streams: Vec<StreamId>) -> Result<(), Problem> {
        self.node.follow(self.index, streams).await.map_err(|_| Code::Unavailable.into())
    }

    /// Makes a connection follow an open stream from a position on. Following twice changes nothing.
    pub fn attach(self: &Rc<Self>, state: &mut State, connection: &Rc<Connection>, slot: u32, position: Position) {
        if connection.is_closing() || connection.follows.borrow().contains(&slot) {
            return;
        }
        connection.follows.borrow_mut().push(slot);
        let stream = &mut state.streams[slot as usize];
        stream.empty_since = None;
        let (delivered, ring) = (stream.feed.delivered(), stream.ring);
        let Position { after: at, from } = position;
        stream.newcomers.add(connection.slot, from);
        if at > delivered {
            stream.busy().attaching.push(Attaching { connection: connection.slot, until: Until::Place(at) });
            // Who names a place has it from the store; the feed is only late.
            self.reached(state, slot, at);
            return;
        }
        if at == delivered {
            self.flush_now(state, slot);
            state.streams[slot as usize].members.push(connection.slot);
            return;
        }
        if let Some(entries) = state.rings.after(ring, at) {
            self.flush_now(state, slot);
            self.let_in(state, connection, slot, &entries);
            return;
        }
        state.next_number += 1;
        let ticket = state.next_number;
        let until = Until::Fetched { ticket, queued: Vec::new(), bytes: 0 };
        state.streams[slot as usize].busy().attaching.push(Attaching { connection: connection.slot, until });
        spawn_local(self.clone().catch_up(connection.clone(), (slot, ring), ticket, (at, delivered)));
    }

    /// Fetches what a connection has missed of a stream, (cursor, place], then lets it in behind what queued.
    async fn catch_up(
        self: Rc<Self>,
        connection: Rc<Connection>,
        (slot, ring): (u32, u64),
        ticket: u64,
        (mut cursor, place): (u64, u64),
    ) {
        let Some(id) = self.state.borrow().streams.get(slot as usize).map(|stream| stream.id) else { return };
        let mut missed: Vec<Event> = Vec::new();
        let mut tries = 0;
        while cursor < place && !connection.is_closing() {
            match self.node.entries(EntriesAfter { stream: id, after: cursor, limit: FETCH_LIMIT }).await {
                Ok(entries) if !entries.is_empty() => {
                    missed.extend(entries.iter().filter(|entry| entry.header.seq <= place).cloned());
                    cursor = entries.last().map_or(cursor, |last| last.header.seq);
                }
                _ if tries < 20 => {
                    tries += 1;
                    sleep(Duration::from_millis(200 + u64::from(rand::random::<u8>()))).await;
                }
                _ => return self.close(&connection, CloseReason::Unavailable),
            }
        }
        self.with_stream(slot, ring, |core, state| {
            let busy = state.streams[slot as usize].busy();
            let mine = |one: &Attaching| matches!(one.until, Until::Fetched { ticket: other, .. } if other == ticket);
            let Some(index) = busy.attaching.iter().position(mine) else { return };
            if let Until::Fetched { queued, .. } = busy.attaching.swap_remove(index).until {
                missed.extend(queued);
            }
            // What was fetched first may have been deleted while the rest came.
            settle(&mut missed);
            // What queued is pending for the members too; they get it before this one is among them.
            core.flush_now(state, slot);
            core.let_in(state, &connection, slot, &missed);
        });
    }

    /// Gives a connection what it has missed and makes it a member, unless its membership ended on the way.
    fn let_in(self: &Rc<Self>, state: &mut State, connection: &Rc<Connection>, slot: u32, missed: &[Event]) {
        let Some(left_at) = self.write_entries(state, connection, slot, missed) else {
            state.streams[slot as usize].members.push(connection.slot);
            return;
        };
        connection.follows.borrow_mut().retain(|other| *other != slot);
        state.streams[slot as usize].newcomers.remove(connection.slot);
        self.note_if_empty(state, slot);
        if let Some(room) = state.streams[slot as usize].id.room() {
            // What was missed after that place is theirs as well, if they came back: it is asked for anew.
            session::recheck(self, connection, room, left_at);
        }
    }

    /// A connection follows a stream no longer. It gets what the feed has handed out before.
    pub fn detach(self: &Rc<Self>, state: &mut State, connection: &Rc<Connection>, slot: u32) {
        let mut follows = connection.follows.borrow_mut();
        let Some(index) = follows.iter().position(|other| *other == slot) else { return };
        follows.swap_remove(index);
        drop(follows);
        self.flush_now(state, slot);
        self.detach_slot(state, connection, slot);
    }

    /// Takes a connection off a stream's lists; its own list is the caller's business.
    pub fn detach_slot(self: &Rc<Self>, state: &mut State, connection: &Rc<Connection>, slot: u32) {
        let stream = &mut state.streams[slot as usize];
        if let Some(index) = stream.members.iter().position(|member| *member == connection.slot) {
            // A flush under way goes through the list by place: those before `next` have it, those from there on have
            // not, and it has to stay so.
            let flushing = stream.busy.as_mut().and_then(|busy| busy.flushing.as_mut());
            if let Some(flushing) = flushing.filter(|flushing| index < flushing.next) {
                flushing.next -= 1;
                stream.members.swap(index, flushing.next);
                stream.members.swap_remove(flushing.next);
            } else {
                stream.members.swap_remove(index);
            }
        }
        stream.newcomers.remove(connection.slot);
        if let Some(busy) = &mut stream.busy {
            busy.attaching.retain(|one| one.connection != connection.slot);
        }
        self.note_if_empty(state, slot);
    }

    /// Whether a connection follows a stream and still waits for its place in it.
    pub fn is_attaching(&self, connection: &Connection, slot: u32) -> bool {
        let state = self.state.borrow();
        let busy = state.streams.get(slot as usize).and_then(|stream| stream.busy.as_ref());
        busy.is_some_and(|busy| busy.attaching.iter().any(|one| one.connection == connection.slot))
    }

    /// Remembers since when nobody follows a stream.
    pub fn note_if_empty(&self, state: &mut State, slot: u32) {
        let now = self.now();
        let stream = &mut state.streams[slot as usize];
        if stream.is_unused() && stream.empty_since.is_none() {
            stream.empty_since = Some(now);
            state.empty.push_back((slot, stream.ring, now));
        }
    }
}
