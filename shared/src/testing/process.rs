//! A child process in a folder of its own, and waiting for conditions.

use rand::RngExt as _;
use std::{
    ffi::OsString,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest wait for any condition of a test; generous because a shared machine may be busy with something else.
const DEADLINE: Duration = Duration::from_mins(1);

/// Waits until `check` gives something, asking again every few milliseconds.
///
/// # Panics
/// After a minute, with `what` was waited for.
pub async fn poll<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port of 127.0.0.1 that nobody listens on. It lies below the range from which the kernel takes the local ports of
/// outgoing connections, so that a server that was killed finds its port free when it starts again.
///
/// # Panics
/// If no port is free.
pub fn free_port() -> u16 {
    let mut random = rand::rng();
    (0..1000)
        .map(|_| random.random_range(12_000..32_000))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

/// The program that the variable names, else the default.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
pub(super) fn program(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

/// A server process that ends with its handle, and the folder that it works in.
#[derive(Debug)]
pub(super) struct Process {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: TempDir,
    child: Option<Child>,
}

impl Process {
    /// Starts a program; `arguments` are made from its folder.
    pub(super) fn start(program: PathBuf, arguments: impl FnOnce(&Path) -> Vec<OsString>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = arguments(folder.path());
        let mut process = Self { program, arguments, folder, child: None };
        process.spawn();
        process
    }

    /// Starts the program again with the same arguments in the same folder; nothing if it runs.
    pub(super) fn spawn(&mut self) {
        if self.child.is_some() {
            return;
        }
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display()));
        self.child = Some(child);
    }

    /// Ends the process with SIGKILL and waits until it is gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a child that is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether the process has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    /// Sends a signal to the child, for example `STOP`. The standard library knows only SIGKILL.
    pub(super) fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let id = child.id().to_string();
            let status = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
            assert!(status.success(), "signal {name} was not delivered");
        }
    }

    /// The last part of the server's log, for the message of a panic.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
