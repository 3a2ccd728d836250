//! Latencies, in microseconds, as a histogram of three significant digits.

use super::{float, ratio};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// The longest latency that is told from longer ones.
const LONGEST_MICROS: u64 = 120_000_000;

/// Latencies that were seen.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// What is said of them, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// From what to what.
    pub(crate) name: &'static str,
    /// How many were seen.
    pub(crate) count: u64,
    /// Half of them were at most this.
    pub p50_ms: f64,
    /// 90% of them.
    pub p90_ms: f64,
    /// 99% of them.
    pub p99_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
}

impl Latencies {
    /// None seen yet.
    ///
    /// # Panics
    /// Never: the bounds are valid.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("valid bounds"))
    }

    /// One was seen.
    pub(crate) fn saw(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// What is said of them.
    pub(crate) fn summary(&self, name: &'static str) -> Latency {
        let millis = |micros: u64| ratio(float(micros), 1000.0);
        Latency {
            name,
            count: self.0.len(),
            p50_ms: millis(self.0.value_at_quantile(0.5)),
            p90_ms: millis(self.0.value_at_quantile(0.9)),
            p99_ms: millis(self.0.value_at_quantile(0.99)),
            max_ms: millis(self.0.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_seen() {
        let mut latencies = Latencies::new();
        for millis in 1..=100 {
            latencies.saw(Duration::from_millis(millis));
        }
        let summary = latencies.summary("test");
        assert_eq!(summary.count, 100);
        for (got, wanted) in [(summary.p50_ms, 50.0), (summary.p90_ms, 90.0), (summary.p99_ms, 99.0)] {
            assert!((got - wanted).abs() <= wanted / 500.0, "{got} for {wanted}");
        }
        assert!((summary.max_ms - 100.0).abs() < 0.2);
    }

    #[test]
    fn nothing_seen_is_no_error_and_too_long_counts_as_the_longest() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.summary("test").count, 0);
        latencies.saw(Duration::MAX);
        assert_eq!(latencies.summary("test").count, 1);
    }
}
