//! What a run has seen: figures, latencies, what the processes took, and whether it was as it has to be.

pub(crate) mod latency;
pub(crate) mod process;
mod table;

pub(crate) use self::{
    latency::{Latencies, Latency},
    process::{Meter, Usage, Watched},
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{Write as _, stdout},
    path::PathBuf,
};

/// Where a report goes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Output {
    /// Also write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    /// Prints a report, and writes it where that was asked for.
    pub(crate) fn put(&self, report: &Report) -> Result<()> {
        write!(stdout().lock(), "{}", table::of(report))?;
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&report.to_json())?;
            fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

/// What a figure says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Amount {
    /// So many.
    Count(u64),
    /// So much.
    Measure(f64),
}

/// A number with a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// What it counts or measures.
    pub(crate) name: &'static str,
    /// The number.
    pub(crate) value: Amount,
    /// In what; empty for a count.
    pub(crate) unit: &'static str,
}

/// What a run has seen.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    scenario: &'static str,
    settings: Vec<(&'static str, String)>,
    figures: Vec<Figure>,
    latencies: Vec<Latency>,
    processes: Vec<Usage>,
    failures: Vec<String>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            settings: Vec::new(),
            figures: Vec::new(),
            latencies: Vec::new(),
            processes: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Notes a setting that the numbers depend on.
    pub(crate) fn setting(&mut self, name: &'static str, value: &(impl ToString + ?Sized)) {
        self.settings.push((name, value.to_string()));
    }

    /// Notes a count.
    pub(crate) fn count(&mut self, name: &'static str, count: u64) {
        self.figures.push(Figure { name, value: Amount::Count(count), unit: "" });
    }

    /// Notes a count that has to be 0.
    pub(crate) fn must_be_zero(&mut self, name: &'static str, count: u64) {
        self.count(name, count);
        if count != 0 {
            self.failures.push(format!("{name} is {count} and has to be 0"));
        }
    }

    /// Notes a measurement.
    pub(crate) fn measure(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name, value: Amount::Measure(value), unit });
    }

    /// Notes latencies.
    pub(crate) fn latency(&mut self, name: &'static str, latencies: &Latencies) {
        self.latencies.push(latencies.summary(name));
    }

    /// Notes what processes took.
    pub(crate) fn processes(&mut self, usages: Vec<Usage>) {
        self.processes.extend(usages);
    }

    /// Notes that something was not as it has to be.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    /// Whether everything was as it has to be.
    pub(crate) fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// The report for programs. Names are those of the table with underscores.
    fn to_json(&self) -> Value {
        let key = |name: &str| name.replace(' ', "_");
        let settings: Map<_, _> = self.settings.iter().map(|(name, value)| (key(name), json!(value))).collect();
        let figure = |figure: &Figure| {
            let unit = if figure.unit.is_empty() { String::new() } else { format!("_{}", figure.unit) };
            (key(&format!("{}{unit}", figure.name)), json!(figure.value))
        };
        let figures: Map<_, _> = self.figures.iter().map(figure).collect();
        json!({
            "scenario": self.scenario,
            "passed": self.passed(),
            "failures": self.failures,
            "settings": settings,
            "figures": figures,
            "latencies": self.latencies,
            "processes": self.processes,
        })
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// `part` for each of `whole`; 0 where there is none.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_has_to_be_zero_fails_the_run_otherwise() {
        let mut report = Report::new("test");
        report.must_be_zero("lost", 0);
        assert!(report.passed());
        report.must_be_zero("out of order", 3);
        assert!(!report.passed());
        let json = report.to_json();
        assert_eq!(json["figures"]["out_of_order"], 3);
        assert_eq!(json["passed"], false);
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert!(ratio(1.0, 0.0) == 0.0);
        assert!((ratio(1.0, 4.0) - 0.25).abs() < f64::EPSILON);
    }
}
