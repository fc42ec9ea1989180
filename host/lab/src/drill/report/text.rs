//! The report for a terminal.

use super::{Report, Verdict};
use std::fmt::Write as _;

/// Returns the report as plain text.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let figures = &report.figures;
    let verdict = if report.passed { "passed" } else { "FAILED" };
    // Writing to a string never fails.
    let _ = writeln!(out, "{} on {}, seed {}: {verdict}", report.drill, report.topology, report.seed);
    let _ = writeln!(out, "{}\n", report.network);
    for event in &report.events {
        let _ = writeln!(out, "  {:>8.3} s  {}", event.at_ms as f64 / 1e3, event.what);
    }
    let _ = writeln!(out);
    let ms = |value: Option<u64>| value.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"));
    for (name, value) in [
        ("detected after", figures.detection_ms),
        ("decided after", figures.decision_ms),
        ("promoted after", figures.promotion_ms),
        ("first good read after", figures.first_good_read_ms),
        ("first good write after", figures.first_good_write_ms),
        ("back to normal after the repair", figures.back_to_normal_ms),
    ] {
        if value.is_some() || name.starts_with("first") {
            let _ = writeln!(out, "  {name:<44}{}", ms(value));
        }
    }
    let _ = writeln!(
        out,
        "  {:<44}{} of {} failed, {} behind, {} too stale (stalest {} ms)",
        "reads",
        figures.reads_failed,
        figures.reads,
        figures.reads_behind,
        figures.reads_too_stale,
        figures.staleness_ms_max
    );
    let _ = writeln!(
        out,
        "  {:<44}{:.1} ms before, {:.1} ms during the fault",
        "99th percentile of reads", figures.read_p99_ms_before, figures.read_p99_ms_during
    );
    let _ = writeln!(
        out,
        "  {:<44}{} of {} acknowledged, {} rejected or too late",
        "writes", figures.writes_acknowledged, figures.writes, figures.writes_failed
    );
    let lost: Vec<String> = figures.writes_lost.iter().take(20).map(u64::to_string).collect();
    let which = if lost.is_empty() { String::new() } else { format!(" (numbers {})", lost.join(", ")) };
    let _ = writeln!(out, "  {:<44}{}{which}", "acknowledged writes lost", figures.writes_lost.len());
    let _ = writeln!(out, "  {:<44}{}", "only in the lost region for a while", figures.writes_late);
    let _ = writeln!(out, "  {:<44}{}", "conflicts", figures.conflicts);
    let _ = writeln!(out);
    for objective in &report.objectives {
        let word = if objective.verdict == Verdict::Met { "met   " } else { "MISSED" };
        let was = objective.was.map_or_else(|| "never".to_owned(), |was| was.to_string());
        let _ = writeln!(out, "  {word}  {:<44}{was} (at most {})", objective.name, objective.allowed);
    }
    out
}
