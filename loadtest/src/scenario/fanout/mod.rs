//! Broadcasts on one gateway: what a delivery costs.
//!
//! Messages enter as events on the bus, published straight to Redis with dense numbers from 1 on. A broadcast is
//! complete when every member has received it. Two ways to offer them: a closed loop, in which the next one is
//! published when one is complete (`--in-flight`), or a fixed rate (`--rate`).

mod drive;
mod flight;
mod member;

use super::{Casualties, Seconds, populate};
use crate::{
    report::{Meter, Output, Report, float, ratio},
    server::{Server, ServerOptions, world::World},
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use drive::{Load, Offer};
use member::Member;
use rookery_shared::{bus::RedisBus, redis_link::RedisConfig};
use std::{
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Between sign-in and the first message: what members are told of each other has arrived by then.
const CALM: Duration = Duration::from_secs(2);

/// How long what is under way at the end may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Share of a core from which on the clients are said to be the limit.
const BUSY: f64 = 0.95;

/// Options of `fanout`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    world: World,
    /// Rooms. Every member has one connection and is in one room.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,
    /// Broadcasts in flight, in all rooms together. Default: 16, or one for each room if that is more.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: Option<u32>,
    /// Broadcasts a second, evenly, instead of a closed loop.
    #[arg(long, conflicts_with = "in_flight")]
    rate: Option<f64>,
    /// Bytes of a message's frame, without the few of the WebSocket's own.
    #[arg(long, default_value_t = 230)]
    frame_bytes: usize,
    /// Seconds before anything is measured.
    #[arg(long, default_value = "2")]
    warm_up: Seconds,
    /// Seconds that are measured.
    #[arg(long, default_value = "10")]
    seconds: Seconds,
    /// One member in so many looks at every frame's number and takes its time; the others count.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Options {
    fn offer(&self) -> Result<Offer> {
        match self.rate {
            None => Ok(Offer::InFlight(self.in_flight.unwrap_or(self.rooms.max(16)))),
            Some(rate) if rate.is_finite() && (0.001..=1e6).contains(&rate) => Ok(Offer::Rate(rate)),
            Some(_) => bail!("the rate has to be between 0.001 and 1,000,000 broadcasts a second"),
        }
    }
}

/// Runs the scenario.
pub(crate) async fn run(options: Options) -> Result<Report> {
    let (world, offer) = (options.world, options.offer()?);
    let connections = options.rooms as usize * world.members as usize;
    let server = Server::start(&options.server, world).await?;
    let redis = RedisConfig { prefix: server.prefix.clone(), ..RedisConfig::single(server.redis.clone()) };
    let bus = RedisBus::connect(redis, None).await?;
    let data = drive::data(server.transport, options.frame_bytes)?;
    let load = Load::new(bus, world, options.rooms, offer, data);

    let casualties = Casualties::default();
    let receiver = |number: usize| {
        let sampled = number.is_multiple_of(options.sample as usize);
        Member::new(load.clone(), world.room_number(number), sampled)
    };
    let _connections = populate(&server, world, connections, &casualties, receiver).await?;
    sleep(CALM).await;

    load.begin();
    sleep(options.warm_up.0).await;
    if load.seen().deliveries == 0 {
        bail!("nothing was delivered in {} s", options.warm_up);
    }
    let stretch = measure(&load, &server, options.seconds.0).await?;
    let drained = load.drain(DRAIN).await;

    let mut report = Report::new("fanout");
    report.setting("transport", &server.transport);
    report.setting("rooms", &options.rooms);
    report.setting("members of a room", &world.members);
    report.setting("offered", &offer);
    report.setting("frame bytes", &options.frame_bytes);
    stretch.put(&load, &mut report);
    account(&load, &casualties, drained, &mut report);
    Ok(report)
}

/// What a measured stretch of time has brought.
struct Stretch {
    seconds: f64,
    began: drive::Seen,
    ended: drive::Seen,
    usages: Vec<crate::report::Usage>,
}

async fn measure(load: &Rc<Load>, server: &Server, time: Duration) -> Result<Stretch> {
    load.measuring.set(true);
    let (began, at) = (load.seen(), Instant::now());
    let meter = Meter::start(&server.watched)?;
    sleep(time).await;
    let (ended, seconds) = (load.seen(), at.elapsed().as_secs_f64());
    let usages = meter.stop(seconds, ended.deliveries - began.deliveries).context("after the measurement")?;
    load.measuring.set(false);
    Ok(Stretch { seconds, began, ended, usages })
}

impl Stretch {
    fn put(self, load: &Load, report: &mut Report) {
        let deliveries = float(self.ended.deliveries - self.began.deliveries);
        let broadcasts = float(self.ended.broadcasts - self.began.broadcasts);
        report.measure("measured", self.seconds, "s");
        report.measure("broadcasts", ratio(broadcasts, self.seconds), "per s");
        report.measure("deliveries", ratio(deliveries, self.seconds), "per s");
        report.measure("frames in a read", ratio(deliveries, float(self.ended.reads - self.began.reads)), "");
        report.latency("to a member", &load.to_member.borrow());
        report.latency("to all members", &load.to_all.borrow());
        let own = self.usages.iter().find(|usage| usage.name == "loadtest");
        if own.is_some_and(|own| own.cores > BUSY) {
            report.setting("limited by", "the clients");
        }
        report.processes(self.usages);
    }
}

/// Whether everything came, once and in order.
fn account(load: &Load, casualties: &Casualties, drained: bool, report: &mut Report) {
    let (seen, expected) = (load.seen(), load.expected());
    report.count("expected in all", expected);
    report.count("delivered in all", seen.deliveries);
    report.must_be_zero("lost", expected.saturating_sub(seen.deliveries - seen.surplus));
    report.must_be_zero("delivered beyond", seen.surplus);
    report.must_be_zero("out of order in samples", seen.disorder);
    report.must_be_zero("not offered in time", seen.skipped);
    report.must_be_zero("connections that ended", casualties.count());
    if !drained {
        report.fail(format!("not everything had arrived {} s after the last message", DRAIN.as_secs()));
    }
}
