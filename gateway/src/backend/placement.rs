//! Which api is right for a room: rendezvous hashing (Thaler and Ravishankar, 1998). Every gateway comes to the same
//! order without talking to the others, and an api that goes moves only its own rooms.

use rookery_shared::ids::fnv1a;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// How long an api that did not answer comes last, in milliseconds.
const SHUN_MILLIS: u64 = 1_000;

/// The apis there are.
#[derive(Debug)]
pub struct Placement {
    apis: Vec<Api>,
    began: Instant,
}

#[derive(Debug)]
struct Api {
    url: String,
    /// Until when it comes last, in milliseconds since `began`.
    shunned_until: AtomicU64,
}

impl Placement {
    /// Apis at these addresses.
    pub fn new(urls: Vec<String>) -> Self {
        let api = |url: String| Api { url: url.trim_end_matches('/').to_owned(), shunned_until: AtomicU64::new(0) };
        Self { apis: urls.into_iter().map(api).collect(), began: Instant::now() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.apis.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.apis.is_empty()
    }

    /// The address of one.
    pub fn url(&self, api: usize) -> &str {
        &self.apis[api].url
    }

    /// The apis in the order in which to ask them for this key: those that answer by weight, then the others.
    pub fn order(&self, key: &[u8]) -> Vec<usize> {
        let now = self.now();
        let mut order: Vec<usize> = (0..self.apis.len()).collect();
        order.sort_by_cached_key(|api| {
            let shunned = self.apis[*api].shunned_until.load(Ordering::Relaxed) > now;
            (shunned, std::cmp::Reverse(self.weight(*api, key)))
        });
        order
    }

    /// The first of them.
    pub fn first(&self, key: &[u8]) -> usize {
        self.order(key).first().copied().unwrap_or(0)
    }

    /// One did not answer.
    pub fn failed(&self, api: usize) {
        self.apis[api].shunned_until.store(self.now() + SHUN_MILLIS, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn weight(&self, api: usize, key: &[u8]) -> u64 {
        // FNV alone mixes its last bytes badly into the high bits, which decide the order.
        let hash = fnv1a(&[self.apis[api].url.as_bytes(), key].concat());
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(count: usize) -> Placement {
        Placement::new((0..count).map(|n| format!("http://127.0.0.1:{}", 8200 + n)).collect())
    }

    #[test]
    fn rooms_are_spread_and_an_api_that_goes_moves_only_its_own() {
        let (three, two) = (placement(3), placement(2));
        let mut counts = [0; 3];
        for room in 0..3_000_u32 {
            let key = room.to_be_bytes();
            let api = three.first(&key);
            counts[api] += 1;
            if api < 2 {
                assert_eq!(two.first(&key), api);
            }
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_api_that_did_not_answer_comes_last_for_a_while() {
        let placement = placement(2);
        let first = placement.first(b"room");
        placement.failed(first);
        assert_eq!(placement.order(b"room"), [1 - first, first]);
    }
}
