//! A followed stream on one core: its feed, its followers, and the frames that are about to go out.

use super::{connection::Seconds, newcomers::Newcomers};
use crate::{feed::Feed, transport::Shared};
use rookery_shared::{envelope::Event, ids::StreamId};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The cost of one write, as the design's measurements have it.
const WRITE_COST: Duration = Duration::from_micros(4);

/// A flush waits until so many tenths of its own cost have passed since the last one: half the CPU time of a busy
/// large room for 2 to 4 ms of median latency (measured for the design).
const PACE_TENTHS: u32 = 25;

/// No flush waits longer than this.
const LONGEST_PACE: Duration = Duration::from_millis(20);

/// Rooms whose flush costs less than this are never paced.
const SHORTEST_PACE: Duration = Duration::from_micros(500);

/// When a flush that waited found a single frame, so many go without waiting: the room is one whose speakers wait for
/// each other. Then it is tried again.
const UNPACED: u8 = 32;

/// With so many frames together, waiting for more saves little: a frame costs 0.4 µs in tens, 0.2 µs in thirties.
const FULL_FRAMES: usize = 16;

/// With so many bytes together, waiting for more saves nothing.
const FULL_BYTES: usize = 64 * 1024;

/// A stream that a core follows.
#[derive(Debug)]
pub struct Stream {
    /// Which.
    pub id: StreamId,
    /// Its number in the rings; never given twice.
    pub ring: u64,
    /// Order and holes.
    pub feed: Feed,
    /// Connections that are at the feed's place, by their places in the core's table.
    pub members: Vec<u32>,
    /// Those followers who may not see the log from its beginning.
    pub newcomers: Newcomers,
    /// How many members the room has, in the whole installation, when last told.
    pub member_count: u32,
    /// Since when nobody follows it; a moment later it is left.
    pub empty_since: Option<Seconds>,
    /// Whether somebody is opening it.
    pub claimed: bool,
    /// Sign-ins and others that keep it from being left while they wait for it.
    pub pins: u16,
    /// What is only there while something is under way.
    pub busy: Option<Box<Busy>>,
}

/// What is under way in a stream.
#[derive(Debug)]
pub struct Busy {
    /// Who waits for the feed to open.
    pub openers: Vec<oneshot::Sender<()>>,
    /// Connections that are to become members at another place than the feed's.
    pub attaching: Vec<Attaching>,
    /// What the feed has handed out and nobody has been written yet.
    pub pending: Vec<Event>,
    /// The bytes of its data.
    pub pending_bytes: usize,
    /// A flush that has not reached every member yet.
    pub flushing: Option<Flushing>,
    /// Whether the stream is in the core's list of what is to be flushed.
    pub queued: bool,
    /// No flush before this, unless much is there.
    pub not_before: Instant,
    /// Whether the pending frames have been made to wait.
    pub waited: bool,
    /// How many flushes go without waiting, because waiting brought nothing.
    pub unpaced: u8,
}

/// A flush under way.
#[derive(Debug)]
pub struct Flushing {
    /// The frames.
    pub frames: Shared,
    /// The first member that has not been written to.
    pub next: usize,
}

/// A connection on its way to becoming a member.
#[derive(Debug)]
pub struct Attaching {
    /// The connection's place in the core's table.
    pub connection: u32,
    /// What it waits for.
    pub until: Until,
}

/// What a connection waits for before it is a member.
#[derive(Debug)]
pub enum Until {
    /// The feed to hand out the entry at this place.
    Place(u64),
    /// A fetch of what came after its cursor; live entries queue behind it.
    Fetched {
        /// Tells this fetch from one that came before it for the same connection.
        ticket: u64,
        /// Live entries since it began to wait.
        queued: Vec<Event>,
        /// Their bytes.
        bytes: usize,
    },
}

impl Stream {
    /// A stream whose feed is not open yet.
    pub fn opening(id: StreamId, ring: u64) -> Self {
        Self {
            id,
            ring,
            feed: Feed::opening(),
            members: Vec::new(),
            newcomers: Newcomers::default(),
            member_count: 0,
            empty_since: None,
            claimed: false,
            pins: 0,
            busy: None,
        }
    }

    /// Whether nobody has anything to do with it.
    pub fn is_unused(&self) -> bool {
        self.members.is_empty()
            && self.pins == 0
            && self.busy.as_ref().is_none_or(|busy| busy.attaching.is_empty() && busy.openers.is_empty())
    }

    /// What is under way, made if there was nothing.
    pub fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_with(|| {
            Box::new(Busy {
                openers: Vec::new(),
                attaching: Vec::new(),
                pending: Vec::new(),
                pending_bytes: 0,
                flushing: None,
                queued: false,
                not_before: Instant::now(),
                waited: false,
                unpaced: 0,
            })
        })
    }

    /// How long from one flush to the next, at least: in proportion to what a flush costs.
    pub fn pace(members: usize) -> Duration {
        let pace = WRITE_COST * u32::try_from(members).unwrap_or(u32::MAX).min(1_000_000) * PACE_TENTHS / 10;
        if pace < SHORTEST_PACE { Duration::ZERO } else { pace.min(LONGEST_PACE) }
    }
}

impl Busy {
    /// So many pending frames go out now; says how long the next ones wait, given what these found.
    pub fn pace_next(&mut self, frames: usize, members: usize, now: Instant) {
        if std::mem::take(&mut self.waited) && frames == 1 {
            self.unpaced = UNPACED;
        }
        self.not_before = now;
        match self.unpaced.checked_sub(1) {
            Some(left) => self.unpaced = left,
            None => self.not_before += Stream::pace(members),
        }
    }

    /// Whether what is pending should go out without waiting for more.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= FULL_FRAMES || self.pending_bytes >= FULL_BYTES
    }

    /// Whether nothing is under way, so that it can be forgotten. The pace of a room outlives its last flush.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.openers.is_empty()
            && self.attaching.is_empty()
            && self.pending.is_empty()
            && self.flushing.is_none()
            && !self.queued
            && self.not_before <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_whose_speakers_wait_for_each_other_is_not_paced() {
        let mut stream = Stream::opening(StreamId::Room(rookery_shared::ids::RoomId::NIL), 1);
        let (now, busy) = (Instant::now(), stream.busy());
        let mut flush = |waited, frames| {
            busy.waited = waited;
            busy.pace_next(frames, 1_000, now);
            busy.not_before > now
        };
        assert!(flush(false, 1), "a room begins paced");
        assert!(flush(true, 2), "and stays so while waiting brings more");
        assert!((0..UNPACED).all(|n| !flush(n == 0, 1)), "waiting for nothing ends it");
        assert!(flush(false, 1), "until it is tried again");
    }

    #[test]
    fn only_large_rooms_are_paced_and_never_for_long() {
        assert_eq!(Stream::pace(5), Duration::ZERO);
        assert_eq!(Stream::pace(1_000), Duration::from_millis(10));
        assert_eq!(Stream::pace(1_000_000), LONGEST_PACE);
    }
}
