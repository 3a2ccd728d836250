//! A small cache with an age limit: what a process may remember of the store, and for how long.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Parts with a lock each, so that cores rarely meet. A power of two.
const PARTS: usize = 16;

/// Values that are forgotten after a fixed age, counted from when their reading *began*: what was read before a
/// change cannot outlive the age by coming late. Bounded in entries.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    parts: [Mutex<HashMap<K, (Instant, V)>>; PARTS],
    hasher: RandomState,
    max_age: Duration,
    max_per_part: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// A cache of about `max_entries`, each believed for `max_age`.
    pub(crate) fn new(max_age: Duration, max_entries: usize) -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            hasher: RandomState::new(),
            max_age,
            max_per_part: max_entries.div_ceil(PARTS).max(1),
        }
    }

    fn part(&self, key: &K) -> std::sync::MutexGuard<'_, HashMap<K, (Instant, V)>> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        // A panic while one of these short locks is held leaves a whole map behind: the entries stay usable.
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, if it is young enough.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let part = self.part(key);
        let (read_at, value) = part.get(key)?;
        (read_at.elapsed() < self.max_age).then(|| value.clone())
    }

    /// Remembers a value whose reading began at `read_at`.
    pub(crate) fn put(&self, key: K, value: V, read_at: Instant) {
        let mut part = self.part(&key);
        if part.len() >= self.max_per_part && !part.contains_key(&key) {
            part.retain(|_, (read_at, _)| read_at.elapsed() < self.max_age);
            if part.len() >= self.max_per_part {
                // Everything is young: starting over costs reads, and nothing else is bounded and as simple.
                part.clear();
            }
        }
        part.insert(key, (read_at, value));
    }

    /// Forgets a value. A reading that is under way may still bring the old one, for at most the age.
    pub(crate) fn forget(&self, key: &K) {
        self.part(key).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_believed_for_its_age_from_when_its_reading_began() {
        let cache = Cache::new(Duration::from_mins(1), 100);
        cache.put(1, "young", Instant::now());
        cache.put(2, "old", Instant::now().checked_sub(Duration::from_secs(61)).expect("the machine is up for longer"));
        assert_eq!((cache.get(&1), cache.get(&2)), (Some("young"), None));
        cache.forget(&1);
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn a_full_cache_stays_bounded() {
        let cache = Cache::new(Duration::from_mins(1), 64);
        for key in 0..10_000 {
            cache.put(key, (), Instant::now());
        }
        let held: usize = cache.parts.iter().map(|part| part.lock().expect("no panic").len()).sum();
        assert!(held <= 64, "{held}");
    }
}
