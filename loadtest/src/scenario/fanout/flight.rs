//! The broadcasts of one room that are under way: who is still to receive which.

/// A broadcast that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// When it was published, nanoseconds since the load began.
    published: u64,
    /// How many members have received it.
    arrived: u32,
}

/// The broadcasts of one room. Members receive in order, so it is enough to know how many each of them has, and to
/// count for each broadcast that is under way.
#[derive(Debug)]
pub(super) struct Flight {
    members: u32,
    /// The number of the newest broadcast; they begin at 1.
    sent: u64,
    /// The number of the newest that every member has.
    completed: u64,
    /// Broadcasts by number, as many as may be under way: a power of two.
    slots: Vec<Slot>,
}

impl Flight {
    /// A room of so many members, in which at most `window` broadcasts are under way.
    pub(super) fn new(members: u32, window: u32) -> Self {
        let slots = vec![Slot::default(); window.next_power_of_two() as usize];
        Self { members, sent: 0, completed: 0, slots }
    }

    fn slot(&mut self, seq: u64) -> &mut Slot {
        let mask = self.slots.len() as u64 - 1;
        let index = usize::try_from(seq & mask).unwrap_or_default();
        &mut self.slots[index]
    }

    /// Begins a broadcast; gives its number, or `None` if too many are under way.
    pub(super) fn publish(&mut self, now: u64) -> Option<u64> {
        if self.sent - self.completed >= self.slots.len() as u64 {
            return None;
        }
        self.sent += 1;
        let seq = self.sent;
        *self.slot(seq) = Slot { published: now, arrived: 0 };
        Some(seq)
    }

    /// When a broadcast that is under way was published.
    pub(super) fn published(&mut self, seq: u64) -> u64 {
        self.slot(seq).published
    }

    /// A member that had everything up to `had` has received `more`. Calls `complete` with the time of publishing of
    /// each that every member has by now; gives how many were never published.
    pub(super) fn arrive(&mut self, had: u64, more: u64, mut complete: impl FnMut(u64)) -> u64 {
        let last = (had + more).min(self.sent);
        let members = self.members;
        for seq in had + 1..=last {
            let slot = self.slot(seq);
            slot.arrived += 1;
            if slot.arrived == members {
                let published = slot.published;
                self.completed = seq;
                complete(published);
            }
        }
        had + more - last.max(had)
    }

    /// Broadcasts so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.sent == self.completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_is_complete_when_every_member_has_it() {
        let mut flight = Flight::new(2, 4);
        assert_eq!([flight.publish(10), flight.publish(20), flight.publish(30)], [Some(1), Some(2), Some(3)]);
        let mut done = Vec::new();
        assert_eq!(flight.arrive(0, 3, |at| done.push(at)), 0);
        assert!(done.is_empty());
        assert_eq!(flight.arrive(0, 2, |at| done.push(at)), 0);
        assert_eq!(done, [10, 20]);
        assert!(!flight.is_idle());
        assert_eq!(flight.arrive(2, 1, |at| done.push(at)), 0);
        assert_eq!(done, [10, 20, 30]);
        assert!(flight.is_idle());
    }

    #[test]
    fn no_more_than_the_window_is_under_way() {
        let mut flight = Flight::new(1, 3);
        assert_eq!((0..5).filter_map(|now| flight.publish(now)).collect::<Vec<_>>(), [1, 2, 3, 4]);
        flight.arrive(0, 1, |_| ());
        assert_eq!(flight.publish(9), Some(5));
        assert_eq!(flight.published(5), 9);
        assert_eq!(flight.publish(10), None);
        assert_eq!(flight.sent(), 5);
    }

    #[test]
    fn what_was_never_published_is_counted_and_completes_nothing() {
        let mut flight = Flight::new(1, 4);
        flight.publish(0);
        let mut done = 0;
        assert_eq!(flight.arrive(0, 3, |_| done += 1), 2);
        assert_eq!((done, flight.is_idle()), (1, true));
        assert_eq!(flight.arrive(3, 2, |_| done += 1), 2);
        assert_eq!(done, 1);
    }
}
