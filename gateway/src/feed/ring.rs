//! The recent entries of the streams of one core, under one budget of bytes.
//!
//! Who comes back after a short absence is served from here, without a read of the store. The oldest entries of all
//! streams go first, whichever stream they belong to.

use rookery_shared::envelope::Event;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Bytes that an entry takes besides its data: header, shared handle, places in the two queues.
const OVERHEAD_BYTES: usize = 200;

/// Recent entries by stream, dense within each. The caller names streams by numbers that it never gives twice.
#[derive(Debug)]
pub struct Rings {
    streams: FxHashMap<u64, VecDeque<Event>>,
    /// Whose turn it is to lose its oldest entry.
    order: VecDeque<u64>,
    bytes: usize,
    budget: usize,
}

impl Rings {
    /// Rings that keep `budget` bytes in all.
    pub fn new(budget: usize) -> Self {
        Self { streams: FxHashMap::default(), order: VecDeque::new(), bytes: 0, budget }
    }

    /// Keeps an entry that was handed out. Entries of a stream come in order, without holes.
    pub fn push(&mut self, stream: u64, event: Event) {
        self.bytes += event.data.len() + OVERHEAD_BYTES;
        self.order.push_back(stream);
        self.streams.entry(stream).or_default().push_back(event);
        while self.bytes > self.budget {
            let Some(oldest) = self.order.pop_front() else { break };
            // A forgotten stream leaves its turns behind; they find nothing.
            let Some(ring) = self.streams.get_mut(&oldest) else { continue };
            if let Some(event) = ring.pop_front() {
                self.bytes -= event.data.len() + OVERHEAD_BYTES;
            }
            // A room that was busy once must not keep the places of those days.
            if ring.is_empty() {
                self.streams.remove(&oldest);
            } else if ring.capacity() > 4 * ring.len() + 16 {
                ring.shrink_to(2 * ring.len());
            }
        }
    }

    /// The entries after a place, when none of them is missing.
    pub fn after(&self, stream: u64, after: u64) -> Option<Vec<Event>> {
        let ring = self.streams.get(&stream)?;
        let first = ring.front()?.header.seq;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(ring.iter().skip(skip).cloned().collect())
    }

    /// Forgets a stream that is followed no longer.
    pub fn forget(&mut self, stream: u64) {
        if let Some(ring) = self.streams.remove(&stream) {
            self.bytes -= ring.iter().map(|event| event.data.len() + OVERHEAD_BYTES).sum::<usize>();
        }
        // Forgotten streams leave their turns behind. They are swept when they are the greater part, so that the cost
        // of a sweep is spread over as many entries as it drops.
        if self.order.len() > 1024 && self.order.len() > 2 * self.bytes / OVERHEAD_BYTES {
            self.order.retain(|stream| self.streams.contains_key(stream));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::{
        envelope::{Header, Kind},
        ids::{RoomId, StreamId},
    };

    fn entry(seq: u64) -> Event {
        Event { header: Header::new(Kind::Message, StreamId::Room(RoomId::NIL), seq), data: "{}".into() }
    }

    #[test]
    fn a_ring_answers_only_when_nothing_is_missing() {
        let mut rings = Rings::new(3 * (OVERHEAD_BYTES + 2));
        (5..=8).for_each(|seq| rings.push(1, entry(seq)));
        assert_eq!(rings.after(1, 4), None, "entry 5 has gone");
        let seqs = |after| rings.after(1, after).map(|all| all.iter().map(|e| e.header.seq).collect::<Vec<_>>());
        assert_eq!(seqs(5), Some(vec![6, 7, 8]));
        assert_eq!(seqs(8), Some(vec![]));
        assert_eq!(rings.after(2, 0), None);
    }

    #[test]
    fn a_forgotten_stream_frees_its_bytes() {
        let mut rings = Rings::new(10_000);
        (1..=3).for_each(|seq| rings.push(1, entry(seq)));
        rings.forget(1);
        assert_eq!((rings.bytes, rings.after(1, 1)), (0, None));
    }

    #[test]
    fn turns_of_forgotten_streams_do_not_pile_up() {
        let mut rings = Rings::new(1_000_000);
        for stream in 0..10_000 {
            rings.push(stream, entry(1));
            rings.forget(stream);
        }
        assert!(rings.order.len() <= 1025);
    }
}
