//! Limits across a cluster, in Redis; counted in this process while Redis is away or slow.

use super::{LimitCall, Limits, MemoryLimits, Take, Verdict};
use crate::{
    keys::Keys,
    redis_link::{
        BadRedisConfig, RedisConfig,
        scripts::{Lua, ScriptError, Scripts},
    },
};
use redis::{FromRedisValue as _, Value};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Longest wait for Redis; a send must not be slower than that because of its limit.
const PATIENCE: Duration = Duration::from_millis(250);

/// After a failure Redis is left alone for this long, so that not every call waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Exact sliding windows in Redis.
///
/// While Redis is away, each process counts for itself: up to `max` pass per process. The counter
/// `rookery_limits_fallback_total` says how many calls were decided so.
pub struct RedisLimits {
    keys: Keys,
    scripts: Scripts,
    take: Lua,
    give_back: Lua,
    fallback: MemoryLimits,
    away_until: Mutex<Option<Instant>>,
}

impl RedisLimits {
    /// Limits in the Redis of this configuration. Connects with the first call.
    pub fn new(config: &RedisConfig) -> Result<Self, BadRedisConfig> {
        Ok(Self {
            keys: Keys::new(&config.prefix, 1),
            scripts: Scripts::new(config)?,
            take: Lua::new(include_str!("lua/take.lua")),
            give_back: Lua::new(include_str!("lua/give_back.lua")),
            fallback: MemoryLimits::new(),
            away_until: Mutex::default(),
        })
    }

    fn away(&self) -> bool {
        let until = *self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn failed(&self, error: &ScriptError) {
        tracing::warn!(%error, "limits are counted in this process, as Redis does not answer");
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }

    async fn take_in_redis(&self, takes: &[Take]) -> Option<Vec<Verdict>> {
        if self.away() {
            return None;
        }
        let call = |take: &Take| {
            let window = take.limit.window.as_micros().to_string();
            let arguments = vec![take.token.clone(), take.limit.max.to_string(), window];
            self.take.call(vec![self.keys.limit(&take.key)], arguments)
        };
        let calls: Vec<_> = takes.iter().map(call).collect();
        match self.scripts.run(&calls, PATIENCE).await {
            Ok(values) => values.into_iter().map(verdict).collect(),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }
}

fn verdict(value: Value) -> Option<Verdict> {
    match <(i64, u64)>::from_redis_value(value).ok()? {
        (1, remaining) => Some(Verdict::Passed { remaining: u32::try_from(remaining).unwrap_or(u32::MAX) }),
        (_, micros) => Some(Verdict::Refused { retry_after: Duration::from_micros(micros) }),
    }
}

impl Limits for RedisLimits {
    fn take<'a>(&'a self, takes: &'a [Take]) -> LimitCall<'a, Vec<Verdict>> {
        Box::pin(async move {
            if takes.is_empty() {
                return Vec::new();
            }
            if let Some(verdicts) = self.take_in_redis(takes).await {
                return verdicts;
            }
            metrics::counter!("rookery_limits_fallback_total").increment(1);
            self.fallback.take_now(takes)
        })
    }

    fn give_back<'a>(&'a self, takes: &'a [Take]) -> LimitCall<'a, ()> {
        Box::pin(async move {
            // It may have been counted on either side.
            self.fallback.give_back_now(takes);
            if takes.is_empty() || self.away() {
                return;
            }
            let call = |take: &Take| self.give_back.call(vec![self.keys.limit(&take.key)], vec![take.token.clone()]);
            let calls: Vec<_> = takes.iter().map(call).collect();
            if let Err(error) = self.scripts.run(&calls, PATIENCE).await {
                self.failed(&error);
            }
        })
    }

    fn clear<'a>(&'a self, key: &'a str) -> LimitCall<'a, ()> {
        Box::pin(async move {
            self.fallback.clear_now(key);
            if self.away() {
                return;
            }
            let delete = redis::cmd("DEL").arg(self.keys.limit(key)).clone();
            if let Err(error) = self.scripts.command(&delete, PATIENCE).await {
                self.failed(&error);
            }
        })
    }
}
