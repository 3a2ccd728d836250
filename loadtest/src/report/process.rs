//! What processes take of CPU and memory, read from /proc.

use super::{float, ratio};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::{fs, path::Path, str::FromStr};

/// Ticks of `/proc/<pid>/stat` in a second: the kernel's `USER_HZ`, 100 on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// What it is called in the report.
    pub(crate) name: String,
    /// Its id.
    pub(crate) pid: u32,
}

impl FromStr for Watched {
    type Err = String;

    /// Reads `name=pid`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("expected name=pid")?;
        let pid = pid.trim().parse().map_err(|_| "expected a number after =")?;
        Ok(Self { name: name.trim().to_owned(), pid })
    }
}

impl Watched {
    /// The load test itself.
    pub(crate) fn own() -> Self {
        Self { name: "loadtest".to_owned(), pid: std::process::id() }
    }

    /// Reads a file of lines `name pid`, as `scripts/cluster` writes it.
    pub(crate) fn from_file(path: &Path) -> Result<Vec<Self>> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let read = |line: &str| {
            let (name, pid) = line.trim().rsplit_once(' ').context("expected lines of name and pid")?;
            Ok(Self { name: name.trim().to_owned(), pid: pid.parse().context("expected lines of name and pid")? })
        };
        lines.map(read).collect()
    }
}

/// What a process has taken so far, and has now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Seconds of CPU, in user and kernel mode, all threads.
    pub(crate) cpu_seconds: f64,
    /// Resident bytes.
    pub(crate) resident: u64,
    /// Resident bytes that are no file's: heap and stacks.
    pub(crate) anonymous: u64,
}

impl Reading {
    /// Reads a process.
    pub(crate) fn of(process: &Watched) -> Result<Self> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{}/{file}", process.pid))
                .with_context(|| format!("{} (process {}) is not there", process.name, process.pid))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let ticks = cpu_ticks(&stat).with_context(|| format!("/proc/{}/stat cannot be read", process.pid))?;
        Ok(Self {
            cpu_seconds: ratio(float(ticks), TICKS_PER_SECOND),
            resident: status_bytes(&status, "VmRSS:").unwrap_or(0),
            anonymous: status_bytes(&status, "RssAnon:").unwrap_or(0),
        })
    }
}

/// Fields 14 and 15 of `stat`, user and system time. Field 2, the program's name in brackets, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// A line of `status`, which counts in KiB.
fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// What a process took during a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// What it is called.
    pub(crate) name: String,
    /// Seconds of CPU.
    pub(crate) cpu_seconds: f64,
    /// The same for each million of deliveries.
    pub(crate) cpu_seconds_per_million: f64,
    /// Share of one core.
    pub(crate) cores: f64,
    /// Resident bytes at the end.
    pub(crate) resident_bytes: u64,
}

/// Watches processes over a stretch of time.
pub(crate) struct Meter {
    began: Vec<(Watched, Reading)>,
}

impl Meter {
    /// Begins. A process that is not there is an error.
    pub(crate) fn start(watched: &[Watched]) -> Result<Self> {
        let began = watched.iter().map(|process| Ok((process.clone(), Reading::of(process)?)));
        Ok(Self { began: began.collect::<Result<_>>()? })
    }

    /// Ends, after so many seconds and deliveries.
    pub(crate) fn stop(&self, seconds: f64, deliveries: u64) -> Result<Vec<Usage>> {
        let usage = |(process, began): &(Watched, Reading)| {
            let now = Reading::of(process)?;
            Ok(usage(&process.name, began, &now, seconds, deliveries))
        };
        self.began.iter().map(usage).collect()
    }
}

fn usage(name: &str, began: &Reading, now: &Reading, seconds: f64, deliveries: u64) -> Usage {
    let cpu_seconds = now.cpu_seconds - began.cpu_seconds;
    Usage {
        name: name.to_owned(),
        cpu_seconds,
        cpu_seconds_per_million: ratio(cpu_seconds * 1e6, float(deliveries)),
        cores: ratio(cpu_seconds, seconds),
        resident_bytes: now.resident,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 150 0 0 0 25 17 3 4 20 0 1 0 100 1000 10 18446744073709551615";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert_eq!(status_bytes("VmRSS:\t  2 kB\nRssAnon:\t 1 kB\n", "RssAnon:"), Some(1024));
    }

    #[test]
    fn cpu_is_told_for_each_million_of_deliveries() {
        let began = Reading { cpu_seconds: 1.0, ..Reading::default() };
        let now = Reading { cpu_seconds: 3.0, resident: 5, anonymous: 4 };
        let usage = usage("g", &began, &now, 4.0, 500_000);
        assert!((usage.cpu_seconds_per_million - 4.0).abs() < 1e-9);
        assert!((usage.cores - 0.5).abs() < 1e-9);
        assert_eq!(usage.resident_bytes, 5);
    }

    #[test]
    fn a_process_is_named_on_the_command_line() {
        assert_eq!("api-1=17".parse(), Ok(Watched { name: "api-1".to_owned(), pid: 17 }));
        assert!("17".parse::<Watched>().is_err());
        assert!(Reading::of(&Watched::own()).is_ok_and(|reading| reading.resident > 0));
    }
}
