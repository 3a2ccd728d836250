//! Followers who may not see a log from its beginning. What changes an older message reaches them as its number alone.

use super::{
    connection::Written,
    core::{Core, State},
};
use crate::transport::Shared;
use bytes::Bytes;
use rookery_shared::{envelope::Event, protocol::CloseReason};
use rustc_hash::FxHashSet;
use std::rc::Rc;

/// Those followers of a stream, by their places in the core's table, each with the first place that it may see. Who may
/// see everything is not in here: in most rooms that is everybody.
#[derive(Debug, Default)]
pub struct Newcomers(Vec<(u32, u64)>);

impl Newcomers {
    /// A connection follows from now on; it may see what has this place or a later one.
    pub fn add(&mut self, connection: u32, from: u64) {
        if from > 1 {
            self.0.push((connection, from));
        }
    }

    /// It follows no longer.
    pub fn remove(&mut self, connection: u32) {
        if let Some(index) = self.0.iter().position(|(other, _)| *other == connection) {
            self.0.swap_remove(index);
        }
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// The first place that a follower may see.
    pub fn from(&self, connection: u32) -> u64 {
        self.0.iter().find(|(other, _)| *other == connection).map_or(1, |(_, from)| *from)
    }

    /// From whom an entry is hidden.
    fn blind_to(&self, event: &Event) -> FxHashSet<u32> {
        if !event.header.kind.changes_message() {
            return FxHashSet::default();
        }
        let blind = self.0.iter().filter(|(_, from)| event.header.is_hidden(*from));
        blind.map(|(connection, _)| *connection).collect()
    }
}

/// An entry as those get it who may not see what it changes.
pub fn hidden(event: &Event) -> Event {
    Event { header: event.header, data: Bytes::from_static(b"null") }
}

impl Core {
    /// Writes an entry to each member apart, if some of them may not see it; returns whether that was so. What is
    /// pending goes out first.
    pub fn tell_apart(self: &Rc<Self>, state: &mut State, slot: u32, event: &Event) -> bool {
        let blind = state.streams[slot as usize].newcomers.blind_to(event);
        if blind.is_empty() {
            return false;
        }
        self.flush_now(state, slot);
        let (mut seen, mut unseen) = (Shared::new(vec![event.clone()]), Shared::new(vec![hidden(event)]));
        for connection in self.followers(state, slot) {
            let frames = if blind.contains(&connection.slot) { &mut unseen } else { &mut seen };
            if self.write_bytes(&connection, frames.frames(connection.transport)) == Written::TooSlow {
                state.condemned.push((connection.clone(), CloseReason::SlowConsumer));
            }
        }
        true
    }
}
