//! Who sends when: evenly over all connections, at a rate that holds on average, with jitter.

use std::time::Duration;

/// The fractional part of the golden ratio: its multiples, modulo 1, fill the unit interval as evenly as any.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Sends of a run, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Messages a second, in all.
    pub(super) rate: f64,
    pub(super) rooms: usize,
    pub(super) members: usize,
    /// Share of the messages that go over REST.
    pub(super) rest_share: f64,
}

impl Pace {
    /// When a message is due. Up to half a period early or late, so that nothing on the other side falls into step.
    pub(super) fn due(&self, number: u64) -> Duration {
        let jitter = spread(number) - 0.5;
        Duration::from_secs_f64((crate::report::float(number) + 0.5 + jitter) / self.rate)
    }

    /// The connection that sends it: one room after the other, and in each one member after the other.
    pub(super) fn sender(&self, number: u64) -> usize {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let (room, round) = (number % self.rooms, number / self.rooms);
        // Rooms do not begin with the same member.
        room * self.members + (round + room) % self.members
    }

    /// Whether it goes over REST.
    pub(super) fn is_rest(&self, number: u64) -> bool {
        spread(number.wrapping_mul(7)) < self.rest_share
    }
}

/// A number from 0 to 1 that looks random and is spread evenly.
fn spread(number: u64) -> f64 {
    (crate::report::float(number) * GOLDEN).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { rate: 100.0, rooms: 4, members: 5, rest_share: 0.25 };

    #[test]
    fn every_connection_has_the_same_share() {
        let mut sends = vec![0; 20];
        (0..200).for_each(|number| sends[PACE.sender(number)] += 1);
        assert_eq!(sends, vec![10; 20]);
    }

    #[test]
    fn the_rate_holds_and_no_message_waits_for_a_later_one() {
        assert!(PACE.due(999) <= Duration::from_secs(10) && PACE.due(1001) >= Duration::from_secs(10));
        assert!((0..1000).all(|number| PACE.due(number) <= PACE.due(number + 1)));
    }

    #[test]
    fn the_share_of_rest_is_kept() {
        let rest = (0..10_000).filter(|number| PACE.is_rest(*number)).count();
        assert!((2_400..2_600).contains(&rest), "{rest}");
    }
}
