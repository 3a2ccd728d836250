//! Drives many thousands of connections at a cluster, or at one gateway alone, and reports what it saw.
//!
//! - `rooms`: a running cluster, through its balancer: real accounts, stored messages; nothing may be lost.
//! - `fanout`: one gateway whose api is pretended and whose bus is real: what delivering costs.
//! - `idle`: the same gateway with connections that say nothing: what they take of memory.
//! - `floor`: no gateway at all, the same bytes to as many sockets: what of `fanout`'s cost is the kernel's.
//!
//! The gateway of `fanout` and `idle`, and the writer of `floor`, are this program once more, in a process of its own
//! (`gateway`, `floor-server`), so that its CPU and memory can be told from those of the clients.

mod client;
mod report;
mod scenario;
mod server;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use report::{Output, Report};
use std::{future::Future, process::ExitCode};
use tokio::{runtime::Builder, task::LocalSet};

/// The gateway's own allocator: otherwise its memory would not be what is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Drives connections at Rookery and reports what it saw. Ends with 1 if something was lost, doubled or out of order.
#[derive(Debug, Parser)]
#[command(name = "rookery-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Many small rooms on a running cluster: every acknowledged message has to reach every member, once, in order.
    Rooms(scenario::rooms::Options),
    /// Large rooms, or many small ones, on one gateway, with events that enter on the bus: the cost of a delivery.
    Fanout(scenario::fanout::Options),
    /// Connections that say nothing: the memory that each of them takes of one gateway.
    Idle(scenario::idle::Options),
    /// The same bytes to as many plain sockets, and nothing else: what the kernel alone asks for a delivery.
    Floor(scenario::floor::Options),
    /// A real gateway in front of a pretended api. `fanout` and `idle` start it by themselves.
    Gateway(server::gateway::Options),
    /// Writes to sockets when it is told to. `floor` starts it by itself.
    FloorServer(server::floor::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("rookery-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command; tells whether everything was as it has to be.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Rooms(options) => clients(&options.output.clone(), scenario::rooms::run(options)),
        Command::Fanout(options) => {
            options.server.cores.pin_clients()?;
            clients(&options.output.clone(), scenario::fanout::run(options))
        }
        Command::Idle(options) => {
            options.server.cores.pin_clients()?;
            clients(&options.output.clone(), scenario::idle::run(options))
        }
        Command::Floor(options) => {
            options.cores.pin_clients()?;
            clients(&options.output.clone(), scenario::floor::run(options))
        }
        Command::FloorServer(options) => server::floor::run(&options).map(|()| true),
        Command::Gateway(options) => {
            let runtime = Builder::new_multi_thread().enable_all().build()?;
            let result = runtime.block_on(server::gateway::run(options));
            // Reading the standard input cannot be called back, and nobody waits for it.
            runtime.shutdown_background();
            result.map(|()| true)
        }
    }
}

/// Runs a scenario on one thread, which all of its connections share: nothing is locked, and the load that a machine
/// has to bear for its own measuring stays small.
fn clients(output: &Output, scenario: impl Future<Output = Result<Report>>) -> Result<bool> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            report = scenario => report,
            // What was started ends with its handles.
            () = rookery_shared::lifecycle::stop_signal() => bail!("stopped"),
        }
    })?;
    output.put(&report)?;
    Ok(report.passed())
}
