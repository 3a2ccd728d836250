//! The recent entries of the streams of one core, under one budget of bytes.
//!
//! Who comes back after a short absence is served from here, without a read of the store. The oldest entries of all
//! streams go first, whichever stream they belong to. An entry that changes a message changes it here too: what comes
//! out is the state of now, and nothing of a deleted message is kept.

use bytes::Bytes;
use rookery_shared::envelope::{Event, Kind};
use rustc_hash::FxHashMap;
use std::collections::{VecDeque, hash_map::Entry};

/// Bytes that an entry takes besides its data: header, shared handle, places in the two queues.
const OVERHEAD_BYTES: usize = 200;

/// The recent entries of one stream, dense.
#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Event>,
    /// Messages that entries in here change, by their places. Those entries have no data of their own.
    changed: FxHashMap<u64, State>,
}

/// A message as the newest change has it.
#[derive(Debug)]
struct State {
    data: Bytes,
    /// How many entries in the ring change it.
    changes: usize,
}

impl Ring {
    /// The message at this place, if it is in here.
    fn message(&mut self, place: u64) -> Option<&mut Event> {
        let first = self.entries.front()?.header.seq;
        let index = usize::try_from(place.checked_sub(first)?).ok()?;
        self.entries.get_mut(index).filter(|event| event.header.kind == Kind::Message)
    }

    /// Takes the data of a change for everything that tells of the same message; how many bytes that adds and frees.
    fn change(&mut self, event: &mut Event) -> (usize, usize) {
        let data = std::mem::take(&mut event.data);
        let (mut added, mut freed) = (data.len(), 0);
        if let Some(message) = self.message(event.header.ref_seq) {
            added += data.len();
            freed += std::mem::replace(&mut message.data, data.clone()).len();
        }
        match self.changed.entry(event.header.ref_seq) {
            Entry::Occupied(mut state) => {
                let state = state.get_mut();
                state.changes += 1;
                freed += std::mem::replace(&mut state.data, data).len();
            }
            Entry::Vacant(state) => drop(state.insert(State { data, changes: 1 })),
        }
        (added, freed)
    }

    /// Lets the oldest entry go; how many bytes that frees.
    fn pop(&mut self) -> usize {
        let Some(event) = self.entries.pop_front() else { return 0 };
        let mut freed = event.data.len() + OVERHEAD_BYTES;
        if event.header.kind.changes_message()
            && let Entry::Occupied(mut state) = self.changed.entry(event.header.ref_seq)
        {
            state.get_mut().changes -= 1;
            if state.get().changes == 0 {
                freed += state.remove().data.len();
            }
        }
        freed
    }

    /// An entry as it is now.
    fn now(&self, event: &Event) -> Event {
        let mut event = event.clone();
        if event.header.kind.changes_message()
            && let Some(state) = self.changed.get(&event.header.ref_seq)
        {
            event.data = state.data.clone();
        }
        event
    }

    fn bytes(&self) -> usize {
        let entries = self.entries.iter().map(|event| event.data.len() + OVERHEAD_BYTES).sum::<usize>();
        entries + self.changed.values().map(|state| state.data.len()).sum::<usize>()
    }
}

/// Recent entries by stream, dense within each. The caller names streams by numbers that it never gives twice.
#[derive(Debug)]
pub struct Rings {
    streams: FxHashMap<u64, Ring>,
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
    pub fn push(&mut self, stream: u64, mut event: Event) {
        let ring = self.streams.entry(stream).or_default();
        if event.header.kind.changes_message() {
            let (added, freed) = ring.change(&mut event);
            self.bytes = (self.bytes + added).saturating_sub(freed);
        }
        self.bytes += event.data.len() + OVERHEAD_BYTES;
        self.order.push_back(stream);
        ring.entries.push_back(event);
        while self.bytes > self.budget {
            let Some(oldest) = self.order.pop_front() else { break };
            // A forgotten stream leaves its turns behind; they find nothing.
            let Some(ring) = self.streams.get_mut(&oldest) else { continue };
            self.bytes = self.bytes.saturating_sub(ring.pop());
            // A room that was busy once must not keep the places of those days.
            if ring.entries.is_empty() {
                self.streams.remove(&oldest);
            } else if ring.entries.capacity() > 4 * ring.entries.len() + 16 {
                ring.entries.shrink_to(2 * ring.entries.len());
            }
        }
    }

