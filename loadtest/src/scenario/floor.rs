//! What the kernel alone asks for the fan-out that `fanout` measures: the peer to hold its figures against, on the same
//! machine in the same minute.
//!
//! A process that does nothing but write sends the bytes of `--frames` messages to every socket in turn, one call
//! each. `--frames 1` is the peer of one broadcast at a time (`fanout --in-flight 1`), and 16 that of a gateway which
//! puts all of 16 in flight into one write. The clients read as those of `fanout` do. It is a closed loop: the next
//! flush is ordered when every client has the last one, or, with `--in-flight 2`, when one flush's worth is missing.

use super::{Casualties, OPENED_AT_ONCE, Seconds};
use crate::{
    client::{Dialer, Receiver, Scratch, crowd, text},
    report::{Meter, Output, Report, float, ratio},
    server::{
        Cores,
        floor::{Buffer, Floor},
        world::World,
    },
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::{
    cell::Cell,
    io,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{task::spawn_local, time::sleep};

/// How long what is under way at the end may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Options of `floor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) cores: Cores,
    #[command(flatten)]
    world: World,
    #[command(flatten)]
    buffer: Buffer,
    /// Flushes in flight: 1, or 2 for a server that does not wait for the clients to have read the last one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    in_flight: u8,
    /// Seconds before anything is measured.
    #[arg(long, default_value = "2")]
    warm_up: Seconds,
    /// Seconds that are measured.
    #[arg(long, default_value = "10")]
    seconds: Seconds,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What was seen so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    deliveries: u64,
    reads: u64,
    /// Frames that are no message of the size that was asked for.
    foreign: u64,
}

/// The closed loop. On one thread with everything that receives, so cells are enough.
struct Load<F> {
    flush: F,
    in_flight: u64,
    frame_bytes: usize,
    /// Deliveries of one flush.
    per_flush: u64,
    ordered: Cell<u64>,
    running: Cell<bool>,
    seen: Cell<Seen>,
}

impl<F: Fn() -> io::Result<()>> Load<F> {
    fn new(options: &Options, flush: F) -> Rc<Self> {
        Rc::new(Self {
            flush,
            in_flight: options.in_flight.into(),
            frame_bytes: options.buffer.frame_bytes.into(),
            per_flush: u64::from(options.world.members) * u64::from(options.buffer.frames),
            ordered: Cell::new(0),
            running: Cell::new(false),
            seen: Cell::default(),
        })
    }

    /// Orders what may be under way beside what has not arrived. A server that is gone shows by its connections.
    fn order(&self) {
        let arrived = self.seen.get().deliveries / self.per_flush;
        while self.running.get() && self.ordered.get() < arrived + self.in_flight {
            self.ordered.set(self.ordered.get() + 1);
            let _ = (self.flush)();
        }
    }

    /// One read has brought this.
    fn arrived(&self, fresh: Seen) {
        let mut seen = self.seen.get();
        seen.deliveries += fresh.deliveries;
        seen.foreign += fresh.foreign;
        seen.reads += 1;
        self.seen.set(seen);
        self.order();
    }

    fn expected(&self) -> u64 {
        self.ordered.get() * self.per_flush
    }

    /// Orders nothing more, and waits until everything has arrived or for as long as is allowed.
    async fn drain(&self) {
        self.running.set(false);
        let began = Instant::now();
        while self.seen.get().deliveries < self.expected() && began.elapsed() < DRAIN {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A client: counts.
struct Member<F> {
    load: Rc<Load<F>>,
    fresh: Seen,
}

impl<F: Fn() -> io::Result<()>> Receiver for Member<F> {
    fn text(&mut self, payload: &[u8]) {
        if text::is_message(payload) && payload.len() == self.load.frame_bytes {
            self.fresh.deliveries += 1;
        } else {
            self.fresh.foreign += 1;
        }
    }

    fn read_ended(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        if fresh.deliveries + fresh.foreign > 0 {
            self.load.arrived(fresh);
        }
    }
}

/// Runs the scenario.
pub(crate) async fn run(options: Options) -> Result<Report> {
    let count = options.world.members as usize;
    crowd::check_open_files(count)?;
    let mut server = Floor::start(&options.cores, options.world, options.buffer).await?;
    let load = Load::new(&options, server.flusher());
    let (dialer, scratch, casualties) = (Dialer::new(server.address), Scratch::new(), Casualties::default());
    let _connections = crowd::for_each("connections", count, OPENED_AT_ONCE, |number| {
        let member = Member { load: load.clone(), fresh: Seen::default() };
        let (scratch, casualties) = (scratch.clone(), casualties.clone());
        async move {
            let socket = dialer.connect_plain(number).await?;
            let outgoing = socket.outgoing.clone();
            spawn_local(async move {
                let ended = socket.incoming.run(scratch, socket.outgoing, member).await;
                casualties.add(number, ended);
            });
            Ok(outgoing)
        }
    })
    .await?;

    load.running.set(true);
    load.order();
    sleep(options.warm_up.0).await;
    if load.seen.get().deliveries == 0 {
        bail!("nothing was delivered in {} s", options.warm_up);
    }
    let (began, at) = (load.seen.get(), Instant::now());
    let meter = Meter::start(&server.watched)?;
    sleep(options.seconds.0).await;
    let (ended, seconds) = (load.seen.get(), at.elapsed().as_secs_f64());
    let usages = meter.stop(seconds, ended.deliveries - began.deliveries).context("after the measurement")?;
    load.drain().await;
    let (seen, tally) = (load.seen.get(), server.tally().await?);

    let mut report = Report::new("floor");
    report.setting("connections", &count);
    report.setting("frames in a flush", &options.buffer.frames);
    report.setting("offered", &format!("{} in flight", options.in_flight));
    report.setting("frame bytes", &options.buffer.frame_bytes);
    let deliveries = float(ended.deliveries - began.deliveries);
    report.measure("measured", seconds, "s");
    report.measure("broadcasts", ratio(deliveries, float(u64::from(options.world.members)) * seconds), "per s");
    report.measure("deliveries", ratio(deliveries, seconds), "per s");
    report.measure("frames in a write", ratio(float(seen.deliveries), float(tally.writes)), "");
    report.measure("frames in a read", ratio(deliveries, float(ended.reads - began.reads)), "");
    report.processes(usages);
    report.count("writes that had to wait", tally.waits);
    report.count("expected in all", load.expected());
    report.count("delivered in all", seen.deliveries);
    report.must_be_zero("lost", load.expected().saturating_sub(seen.deliveries));
    report.must_be_zero("delivered beyond", seen.deliveries.saturating_sub(load.expected()));
    report.must_be_zero("frames of another sort", seen.foreign);
    report.must_be_zero("connections that ended", casualties.count());
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_flush_is_ordered_for_each_that_has_arrived() {
        let arguments = ["floor", "--members", "3", "--frames", "2", "--in-flight", "2"];
        let options = Cli::parse_from(arguments).options;
        let orders = Rc::new(Cell::new(0));
        let counted = orders.clone();
        let load = Load::new(&options, move || {
            counted.set(counted.get() + 1);
            Ok(())
        });
        let arrive = |deliveries| {
            load.arrived(Seen { deliveries, ..Seen::default() });
            orders.get()
        };
        load.running.set(true);
        load.order();
        assert_eq!(orders.get(), 2);
        assert_eq!([arrive(5), arrive(1), arrive(12)], [2, 3, 5]);
        load.running.set(false);
        assert_eq!(arrive(12), 5);
        assert_eq!((load.expected(), load.seen.get().deliveries, load.seen.get().reads), (30, 30, 4));
    }
}
