//! Limits that count across the whole cluster: exact sliding windows.
//!
//! Limits that only protect one process (commands on a connection, REST requests of one address) are `governor`'s
//! business, not this module's.

pub mod memory;
pub mod redis;

pub use self::{memory::MemoryLimits, redis::RedisLimits};

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A call under way.
pub type LimitCall<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// At most `max` in any `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub max: u32,
    /// In any stretch of time this long.
    pub window: Duration,
}

/// One thing to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// What is limited, for example `message:<user>:<room>`; one module of the caller builds these.
    pub key: String,
    /// Idempotency token: the same one in the same window counts once, and passes again.
    pub token: String,
    /// The limit.
    pub limit: Limit,
}

/// Whether it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes and is counted; so many more would pass now.
    Passed {
        /// How many more would pass now.
        remaining: u32,
    },
    /// It does not pass and is not counted.
    Refused {
        /// When one could pass.
        retry_after: Duration,
    },
}

/// Exact sliding windows.
///
/// Guarantees, tried by the conformance suite: of any number of takes of one key at once, through any number of
/// handles, exactly `max` pass; a refused one counts nothing; one that is given back never counted; in every stretch
/// of `window` at most `max` passed. An implementation whose store is down falls back to counting in its process, and
/// says so in a metric; it never refuses because of that.
pub trait Limits: Send + Sync + 'static {
    /// Takes several at once, each on its own; verdicts in the order asked.
    fn take<'a>(&'a self, takes: &'a [Take]) -> LimitCall<'a, Vec<Verdict>>;

    /// Gives back what passed but did not happen.
    fn give_back<'a>(&'a self, takes: &'a [Take]) -> LimitCall<'a, ()>;

    /// Forgets a key.
    fn clear<'a>(&'a self, key: &'a str) -> LimitCall<'a, ()>;
}

/// A limits handle that several parts share.
pub type SharedLimits = Arc<dyn Limits>;
