//! A report for people.

use super::{Amount, Report};
use std::fmt::Write as _;

/// The report as text, columns aligned.
pub(super) fn of(report: &Report) -> String {
    let mut out = format!("\n{}\n\n", report.scenario);
    for (name, value) in &report.settings {
        line(&mut out, format_args!("  {name:<34} {value:>16}"));
    }
    out.push('\n');
    for figure in &report.figures {
        line(&mut out, format_args!("  {:<34} {:>16} {}", figure.name, amount(figure.value), figure.unit));
    }
    if !report.latencies.is_empty() {
        out.push('\n');
        let head = ["milliseconds", "p50", "p90", "p99", "max", "count"];
        line(&mut out, row(head[0], &head[1..].iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
    for latency in &report.latencies {
        let times = [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms];
        let mut cells: Vec<String> = times.iter().map(|millis| format!("{millis:.2}")).collect();
        cells.push(number(super::float(latency.count)));
        line(&mut out, row(latency.name, &cells));
    }
    if !report.processes.is_empty() {
        out.push('\n');
        let head = ["process", "CPU s", "cores", "CPU s/million", "RSS MiB"];
        line(&mut out, row(head[0], &head[1..].iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
    for process in &report.processes {
        let resident = super::float(process.resident_bytes) / (1024.0 * 1024.0);
        let cells = [
            format!("{:.2}", process.cpu_seconds),
            format!("{:.2}", process.cores),
            format!("{:.3}", process.cpu_seconds_per_million),
            format!("{resident:.1}"),
        ];
        line(&mut out, row(&process.name, &cells));
    }
    out.push('\n');
    for failure in &report.failures {
        line(&mut out, format_args!("  FAILED: {failure}"));
    }
    if report.passed() {
        out.push_str("  as it has to be\n");
    }
    out
}

fn line(out: &mut String, text: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}", text.to_string().trim_end());
}

/// A name and columns.
fn row(name: &str, cells: &[String]) -> String {
    let mut out = format!("  {name:<20}");
    for cell in cells {
        // Writing to a string does not fail.
        let _ = write!(out, " {cell:>14}");
    }
    out
}

fn amount(amount: Amount) -> String {
    match amount {
        Amount::Count(count) => number(super::float(count)),
        Amount::Measure(value) => number(value),
    }
}

/// A number with commas between thousands; decimals only where they say something.
fn number(value: f64) -> String {
    let text = if value.fract() == 0.0 || value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    let (digits, decimals) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(decimals) = decimals {
        out.push('.');
        out.push_str(decimals);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latencies;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(999.0), "999");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(0.25), "0.250");
        assert_eq!(number(1234.5678), "1,235");
        assert_eq!(number(-123.0), "-123");
    }

    #[test]
    fn a_report_says_what_failed() {
        let mut report = Report::new("test");
        report.setting("rooms", &5);
        report.latency("send to delivery", &Latencies::new());
        assert!(of(&report).contains("as it has to be"));
        report.must_be_zero("lost", 2);
        let text = of(&report);
        assert!(text.contains("FAILED: lost is 2") && !text.contains("as it has to be"), "{text}");
    }
}
