//! The limit on REST requests: per user, and per address without a token; of this process, as it only protects it.

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use rookery_shared::ids::UserId;
use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// After so many requests the callers of long ago are forgotten.
const FORGET_EVERY: u32 = 10_000;

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    User(UserId),
    Address(IpAddr),
}

/// What a caller has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Requests that may come at once after a quiet minute.
    pub(crate) limit: u32,
    /// Of these, how many more would pass now.
    pub(crate) remaining: u32,
    /// How long until all of them would pass again.
    pub(crate) reset: Duration,
    /// When the next one passes, if this one did not.
    pub(crate) retry_after: Option<Duration>,
}

/// A bucket for each caller that refills evenly over a minute.
pub(crate) struct RequestLimiter {
    limiter: RateLimiter<Caller, DefaultKeyedStateStore<Caller>, DefaultClock, StateInformationMiddleware>,
    limit: u32,
    seen: AtomicU32,
}

impl RequestLimiter {
    pub(crate) fn new(per_minute: u32) -> Self {
        let limit = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let limiter = RateLimiter::keyed(Quota::per_minute(limit)).with_middleware();
        Self { limiter, limit: limit.get(), seen: AtomicU32::new(0) }
    }

    /// Counts a request.
    pub(crate) fn check(&self, caller: Caller) -> Allowance {
        if self.seen.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        let (remaining, retry_after) = match self.limiter.check_key(&caller) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => (0, Some(not_until.wait_time_from(DefaultClock::default().now()))),
        };
        let used = self.limit.saturating_sub(remaining);
        let reset = Duration::from_mins(1).mul_f64(f64::from(used) / f64::from(self.limit));
        Allowance { limit: self.limit, remaining, reset, retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_waits_and_nobody_else_does() {
        let limiter = RequestLimiter::new(3);
        let one = Caller::User(UserId::new());
        assert!((0..3).all(|_| limiter.check(one).retry_after.is_none()));
        assert!(limiter.check(one).retry_after.is_some_and(|wait| wait <= Duration::from_secs(20)));
        let other = limiter.check(Caller::Address([127, 0, 0, 1].into()));
        assert_eq!((other.remaining, other.reset, other.retry_after), (2, Duration::from_secs(20), None));
    }
}
