//! Which streams a node wants, and on which connection each of them stands.

use crate::ids::StreamId;
use std::collections::HashMap;

/// What a node wants.
#[derive(Debug, Default)]
pub(super) struct Interest {
    streams: HashMap<StreamId, Wish>,
    last: u64,
}

/// One wish. It has a number, so that an acknowledgement of an older wish for the same stream is not taken for its own.
#[derive(Clone, Copy, Debug)]
struct Wish {
    number: u64,
    /// The connection that acknowledged it; 0 for none.
    stands_on: u64,
    /// It stood before, on this connection or another.
    stood: bool,
}

impl Interest {
    /// Wants a stream; gives the number of the wish.
    pub(super) fn want(&mut self, stream: StreamId) -> u64 {
        let next = self.last + 1;
        let wish = self.streams.entry(stream).or_insert(Wish { number: next, stands_on: 0, stood: false });
        self.last = self.last.max(wish.number);
        wish.number
    }

    /// Gives a stream up; whether it was wanted.
    pub(super) fn give_up(&mut self, stream: StreamId) -> bool {
        self.streams.remove(&stream).is_some()
    }

    /// Whether a stream is wanted and stands on this connection.
    pub(super) fn stands(&self, stream: StreamId, connection: u64) -> bool {
        connection != 0 && self.streams.get(&stream).is_some_and(|wish| wish.stands_on == connection)
    }

    /// A connection acknowledged a wish. Whether it stood before on another one, so that it may have missed something.
    pub(super) fn acknowledged(&mut self, stream: StreamId, number: u64, connection: u64) -> bool {
        self.streams.get_mut(&stream).filter(|wish| wish.number == number).is_some_and(|wish| {
            let regained = wish.stood && wish.stands_on != connection;
            (wish.stands_on, wish.stood) = (connection, true);
            regained
        })
    }

    /// A connection let a stream go by itself; whether that one is wanted.
    pub(super) fn fell(&mut self, stream: StreamId, connection: u64) -> bool {
        self.streams.get_mut(&stream).is_some_and(|wish| {
            if wish.stands_on == connection {
                wish.stands_on = 0;
            }
            true
        })
    }

    /// Everything wanted that does not stand on the connection on which it should.
    pub(super) fn missing(&self, should: impl Fn(StreamId) -> bool, connection: u64) -> Vec<(StreamId, u64)> {
        let missing = |(stream, wish): (&StreamId, &Wish)| {
            (wish.stands_on != connection && should(*stream)).then_some((*stream, wish.number))
        };
        self.streams.iter().filter_map(missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    #[test]
    fn an_acknowledgement_of_an_earlier_wish_does_not_count() {
        let stream = StreamId::Room(RoomId::new());
        let mut interest = Interest::default();
        let first = interest.want(stream);
        assert_eq!(interest.want(stream), first);
        assert!(interest.give_up(stream));
        let second = interest.want(stream);
        assert!(!interest.acknowledged(stream, first, 7));
        assert!(!interest.stands(stream, 7));
        assert!(!interest.acknowledged(stream, second, 7));
        assert!(interest.stands(stream, 7));
        assert_eq!(interest.missing(|_| true, 8), [(stream, second)]);
        assert!(interest.fell(stream, 7));
        assert_eq!(interest.missing(|_| true, 7), [(stream, second)]);
    }

    #[test]
    fn a_wish_that_stood_elsewhere_may_have_missed_something_whoever_asks_again() {
        let stream = StreamId::Room(RoomId::new());
        let mut interest = Interest::default();
        let number = interest.want(stream);
        assert!(!interest.acknowledged(stream, number, 7));
        assert!(!interest.acknowledged(stream, number, 7));
        assert!(interest.acknowledged(stream, number, 8));
        interest.fell(stream, 8);
        assert!(interest.acknowledged(stream, number, 8));
    }
}
