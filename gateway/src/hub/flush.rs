//! The way out: a room's pending frames, in one contiguous piece, straight to each member's socket.
//!
//! Frames per write decide the cost of a delivery. Nothing is parsed, allocated or woken per recipient; only a socket
//! that would block gets a queue.

use super::{
    connection::Written,
    core::{Core, State},
    stream::{Flushing, Stream},
};
use crate::transport::Shared;
use rookery_shared::{envelope::Event, protocol::CloseReason};
use std::{rc::Rc, time::Instant};

/// Writes in a row before others on the core get their turn.
const WRITES_PER_TURN: usize = 256;

impl Core {
    /// Flushes every stream that is due. Gives the moment at which the next one is.
    pub async fn flush(self: &Rc<Self>) -> Option<Instant> {
        let mut turn = WRITES_PER_TURN;
        let mut next = None;
        let queued = std::mem::take(&mut self.state.borrow_mut().to_flush);
        for slot in queued {
            let mut under_way = self.begin_if_due(slot, &mut next);
            while under_way {
                under_way = !self.flush_some(&mut self.state.borrow_mut(), slot, &mut turn);
                if turn == 0 {
                    self.close_condemned();
                    tokio::task::yield_now().await;
                    turn = WRITES_PER_TURN;
                }
            }
        }
        self.close_condemned();
        next
    }

    /// Begins the flush of a stream, unless its pace says that it has to wait.
    fn begin_if_due(&self, slot: u32, next: &mut Option<Instant>) -> bool {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(stream) = state.streams.get_mut(slot as usize) else { return false };
        let Some(busy) = &mut stream.busy else { return false };
        let now = Instant::now();
        if busy.not_before > now && !busy.is_full() && !busy.pending.is_empty() {
            busy.waited = true;
            *next = Some(next.map_or(busy.not_before, |next: Instant| next.min(busy.not_before)));
            state.to_flush.push_back(slot);
            return false;
        }
        busy.queued = false;
        state.settled.push(slot);
        begin(stream, now);
        true
    }

    /// Writes to members that have not got the flush under way, at most `turn` of them. Returns whether it is done.
    fn flush_some(self: &Rc<Self>, state: &mut State, slot: u32, turn: &mut usize) -> bool {
        let Some(stream) = state.streams.get_mut(slot as usize) else { return true };
        let Stream { members, busy, .. } = stream;
        let Some(busy) = busy else { return true };
        let Some(flushing) = &mut busy.flushing else { return true };
        let end = members.len().min(flushing.next.saturating_add(*turn));
        for member in &members[flushing.next..end] {
            let Some(connection) = state.connections.get(*member as usize) else { continue };
            let frames = flushing.frames.frames(connection.transport);
            if self.write_bytes(connection, frames) == Written::TooSlow {
                state.condemned.push((connection.clone(), CloseReason::SlowConsumer));
            }
        }
        *turn -= end - flushing.next;
        flushing.next = end;
        let done = end == members.len();
        if done {
            busy.flushing = None;
        }
        done
    }

    /// Brings every member to the feed's place now: before someone joins them or leaves them.
    pub fn flush_now(self: &Rc<Self>, state: &mut State, slot: u32) {
        self.finish_flush(state, slot);
        if let Some(stream) = state.streams.get_mut(slot as usize)
            && stream.busy.as_ref().is_some_and(|busy| !busy.pending.is_empty())
        {
            begin(stream, Instant::now());
            self.finish_flush(state, slot);
        }
    }

    /// Ends the flush that is under way, so that the list of members may change.
    pub fn finish_flush(self: &Rc<Self>, state: &mut State, slot: u32) {
        let mut turn = usize::MAX;
        while !self.flush_some(state, slot, &mut turn) {}
    }
}

/// Puts an entry among the frames that go out next. It is encoded when it does, for the transports that members use.
pub fn put_pending(state: &mut State, slot: u32, event: &Event) {
    let Some(stream) = state.streams.get_mut(slot as usize) else { return };
    if stream.members.is_empty() {
        return;
    }
    let busy = stream.busy();
    busy.pending.push(event.clone());
    busy.pending_bytes += event.data.len();
    if !busy.queued {
        busy.queued = true;
        state.to_flush.push_back(slot);
    }
}

fn begin(stream: &mut Stream, now: Instant) {
    let members = stream.members.len();
    let busy = stream.busy();
    if busy.pending.is_empty() {
        return;
    }
    let events = std::mem::take(&mut busy.pending);
    busy.pending_bytes = 0;
    busy.pace_next(events.len(), members, now);
    busy.flushing = Some(Flushing { frames: Shared::new(events), next: 0 });
}
