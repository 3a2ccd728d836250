//! Connections that say nothing: what each of them takes of one gateway's memory.
//!
//! Every connection is another user's, signed in, follows their own stream and one room, and has its device registered.

use super::{Casualties, populate};
use crate::{
    client::Receiver,
    report::{
        Meter, Output, Report, float,
        process::{Reading, Watched},
        ratio,
    },
    server::{Server, ServerOptions, world::World},
};
use anyhow::Result;
use clap::Args;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Memory is read this often while it settles.
const READ_EVERY: Duration = Duration::from_secs(1);

/// It has settled when so many readings in a row …
const CALM_READINGS: usize = 10;

/// … differ by less than this share of the newest.
const CALM: f64 = 0.002;

/// Options of `idle`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    world: World,
    /// Connections.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// For how many seconds the memory may settle, before and after.
    #[arg(long, default_value_t = 60)]
    settle: u64,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Receives, and does nothing with it.
struct Silent;

impl Receiver for Silent {
    fn text(&mut self, _payload: &[u8]) {}
}

/// Runs the scenario.
pub(crate) async fn run(options: Options) -> Result<Report> {
    let settle = Duration::from_secs(options.settle);
    let server = Server::start(&options.server, options.world).await?;
    let before = settled(&server.gateway, settle).await?;

    let casualties = Casualties::default();
    let connections = populate(&server, options.world, options.connections, &casualties, |_| Silent).await?;
    let quiet = Meter::start(&server.watched)?;
    let quiet_since = Instant::now();
    let after = settled(&server.gateway, settle).await?;
    let usages = quiet.stop(quiet_since.elapsed().as_secs_f64(), 0)?;

    let mut report = Report::new("idle");
    report.setting("transport", &server.transport);
    report.setting("connections", &options.connections);
    report.setting("members of a room", &options.world.members);
    report.must_be_zero("connections that ended", casualties.count());
    for (name, reading) in [("RSS before", &before), ("RSS after", &after)] {
        report.measure(name, ratio(float(reading.resident), 1024.0), "KiB");
    }
    let open = float(connections.len() as u64 - casualties.count());
    let each = |before: u64, after: u64| ratio(float(after) - float(before), open);
    report.measure("RSS of a connection", each(before.resident, after.resident), "bytes");
    report.measure("heap and stacks alone", each(before.anonymous, after.anonymous), "bytes");
    report.processes(usages);
    Ok(report)
}

/// Waits until a process's memory no longer changes, or for as long as is allowed; gives the last reading.
async fn settled(process: &Watched, longest: Duration) -> Result<Reading> {
    let began = Instant::now();
    let mut recent = VecDeque::new();
    loop {
        let reading = Reading::of(process)?;
        recent.push_back(reading.resident);
        if recent.len() > CALM_READINGS {
            recent.pop_front();
        }
        if (recent.len() == CALM_READINGS && is_calm(recent.make_contiguous())) || began.elapsed() >= longest {
            return Ok(reading);
        }
        sleep(READ_EVERY).await;
    }
}

/// Whether all of these are close to the last.
fn is_calm(readings: &[u64]) -> bool {
    let last = readings.last().copied().unwrap_or_default();
    readings.iter().all(|reading| float(reading.abs_diff(last)) <= CALM * float(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_settled_when_it_hardly_changes() {
        assert!(is_calm(&[10_000, 10_010, 9_990, 10_000]));
        assert!(!is_calm(&[9_000, 9_990, 10_000]));
    }
}
