//! Limits inside one process.

use super::{Limit, LimitCall, Limits, Take, Verdict};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Keys are looked through for windows that are over whenever their number has doubled, and never below this.
const SMALLEST_CLEANING: usize = 1024;

/// Exact sliding windows in the memory of one process: the standalone program's limits, and what a cluster falls back
/// to while its Redis is away.
pub struct MemoryLimits {
    state: Mutex<State>,
}

struct State {
    keys: HashMap<String, Window>,
    clean_at: usize,
}

/// What passed, oldest first.
#[derive(Default)]
struct Window {
    passed: VecDeque<(Instant, String)>,
    length: Duration,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { state: Mutex::new(State { keys: HashMap::new(), clean_at: SMALLEST_CLEANING }) }
    }
}

impl MemoryLimits {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys are held.
    pub fn keys(&self) -> usize {
        self.state().keys.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes at once; the same as [`Limits::take`] without the future.
    pub fn take_now(&self, takes: &[Take]) -> Vec<Verdict> {
        let now = Instant::now();
        let mut state = self.state();
        let verdicts = takes.iter().map(|take| state.take(take, now)).collect();
        state.clean(now);
        verdicts
    }

    /// Gives back at once; the same as [`Limits::give_back`] without the future.
    pub fn give_back_now(&self, takes: &[Take]) {
        let mut state = self.state();
        for take in takes {
            if let Some(window) = state.keys.get_mut(&take.key) {
                window.passed.retain(|(_, token)| *token != take.token);
            }
        }
    }

    /// Forgets a key at once; the same as [`Limits::clear`] without the future.
    pub fn clear_now(&self, key: &str) {
        self.state().keys.remove(key);
    }
}

impl State {
    fn take(&mut self, take: &Take, now: Instant) -> Verdict {
        if !self.keys.contains_key(&take.key) {
            self.keys.insert(take.key.clone(), Window::default());
        }
        self.keys.get_mut(&take.key).map_or(Verdict::Passed { remaining: 0 }, |window| window.take(take, now))
    }

    fn clean(&mut self, now: Instant) {
        if self.keys.len() >= self.clean_at {
            self.keys.retain(|_, window| {
                window.expire(now);
                !window.passed.is_empty()
            });
            self.clean_at = (self.keys.len() * 2).max(SMALLEST_CLEANING);
        }
    }
}

impl Window {
    fn take(&mut self, take: &Take, now: Instant) -> Verdict {
        let Limit { max, window } = take.limit;
        self.length = window;
        self.expire(now);
        let count = u32::try_from(self.passed.len()).unwrap_or(u32::MAX);
        if self.passed.iter().any(|(_, token)| *token == take.token) {
            return Verdict::Passed { remaining: max.saturating_sub(count) };
        }
        if count < max {
            self.passed.push_back((now, take.token.clone()));
            return Verdict::Passed { remaining: max - count - 1 };
        }
        // The place that has to get free is not the oldest if the limit was lowered meanwhile.
        let blocking = self.passed.get((count - max) as usize);
        Verdict::Refused { retry_after: blocking.map_or(window, |(at, _)| window.saturating_sub(now - *at)) }
    }

    fn expire(&mut self, now: Instant) {
        while self.passed.front().is_some_and(|(at, _)| now - *at >= self.length) {
            self.passed.pop_front();
        }
    }
}

impl Limits for MemoryLimits {
    fn take<'a>(&'a self, takes: &'a [Take]) -> LimitCall<'a, Vec<Verdict>> {
        Box::pin(std::future::ready(self.take_now(takes)))
    }

    fn give_back<'a>(&'a self, takes: &'a [Take]) -> LimitCall<'a, ()> {
        self.give_back_now(takes);
        Box::pin(std::future::ready(()))
    }

    fn clear<'a>(&'a self, key: &'a str) -> LimitCall<'a, ()> {
        self.clear_now(key);
        Box::pin(std::future::ready(()))
    }
}
