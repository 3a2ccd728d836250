//! Every message of the run: who has it, and how long that took.

use crate::report::Latencies;
use std::{collections::BTreeMap, time::Duration};

/// The most members that a room can have here: a bit each.
pub(super) const MOST_MEMBERS: u32 = 64;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// No answer yet.
    Unanswered,
    /// Stored: owed to every member.
    Stored,
    /// Not stored, or nobody knows: owed to nobody.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    sent: Duration,
    room: u32,
    outcome: Outcome,
    /// The members that have it, a bit each.
    members: u64,
    /// Whether its times count.
    measured: bool,
}

/// The messages of a run. Times are since the run began.
#[derive(Debug)]
pub(super) struct Ledger {
    everyone: u64,
    messages: Vec<Message>,
    /// Messages without an answer.
    unanswered: u64,
    /// Refusals by code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Deliveries, each member's first of each message.
    pub(super) delivered: u64,
    /// Deliveries of a message that the member had already.
    pub(super) doubled: u64,
    /// Deliveries to a member of another room.
    pub(super) strayed: u64,
    /// From sending to a member.
    pub(super) to_member: Latencies,
    /// From sending to the answer.
    pub(super) to_answer: Latencies,
}

/// What is owed, all in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    /// Messages that were stored.
    pub(super) stored: u64,
    /// Deliveries that those are owed to.
    pub(super) expected: u64,
    /// Of these, the ones that did not come.
    pub(super) lost: u64,
    /// Messages without an answer.
    pub(super) unanswered: u64,
}

impl Ledger {
    /// An empty ledger for rooms of so many members.
    pub(super) fn new(members: u32) -> Self {
        let everyone = if members >= u64::BITS { u64::MAX } else { (1 << members) - 1 };
        Self {
            everyone,
            messages: Vec::new(),
            unanswered: 0,
            refused: BTreeMap::new(),
            delivered: 0,
            doubled: 0,
            strayed: 0,
            to_member: Latencies::new(),
            to_answer: Latencies::new(),
        }
    }

    /// A message is about to be sent; gives its number.
    pub(super) fn sent(&mut self, room: u32, now: Duration, measured: bool) -> usize {
        self.messages.push(Message { sent: now, room, outcome: Outcome::Unanswered, members: 0, measured });
        self.unanswered += 1;
        self.messages.len() - 1
    }

    /// How many were sent.
    pub(super) fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// A message was acknowledged.
    pub(super) fn stored(&mut self, number: usize, now: Duration) {
        if let Some(message) = self.answered(number, Outcome::Stored)
            && message.measured
        {
            self.to_answer.saw(now.saturating_sub(message.sent));
        }
    }

    /// A message was refused, with this code.
    pub(super) fn refused(&mut self, number: usize, code: &str) {
        if self.answered(number, Outcome::Refused).is_some() {
            *self.refused.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// The first answer to a message; `None` for any further one.
    fn answered(&mut self, number: usize, outcome: Outcome) -> Option<Message> {
        let message = self.messages.get_mut(number).filter(|message| message.outcome == Outcome::Unanswered)?;
        message.outcome = outcome;
        self.unanswered -= 1;
        Some(*message)
    }

    /// A message reached the member with this number of a room.
    pub(super) fn arrived(&mut self, number: usize, room: u32, member: u32, now: Duration) {
        let Some(message) = self.messages.get_mut(number) else { return };
        if message.room != room {
            self.strayed += 1;
            return;
        }
        let bit = 1 << (member % u64::BITS);
        if message.members & bit != 0 {
            self.doubled += 1;
            return;
        }
        message.members |= bit;
        self.delivered += 1;
        if message.measured {
            self.to_member.saw(now.saturating_sub(message.sent));
        }
    }

    /// What is owed now.
    pub(super) fn balance(&self) -> Balance {
        let mut balance = Balance { unanswered: self.unanswered, ..Balance::default() };
        for message in self.messages.iter().filter(|message| message.outcome == Outcome::Stored) {
            balance.stored += 1;
            balance.expected += u64::from(self.everyone.count_ones());
            balance.lost += u64::from((self.everyone & !message.members).count_ones());
        }
        balance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(5);

    #[test]
    fn what_was_stored_is_owed_to_every_member() {
        let mut ledger = Ledger::new(3);
        let number = ledger.sent(7, Duration::ZERO, true);
        assert_eq!(ledger.balance(), Balance { unanswered: 1, ..Balance::default() });
        ledger.arrived(number, 7, 0, NOW);
        ledger.stored(number, NOW);
        assert_eq!(ledger.balance(), Balance { stored: 1, expected: 3, lost: 2, unanswered: 0 });
        ledger.arrived(number, 7, 1, NOW);
        ledger.arrived(number, 7, 2, NOW);
        assert_eq!(ledger.balance().lost, 0);
        assert_eq!(
            (ledger.delivered, ledger.to_member.summary("").count, ledger.to_answer.summary("").count),
            (3, 3, 1)
        );
    }

    #[test]
    fn what_comes_twice_or_to_the_wrong_room_is_counted_apart() {
        let mut ledger = Ledger::new(2);
        let number = ledger.sent(1, Duration::ZERO, false);
        ledger.arrived(number, 1, 0, NOW);
        ledger.arrived(number, 1, 0, NOW);
        ledger.arrived(number, 2, 1, NOW);
        ledger.arrived(99, 1, 1, NOW);
        assert_eq!((ledger.delivered, ledger.doubled, ledger.strayed), (1, 1, 1));
        assert_eq!(ledger.to_member.summary("").count, 0, "not measured");
    }

    #[test]
    fn what_was_refused_is_owed_to_nobody_and_only_the_first_answer_counts() {
        let mut ledger = Ledger::new(2);
        let number = ledger.sent(1, Duration::ZERO, true);
        ledger.refused(number, "rate_limited");
        ledger.stored(number, NOW);
        assert_eq!(ledger.balance(), Balance::default());
        assert_eq!(ledger.refused.get("rate_limited"), Some(&1));
    }

    #[test]
    fn the_largest_room_has_a_bit_for_everyone() {
        let mut ledger = Ledger::new(MOST_MEMBERS);
        let number = ledger.sent(0, Duration::ZERO, true);
        ledger.stored(number, NOW);
        assert_eq!(ledger.balance().lost, 64);
        (0..MOST_MEMBERS).for_each(|member| ledger.arrived(number, 0, member, NOW));
        assert_eq!(ledger.balance().lost, 0);
    }
}
