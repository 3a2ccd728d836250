//! What waits for a socket that would block: shared bytes, their sum, and how long the oldest has waited.

use super::connection::Seconds;
use bytes::{Buf as _, Bytes};
use std::{collections::VecDeque, io::IoSlice};

/// Pieces in one write at most.
const PIECES: usize = 16;

/// A queue of bytes in order. Broadcast bytes are shared with every other recipient, so the sum counts what the client
/// has to take, not what the node has to keep.
#[derive(Debug, Default)]
pub struct Outbox {
    pieces: VecDeque<(Bytes, Seconds)>,
    bytes: usize,
}

impl Outbox {
    /// Puts bytes at the end.
    pub fn push(&mut self, bytes: Bytes, now: Seconds) {
        self.bytes += bytes.len();
        self.pieces.push_back((bytes, now));
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the oldest waits.
    pub fn oldest(&self) -> Option<Seconds> {
        self.pieces.front().map(|(_, since)| *since)
    }

    /// The first pieces, for one vectored write.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; PIECES]) -> usize {
        let count = self.pieces.len().min(PIECES);
        for (slice, (bytes, _)) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(bytes);
        }
        count
    }

    /// All of it, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter().map(|(bytes, _)| bytes)
    }

    /// Room for [`slices`](Self::slices).
    pub fn no_slices<'a>() -> [IoSlice<'a>; PIECES] {
        [IoSlice::new(&[]); PIECES]
    }

    /// So many bytes are with the kernel. Returns whether nothing is left.
    pub fn written(&mut self, mut count: usize) -> bool {
        self.bytes -= count;
        while let Some((bytes, _)) = self.pieces.front_mut() {
            if bytes.len() > count {
                bytes.advance(count);
                break;
            }
            count -= bytes.len();
            self.pieces.pop_front();
        }
        self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_in_which_they_came(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..40),
            takes in proptest::collection::vec(1..50_usize, 1..200),
        ) {
            let mut outbox = Outbox::default();
            for piece in &pieces {
                outbox.push(piece.clone().into(), 0);
            }
            let expected = pieces.concat();
            let mut seen = Vec::new();
            for take in takes.into_iter().chain(std::iter::repeat(7)) {
                let mut slices = Outbox::no_slices();
                let count = outbox.slices(&mut slices);
                let front: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let take = take.min(front.len());
                seen.extend_from_slice(&front[..take]);
                if outbox.written(take) {
                    break;
                }
                prop_assert_eq!(outbox.bytes(), expected.len() - seen.len());
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
