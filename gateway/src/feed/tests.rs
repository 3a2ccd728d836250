//! The feed under a bus that loses, doubles and reorders, and under an api that fails.

use super::*;
use proptest::prelude::*;
use rookery_shared::{
    envelope::{Header, Kind},
    ids::{RoomId, StreamId},
};

fn entry(seq: u64) -> Event {
    let stream = StreamId::Room(RoomId::NIL);
    Event { header: Header::new(Kind::Message, stream, seq), data: "{}".into() }
}

fn places(out: &[Event]) -> Vec<u64> {
    out.iter().map(|event| event.header.seq).collect()
}

#[test]
fn the_next_entry_goes_out_at_once_and_a_repeat_is_dropped() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    assert_eq!(feed.opened(4, &mut out), Need::Nothing);
    assert_eq!(feed.event(entry(5), &mut out), Need::Nothing);
    assert_eq!(feed.event(entry(5), &mut out), Need::Nothing);
    assert_eq!(places(&out), [5]);
}

#[test]
fn an_early_entry_waits_then_the_hole_is_fetched_once() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    feed.opened(0, &mut out);
    assert_eq!(feed.event(entry(3), &mut out), Need::Wait);
    assert_eq!(feed.event(entry(4), &mut out), Need::Nothing);
    assert_eq!(feed.waited(), Need::Fetch { after: 0 });
    assert_eq!(feed.event(entry(5), &mut out), Need::Nothing);
    assert_eq!(feed.fetched(vec![entry(1), entry(2), entry(3)], &mut out), Need::Nothing);
    assert_eq!(places(&out), [1, 2, 3, 4, 5]);
}

#[test]
fn an_early_entry_that_is_followed_by_its_forerunner_needs_no_fetch() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    feed.opened(0, &mut out);
    assert_eq!(feed.event(entry(2), &mut out), Need::Wait);
    assert_eq!(feed.event(entry(1), &mut out), Need::Nothing);
    assert_eq!(feed.waited(), Need::Nothing);
    assert_eq!(places(&out), [1, 2]);
}

#[test]
fn an_announced_head_counts_at_its_second_sweep() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    feed.opened(7, &mut out);
    assert_eq!(feed.announced(9), Need::Nothing);
    assert_eq!(feed.announced(9), Need::Fetch { after: 7 });
    assert_eq!(feed.fetched(vec![entry(8), entry(9)], &mut out), Need::Nothing);
    assert_eq!(places(&out), [8, 9]);
}

#[test]
fn a_head_that_was_announced_but_never_written_is_forgotten() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    feed.opened(7, &mut out);
    feed.announced(8);
    assert_eq!(feed.announced(8), Need::Fetch { after: 7 });
    assert_eq!(feed.fetched(vec![], &mut out), Need::Nothing);
    assert_eq!(feed.event(entry(8), &mut out), Need::Nothing);
    assert_eq!(places(&out), [8]);
}

#[test]
fn a_head_that_becomes_known_during_an_empty_fetch_is_fetched_after_it() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    feed.opened(7, &mut out);
    feed.announced(8);
    assert_eq!(feed.announced(8), Need::Fetch { after: 7 });
    assert_eq!(feed.reached(9), Need::Nothing);
    assert_eq!(feed.fetched(vec![], &mut out), Need::Wait);
    assert_eq!(feed.waited(), Need::Fetch { after: 7 });
}

#[test]
fn what_comes_while_the_head_is_unknown_is_held() {
    let mut feed = Feed::opening();
    let mut out = Vec::new();
    assert_eq!(feed.event(entry(4), &mut out), Need::Nothing);
    assert_eq!(feed.event(entry(3), &mut out), Need::Nothing);
    assert_eq!(feed.reached(4), Need::Nothing);
    assert_eq!(places(&out), [0_u64; 0]);
    assert_eq!(feed.opened(2, &mut out), Need::Nothing);
    assert_eq!(places(&out), [3, 4]);
}

/// What may happen to a feed.
#[derive(Clone, Debug)]
enum Step {
    Bring(u64),
    Waited,
    Fetch { most: usize, fails: bool },
    Announce(u64),
    Reached(u64),
    Open(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40_u64).prop_map(Step::Bring),
        2 => Just(Step::Waited),
        3 => (1..10_usize, any::<bool>()).prop_map(|(most, fails)| Step::Fetch { most, fails }),
        1 => (1..40_u64).prop_map(Step::Announce),
        1 => (1..40_u64).prop_map(Step::Reached),
        1 => (0..10_u64).prop_map(Step::Open),
    ]
}

proptest! {
    /// Whatever happens, what goes out is dense and ascending; and once the bus falls silent and the api answers,
    /// everything that the log is known to hold has gone out.
    #[test]
    fn out_goes_every_entry_once_in_order(
        head in 0..10_u64,
        steps in proptest::collection::vec(steps(), 0..80),
        opened_late in any::<bool>(),
    ) {
        const LAST: u64 = 39;
        let mut feed = Feed::opening();
        let mut out = Vec::new();
        let (mut fetch, mut wait) = (None, false);
        let note = |need, fetch: &mut Option<u64>, wait: &mut bool| match need {
            Need::Nothing => {}
            Need::Wait => { assert!(!*wait, "one wait at a time"); *wait = true; }
            Need::Fetch { after } => { assert!(fetch.is_none(), "one fetch at a time"); *fetch = Some(after); }
        };
        if !opened_late {
            let need = feed.opened(head, &mut out);
            note(need, &mut fetch, &mut wait);
        }
        for step in steps {
            let need = match step {
                Step::Bring(seq) => feed.event(entry(seq), &mut out),
                Step::Waited if wait => { wait = false; feed.waited() }
                Step::Fetch { most, fails } => match fetch.take() {
                    Some(_) if fails => feed.fetch_failed(),
                    Some(after) => {
                        let entries = (after + 1..=LAST).take(most).map(entry).collect();
                        feed.fetched(entries, &mut out)
                    }
                    None => Need::Nothing,
                },
                Step::Announce(head) => feed.announced(head),
                Step::Reached(head) => feed.reached(head),
                Step::Open(later) if feed.is_opening() => feed.opened(head.max(later), &mut out),
                Step::Waited | Step::Open(_) => Need::Nothing,
            };
            note(need, &mut fetch, &mut wait);
        }
        if feed.is_opening() {
            let need = feed.opened(head, &mut out);
            note(need, &mut fetch, &mut wait);
        }
        // The calm after: a majority read tells the head, and needs are met until there are none.
        let need = feed.reached(LAST);
        note(need, &mut fetch, &mut wait);
        while wait || fetch.is_some() {
            let need = if let Some(after) = fetch.take() {
                feed.fetched((after + 1..=LAST).take(7).map(entry).collect(), &mut out)
            } else {
                wait = false;
                feed.waited()
            };
            note(need, &mut fetch, &mut wait);
        }
        prop_assert_eq!(feed.delivered(), LAST);
        let seen = places(&out);
        let first = seen.first().copied().unwrap_or(LAST + 1);
        prop_assert_eq!(seen, (first..=LAST).collect::<Vec<_>>());
        prop_assert!(feed.trouble.is_none(), "a feed at rest keeps nothing");
    }
}
