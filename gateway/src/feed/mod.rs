//! The feed of one stream on one core: what comes in any order, doubled or not at all, goes out in order, without
//! holes, once. A pure state machine: inputs in, entries and needs out; the hub performs the needs.

pub mod ring;

use rookery_shared::envelope::Event;
use std::collections::BTreeMap;

/// How many bytes of entries that came too early a feed keeps; beyond it they are dropped and fetched later.
const MAX_HELD_BYTES: usize = 256 * 1024;

/// How many sweeps in a row must have seen a head ahead of what was delivered before it counts as missing: what was
/// announced a moment ago is usually still under way.
const SWEEPS_BEFORE_FETCH: u8 = 2;

/// What a feed wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Call [`Feed::waited`] in a moment: an entry came too early, and the one before it may be just behind.
    Wait,
    /// Fetch what comes after this place, then call [`Feed::fetched`] or [`Feed::fetch_failed`].
    Fetch {
        /// Exclusive.
        after: u64,
    },
}

/// Where a feed stands.
#[derive(Debug)]
pub struct Feed {
    /// The place of the last entry handed out.
    delivered: u64,
    /// What is not plain sailing; a quiet feed has none, and takes 16 bytes.
    trouble: Option<Box<Trouble>>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// The head is not known yet; everything is held.
    opening: bool,
    /// Entries that came before their turn, by place.
    held: BTreeMap<u64, Event>,
    held_bytes: usize,
    /// A fetch is under way, begun when the log was known to have reached this place.
    fetching: Option<u64>,
    /// A [`Need::Wait`] is under way.
    waiting: bool,
    /// A place that the log is known to have reached.
    known_head: u64,
    /// How many sweeps have seen us behind, in a row.
    behind: u8,
}

impl Feed {
    /// A feed whose head is not known yet: it holds what comes until [`Feed::opened`].
    pub fn opening() -> Self {
        Self { delivered: 0, trouble: Some(Box::new(Trouble { opening: true, ..Trouble::default() })) }
    }

    /// Whether the head is still unknown.
    pub fn is_opening(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.opening)
    }

    /// The place of the last entry handed out.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The head is known: entries up to it are history. Later entries that were held go out. A feed that is open
    /// already takes the head as one that the log is known to have reached.
    pub fn opened(&mut self, head: u64, out: &mut Vec<Event>) -> Need {
        match &mut self.trouble {
            Some(trouble) if trouble.opening => {
                trouble.opening = false;
                self.delivered = head;
                self.proceed(out)
            }
            _ => self.reached(head),
        }
    }

    /// An entry came in, from the bus.
    pub fn event(&mut self, event: Event, out: &mut Vec<Event>) -> Need {
        let seq = event.header.seq;
        match &mut self.trouble {
            None if seq == self.delivered + 1 => {
                self.delivered = seq;
                out.push(event);
                return Need::Nothing;
            }
            Some(trouble) if trouble.opening => {}
            _ if seq <= self.delivered => return Need::Nothing,
            _ => {}
        }
        let trouble = self.trouble.get_or_insert_default();
        trouble.known_head = trouble.known_head.max(seq);
        if trouble.held_bytes + event.data.len() <= MAX_HELD_BYTES || seq == self.delivered + 1 {
            let bytes = event.data.len();
            if trouble.held.insert(seq, event).is_none() {
                trouble.held_bytes += bytes;
            }
        }
        self.proceed(out)
    }

    /// The moment asked for by [`Need::Wait`] is over.
    pub fn waited(&mut self) -> Need {
        let Some(trouble) = &mut self.trouble else { return Need::Nothing };
        trouble.waiting = false;
        self.fetch_if_behind()
    }

    /// A fetch has come back with entries after the place asked for, in order and without holes, as many as there
    /// were or as fit.
    pub fn fetched(&mut self, entries: Vec<Event>, out: &mut Vec<Event>) -> Need {
        let Some(trouble) = &mut self.trouble else { return Need::Nothing };
        let asked = trouble.fetching.take();
        let before = self.delivered;
        for entry in entries {
            if entry.header.seq == self.delivered + 1 {
                self.delivered += 1;
                out.push(entry);
            }
        }
        if self.delivered == before && asked.is_none_or(|asked| trouble.known_head <= asked) {
            // A majority read shows no more than this: what was announced was never written, or is not yet. An
            // entry that was held proves the latter, and is not forgotten; nor is what became known meanwhile.
            trouble.known_head = trouble.held.last_key_value().map_or(before, |(seq, _)| *seq);
            trouble.behind = 0;
        }
        self.proceed(out)
    }

    /// A fetch came to nothing. The caller tries again in its own time, through [`Feed::waited`].
    pub fn fetch_failed(&mut self) -> Need {
        let Some(trouble) = &mut self.trouble else { return Need::Nothing };
        trouble.fetching = None;
        self.wait()
    }

    /// The log is known to have reached this place: a majority read said so.
    pub fn reached(&mut self, head: u64) -> Need {
        if head <= self.delivered {
            return Need::Nothing;
        }
        let trouble = self.trouble.get_or_insert_default();
        trouble.known_head = trouble.known_head.max(head);
        self.fetch_if_behind()
    }

    /// A sweep has seen this head announced. Ahead of what was delivered for two sweeps means that something is
    /// missing.
    pub fn announced(&mut self, head: u64) -> Need {
        if head <= self.delivered {
            if let Some(trouble) = &mut self.trouble {
                trouble.behind = 0;
            }
            return Need::Nothing;
        }
        let trouble = self.trouble.get_or_insert_default();
        trouble.behind = trouble.behind.saturating_add(1);
        if trouble.behind < SWEEPS_BEFORE_FETCH {
            return Need::Nothing;
        }
        self.reached(head)
    }

    /// Hands out what is held and next; settles what is still wanted.
    fn proceed(&mut self, out: &mut Vec<Event>) -> Need {
        let Some(trouble) = &mut self.trouble else { return Need::Nothing };
        if trouble.opening {
            return Need::Nothing;
        }
        while let Some(first) = trouble.held.first_entry() {
            if *first.key() > self.delivered + 1 {
                break;
            }
            let event = first.remove();
            trouble.held_bytes -= event.data.len();
            if event.header.seq == self.delivered + 1 {
                self.delivered += 1;
                out.push(event);
            }
        }
        if trouble.known_head <= self.delivered && trouble.fetching.is_none() && !trouble.waiting {
            self.trouble = None;
            return Need::Nothing;
        }
        if trouble.known_head <= self.delivered { Need::Nothing } else { self.wait() }
    }

    fn wait(&mut self) -> Need {
        match &mut self.trouble {
            Some(trouble) if !trouble.waiting && trouble.fetching.is_none() => {
                trouble.waiting = true;
                Need::Wait
            }
            _ => Need::Nothing,
        }
    }

    fn fetch_if_behind(&mut self) -> Need {
        match &mut self.trouble {
            Some(trouble) if trouble.opening || trouble.fetching.is_some() => Need::Nothing,
            Some(trouble) if trouble.known_head > self.delivered => {
                trouble.fetching = Some(trouble.known_head);
                Need::Fetch { after: self.delivered }
            }
            Some(trouble) if trouble.waiting => Need::Nothing,
            _ => {
                self.trouble = None;
                Need::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests;
