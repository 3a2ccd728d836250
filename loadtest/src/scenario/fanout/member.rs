//! A member of a room: counts what comes; a few of them look closer.

use super::drive::Load;
use crate::client::{Receiver, text};
use std::rc::Rc;

/// A member.
pub(super) struct Member {
    load: Rc<Load>,
    room: usize,
    /// Whether every number and time is looked at.
    sampled: bool,
    /// Messages up to the last read.
    had: u64,
    /// Messages in this read.
    fresh: u64,
}

impl Member {
    /// A member of the room with this number.
    pub(super) fn new(load: Rc<Load>, room: usize, sampled: bool) -> Self {
        Self { load, room, sampled, had: 0, fresh: 0 }
    }
}

impl Receiver for Member {
    fn text(&mut self, payload: &[u8]) {
        // Members of small rooms are also told of each other's presence.
        if !text::is_message(payload) {
            return;
        }
        self.fresh += 1;
        if self.sampled && text::seq_of(payload) != Some(self.had + self.fresh) {
            self.load.disordered();
        }
    }

    fn read_ended(&mut self) {
        if self.fresh > 0 {
            self.load.arrived(self.room, self.had, self.fresh, self.sampled);
            self.had += self.fresh;
            self.fresh = 0;
        }
    }
}