    /// The entries after a place as they are now, when none of them is missing.
    pub fn after(&self, stream: u64, after: u64) -> Option<Vec<Event>> {
        let ring = self.streams.get(&stream)?;
        let first = ring.entries.front()?.header.seq;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(ring.entries.iter().skip(skip).map(|event| ring.now(event)).collect())
    }

    /// Forgets a stream that is followed no longer.
    pub fn forget(&mut self, stream: u64) {
        if let Some(ring) = self.streams.remove(&stream) {
            self.bytes = self.bytes.saturating_sub(ring.bytes());
        }
        // Forgotten streams leave their turns behind. They are swept when they are the greater part, so that the cost
        // of a sweep is spread over as many entries as it drops.
        if self.order.len() > 1024 && self.order.len() > 2 * self.bytes / OVERHEAD_BYTES {
            self.order.retain(|stream| self.streams.contains_key(stream));
        }
    }
}

/// Brings entries of one stream, in order, to the state of now as far as it is among them: what a later one says of a
/// message holds for the earlier ones.
pub fn settle(entries: &mut [Event]) {
    let mut now: FxHashMap<u64, Bytes> = FxHashMap::default();
    for event in entries.iter_mut().rev() {
        let header = &event.header;
        if header.kind.changes_message() {
            let state = now.entry(header.ref_seq).or_insert_with(|| event.data.clone());
            event.data = state.clone();
        } else if let (Kind::Message, Some(state)) = (header.kind, now.get(&header.seq)) {
            event.data = state.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::{
        envelope::Header,
        ids::{RoomId, StreamId},
    };

    fn entry(seq: u64) -> Event {
        Event { header: Header::new(Kind::Message, StreamId::Room(RoomId::NIL), seq), data: "{}".into() }
    }

    fn change(seq: u64, kind: Kind, ref_seq: u64, data: &'static str) -> Event {
        let header = Header { ref_seq, ..Header::new(kind, StreamId::Room(RoomId::NIL), seq) };
        Event { header, data: data.into() }
    }

    fn texts(entries: &[Event]) -> Vec<&str> {
        entries.iter().map(|event| std::str::from_utf8(&event.data).expect("text")).collect()
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
    fn nothing_of_a_deleted_message_is_kept() {
        let mut rings = Rings::new(10_000);
        let said = Event { data: "secret".into(), ..entry(1) };
        rings.push(1, said);
        rings.push(1, entry(2));
        rings.push(1, change(3, Kind::MessageUpdated, 1, "secret, edited"));
        assert_eq!(texts(&rings.after(1, 0).expect("all there")), ["secret, edited", "{}", "secret, edited"]);
        rings.push(1, change(4, Kind::MessageDeleted, 1, "gone"));
        assert_eq!(texts(&rings.after(1, 0).expect("all there")), ["gone", "{}", "gone", "gone"]);
        assert!(!format!("{rings:?}").contains("secret"));
        assert_eq!(texts(&rings.after(1, 2).expect("all there")), ["gone", "gone"]);
    }

    #[test]
    fn changes_of_messages_count_and_are_freed() {
        let mut rings = Rings::new(1_000_000);
        rings.push(1, entry(1));
        for seq in 2..100 {
            rings.push(1, change(seq, Kind::MessageUpdated, 1, "a longer state than it was"));
            assert_eq!(rings.bytes, rings.streams[&1].bytes());
        }
        let mut small = Rings::new(10 * OVERHEAD_BYTES);
        for seq in 1..1_000 {
            // Of messages that are in the ring, and of one that was never.
            small.push(1, change(seq, Kind::MessageDeleted, if seq % 3 == 0 { 1 } else { seq - 1 }, "state"));
            assert_eq!(small.bytes, small.streams[&1].bytes());
        }
        assert!(small.streams[&1].changed.len() <= small.streams[&1].entries.len());
        rings.forget(1);
        assert_eq!(rings.bytes, 0);
    }

    #[test]
    fn entries_that_waited_are_told_as_they_are_now() {
        let said = |seq, data: &'static str| Event { data: data.into(), ..entry(seq) };
        let mut entries = [
            said(1, "secret"),
            said(2, "kept"),
            change(3, Kind::MessageUpdated, 1, "still secret"),
            change(4, Kind::MessageDeleted, 1, "gone"),
        ];
        settle(&mut entries);
        assert_eq!(texts(&entries), ["gone", "kept", "gone", "gone"]);
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
