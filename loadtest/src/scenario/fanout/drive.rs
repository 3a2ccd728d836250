//! The load: publishes broadcasts, and the next ones when others are complete or their time has come.

use super::flight::Flight;
use crate::{
    client::{
        Transport,
        text::{AROUND_DATA, SOCKETIO_AROUND_DATA},
    },
    report::{Latencies, float},
    server::world::World,
};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use rookery_shared::{
    bus::{Bus, RedisBus},
    clock,
    envelope::{Event, Header, Kind},
    ids::StreamId,
};
use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task::spawn_local, time::sleep};

/// Broadcasts of one room that may be under way at a fixed rate; more are not offered, and counted.
const RATE_WINDOW: u32 = 4_096;

/// Digits of a number that a frame's size is made for.
const DIGITS: usize = 6;

/// How broadcasts are offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Offer {
    /// A closed loop with so many under way.
    InFlight(u32),
    /// So many a second.
    Rate(f64),
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight(count) => write!(f, "{count} in flight"),
            Self::Rate(rate) => write!(f, "{rate} per s"),
        }
    }
}

/// What was seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Messages that reached a member.
    pub(super) deliveries: u64,
    /// Broadcasts that are complete.
    pub(super) broadcasts: u64,
    /// Reads that brought messages.
    pub(super) reads: u64,
    /// Messages beyond those that were published.
    pub(super) surplus: u64,
    /// Messages with another number than the next.
    pub(super) disorder: u64,
    /// Broadcasts that were not offered, as too many were under way.
    pub(super) skipped: u64,
}

/// The load on all rooms. On one thread with everything that receives, so cells are enough.
pub(super) struct Load {
    bus: Arc<RedisBus>,
    rooms: Vec<(StreamId, RefCell<Flight>)>,
    members: u32,
    offer: Offer,
    data: Bytes,
    began: Instant,
    /// The room that is next.
    turn: Cell<usize>,
    running: Cell<bool>,
    seen: Cell<Seen>,
    /// Whether latencies are taken.
    pub(super) measuring: Cell<bool>,
    /// From publishing to one member (sampled).
    pub(super) to_member: RefCell<Latencies>,
    /// From publishing to the last member.
    pub(super) to_all: RefCell<Latencies>,
}

impl Load {
    /// A load that has not begun.
    pub(super) fn new(bus: Arc<RedisBus>, world: World, rooms: u32, offer: Offer, data: Bytes) -> Rc<Self> {
        let window = match offer {
            Offer::InFlight(count) => count,
            Offer::Rate(_) => RATE_WINDOW,
        };
        let room = |number| {
            let flight = RefCell::new(Flight::new(world.members, window));
            (StreamId::Room(world.room(number as usize)), flight)
        };
        Rc::new(Self {
            bus,
            rooms: (0..rooms).map(room).collect(),
            members: world.members,
            offer,
            data,
            began: Instant::now(),
            turn: Cell::new(0),
            running: Cell::new(false),
            seen: Cell::default(),
            measuring: Cell::new(false),
            to_member: RefCell::new(Latencies::new()),
            to_all: RefCell::new(Latencies::new()),
        })
    }

    /// Begins to publish.
    pub(super) fn begin(self: &Rc<Self>) {
        self.running.set(true);
        match self.offer {
            Offer::InFlight(count) => self.publish(u64::from(count)),
            Offer::Rate(rate) => drop(spawn_local(self.clone().keep_pace(rate))),
        }
    }

    /// Publishes at a fixed rate, whatever becomes of it.
    async fn keep_pace(self: Rc<Self>, rate: f64) {
        let began = Instant::now();
        let mut offered = 0_u64;
        while self.running.get() {
            // As many as are due, so that a late wake-up changes the spacing and not the rate.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2^52")]
            let due = (began.elapsed().as_secs_f64() * rate) as u64 + 1;
            self.publish(due - offered);
            offered = due;
            let next = Duration::from_secs_f64(float(due) / rate);
            sleep(next.saturating_sub(began.elapsed())).await;
        }
    }

    /// Publishes so many broadcasts, one room after the other.
    fn publish(&self, count: u64) {
        let (now, published_at) = (self.now(), clock::micros());
        let mut events = Vec::new();
        for _ in 0..count {
            let turn = self.turn.get();
            self.turn.set((turn + 1) % self.rooms.len());
            let (stream, flight) = &self.rooms[turn];
            match flight.borrow_mut().publish(now) {
                Some(seq) => {
                    let header = Header { published_at, ..Header::new(Kind::Message, *stream, seq) };
                    events.push(Event { header, data: self.data.clone() });
                }
                None => self.note(|seen| seen.skipped += 1),
            }
        }
        if !events.is_empty() {
            self.bus.publish(events);
        }
    }

    /// A member that had `had` messages has received `more`.
    pub(super) fn arrived(&self, room: usize, had: u64, more: u64, sampled: bool) {
        let (now, measuring) = (self.now(), self.measuring.get());
        let since = |published: u64| Duration::from_nanos(now.saturating_sub(published));
        let mut flight = self.rooms[room].1.borrow_mut();
        if sampled && measuring {
            let mut latencies = self.to_member.borrow_mut();
            for seq in had + 1..=(had + more).min(flight.sent()) {
                latencies.saw(since(flight.published(seq)));
            }
        }
        let mut complete = 0;
        let surplus = flight.arrive(had, more, |published| {
            complete += 1;
            if measuring {
                self.to_all.borrow_mut().saw(since(published));
            }
        });
        drop(flight);
        self.note(|seen| {
            seen.deliveries += more;
            seen.reads += 1;
            seen.broadcasts += complete;
            seen.surplus += surplus;
        });
        if complete > 0 && self.running.get() && matches!(self.offer, Offer::InFlight(_)) {
            self.publish(complete);
        }
    }

    /// A message came with another number than the next.
    pub(super) fn disordered(&self) {
        self.note(|seen| seen.disorder += 1);
    }

    /// Publishes nothing more, and waits until everything has arrived; false if it has not in time.
    pub(super) async fn drain(&self, longest: Duration) -> bool {
        self.running.set(false);
        let began = Instant::now();
        while !self.rooms.iter().all(|(_, flight)| flight.borrow().is_idle()) {
            if began.elapsed() > longest {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        // What comes twice would come now.
        sleep(Duration::from_millis(500)).await;
        true
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.get()
    }

    /// Deliveries that were owed so far.
    pub(super) fn expected(&self) -> u64 {
        self.rooms.iter().map(|(_, flight)| flight.borrow().sent()).sum::<u64>() * u64::from(self.members)
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.get();
        change(&mut seen);
        self.seen.set(seen);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The data of a message, so long that its frame has this many bytes.
pub(super) fn data(transport: Transport, frame: usize) -> Result<Bytes> {
    let around_data = match transport {
        Transport::Ws => AROUND_DATA,
        Transport::Socketio => SOCKETIO_AROUND_DATA,
    };
    let (before, after) = ("{\"content\":\"", "\"}");
    let around = around_data + DIGITS + before.len() + after.len();
    let content = frame.checked_sub(around).with_context(|| format!("a frame has at least {around} bytes"))?;
    Ok(format!("{before}{}{after}", "x".repeat(content)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_bytes_that_were_asked_for() {
        let data = data(Transport::Ws, 230).expect("large enough");
        let head = r#"{"type":"new_message","roomId":"0190a000-0000-7000-8000-000000000001","seq":123456,"data":"#;
        assert_eq!(head.len() + data.len() + 1, 230);
        assert!(super::data(Transport::Ws, 50).is_err());
    }
}
