//! Whether a log reaches one connection as it has to: every entry once, in ascending order, without holes.

use std::collections::BTreeSet;

/// Missing places that are remembered; beyond it they are only counted.
const REMEMBERED: u64 = 10_000;

/// What one connection has seen of one log.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The newest place; `None` until the first is known.
    last: Option<u64>,
    /// Places below it that did not come.
    missing: BTreeSet<u64>,
    /// Missing places beyond those that are remembered.
    forgotten: u64,
    /// Entries that came twice.
    doubled: u64,
    /// Entries that came after a later one.
    late: u64,
}

impl Order {
    /// Everything up to this place was before the connection's time.
    pub(super) fn begin_after(&mut self, seq: u64) {
        self.last = Some(self.last.map_or(seq, |last| last.max(seq)));
    }

    /// An entry came.
    pub(super) fn saw(&mut self, seq: u64) {
        match self.last {
            Some(last) if seq <= last => {
                if self.missing.remove(&seq) {
                    self.late += 1;
                } else {
                    self.doubled += 1;
                }
                return;
            }
            Some(last) => {
                let kept = (last + REMEMBERED + 1).min(seq);
                self.missing.extend(last + 1..kept);
                self.forgotten += seq - kept;
            }
            None => {}
        }
        self.last = Some(seq);
    }

    /// Places that never came.
    pub(super) fn holes(&self) -> u64 {
        self.missing.len() as u64 + self.forgotten
    }

    /// Entries that came twice.
    pub(super) fn doubled(&self) -> u64 {
        self.doubled
    }

    /// Entries that came after a later one.
    pub(super) fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begin: u64, seqs: &[u64]) -> (u64, u64, u64) {
        let mut order = Order::default();
        order.begin_after(begin);
        for seq in seqs {
            order.saw(*seq);
        }
        (order.holes(), order.doubled(), order.late())
    }

    #[test]
    fn an_unbroken_log_has_nothing_to_complain_about() {
        assert_eq!(after(6, &[7, 8, 9]), (0, 0, 0));
        assert_eq!(after(0, &[]), (0, 0, 0));
    }

    #[test]
    fn a_hole_is_one_until_it_is_filled_late() {
        assert_eq!(after(6, &[7, 10]), (2, 0, 0));
        assert_eq!(after(6, &[7, 10, 8, 9]), (0, 0, 2));
        assert_eq!(after(6, &[8]), (1, 0, 0), "the first one counts as well");
    }

    #[test]
    fn what_comes_again_is_doubled_and_not_late() {
        assert_eq!(after(6, &[7, 7, 8, 6]), (0, 2, 0));
        assert_eq!(after(6, &[9, 7, 7]), (1, 1, 1));
    }

    #[test]
    fn a_jump_of_any_length_is_counted_in_full() {
        assert_eq!(after(0, &[1_000_001]), (1_000_000, 0, 0));
    }
}
