//! The only place that reads the machine's clock.
//!
//! No decision compares the clocks of two machines: these times are shown to people, bound the life of tokens, and
//! measure. Order comes from `seq` alone.

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};
use utoipa::ToSchema;

/// A point in time: milliseconds since 1970 in UTC; in JSON RFC 3339 with exactly three decimals and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = "date-time")]
pub struct Time(pub i64);

impl Time {
    /// The time `seconds` later.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Whole seconds since 1970, as tokens count.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let time: Timestamp = text.parse().map_err(|_| D::Error::custom("expected an RFC 3339 time"))?;
        let time = time.round(Unit::Millisecond).map_err(D::Error::custom)?;
        Ok(Self(time.as_millisecond()))
    }
}

/// Now, in milliseconds.
pub fn now() -> Time {
    Time(i64::try_from(micros() / 1000).unwrap_or(i64::MAX))
}

/// Microseconds since 1970, for measuring across processes of one machine.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_exactly_three_decimals() {
        assert_eq!(Time(1_700_000_000_000).to_string(), "2023-11-14T22:13:20.000Z");
        assert_eq!(Time(1_700_000_000_120).to_string(), "2023-11-14T22:13:20.120Z");
    }

    #[test]
    fn a_time_with_an_offset_is_read_as_utc() {
        let time: Time = serde_json::from_str("\"2023-11-14T23:13:20.12+01:00\"").expect("a time");
        assert_eq!(time, Time(1_700_000_000_120));
    }
}
