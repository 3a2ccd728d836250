//! On which cores the measured process runs, and on which its clients.

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::ffi::OsString;
use tokio::process::Command;

/// Where server and clients run. Numbers are only comparable when each side has cores of its own.
#[derive(Args, Clone, Debug)]
pub(crate) struct Cores {
    /// Cores of the server, as for `taskset -c`. Numbers are only comparable when server and clients have their own.
    #[arg(long, value_name = "CORES")]
    server_cpu: Option<String>,
    /// Cores of the clients and of a Redis that is started for them, as for `taskset -c`.
    #[arg(long, value_name = "CORES")]
    client_cpu: Option<String>,
}

impl Cores {
    /// Moves this process to the cores that are given for clients. Before there are other threads, which inherit it.
    pub(crate) fn pin_clients(&self) -> Result<()> {
        if let Some(cores) = &self.client_cpu {
            let own = std::process::id().to_string();
            let output = std::process::Command::new("taskset").args(["-c", "-p", cores, &own]).output();
            let output = output.context("starting taskset (Debian: util-linux)")?;
            ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// This program once more, on cores of its own where wanted. `taskset` becomes what it starts, and keeps its id.
    pub(super) fn this_program(&self) -> Result<Command> {
        if self.server_cpu.is_none() || self.client_cpu.is_none() {
            eprintln!("  nothing is pinned; for numbers to compare: --server-cpu 1 --client-cpu 0 (taskset -c)");
        }
        let own = std::env::current_exe().context("the path of this program")?;
        Ok(self.program(own.into()))
    }

    /// Another program, in the same place.
    pub(super) fn program(&self, program: OsString) -> Command {
        match &self.server_cpu {
            None => Command::new(program),
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(program);
                command
            }
        }
    }
}
