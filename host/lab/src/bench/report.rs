//! The report, as a table for people and as JSON.

use crate::bench::{machine::Machine, measurement::Measurement};
use serde::Serialize;
use std::fmt::{self, Write as _};

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// Whether it was a brief run, whose figures mean nothing.
    pub quick: bool,
    /// Its duration in seconds.
    pub seconds: f64,
    /// The measurements.
    pub measurements: Vec<Measurement>,
}

/// The table's columns.
const HEAD: [&str; 6] = ["work", "value", "beside", "ratio", "target", "met"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        if self.quick {
            writeln!(
                f,
                "quick: brief runs over little data, to check that everything works; the figures mean nothing"
            )?;
        }
        writeln!(f)?;
        let rows: Vec<_> = self.measurements.iter().flat_map(lines).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEAD[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
        // A Markdown table: it is readable in a terminal, and the README quotes it.
        write_row(f, &HEAD.map(str::to_owned), &widths)?;
        let dashes = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>();
        writeln!(f, "| {} |", dashes.join(" | "))?;
        for row in &rows {
            write_row(f, row, &widths)?;
        }
        writeln!(f)?;
        for measurement in &self.measurements {
            for note in &measurement.notes {
                writeln!(f, "{}: {note}", measurement.name)?;
            }
        }
        writeln!(f, "\n{:.0} s", self.seconds)
    }
}

fn lines(measurement: &Measurement) -> Vec<[String; 6]> {
    let value = measurement.value.map_or_else(|| "-".to_owned(), |value| with_unit(value, measurement.unit));
    if measurement.comparisons.is_empty() {
        return vec![[measurement.work.clone(), value, "-".into(), "-".into(), "-".into(), "-".into()]];
    }
    let line = |(index, comparison): (usize, &crate::bench::measurement::Comparison)| {
        let (work, value) =
            if index == 0 { (measurement.work.clone(), value.clone()) } else { (String::new(), String::new()) };
        let peer = comparison.peer.map_or_else(|| "not measured".to_owned(), |peer| with_unit(peer, measurement.unit));
        let ratio = comparison.ratio.map_or_else(|| "-".to_owned(), ratio_text);
        let met = comparison.met.map_or("-", |met| if met { "yes" } else { "NO" });
        [work, value, format!("{}: {peer}", comparison.with), ratio, comparison.target.clone(), met.to_owned()]
    };
    measurement.comparisons.iter().enumerate().map(line).collect()
}

fn ratio_text(ratio: f64) -> String {
    if ratio < 1.5 { format!("{:.0}%", ratio * 100.0) } else { format!("{ratio:.1}x") }
}

fn with_unit(value: f64, unit: &str) -> String {
    let number = if value.abs() >= 100.0 { thousands(value) } else { format!("{value:.2}") };
    format!("{number} {unit}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn write_row(f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    f.write_char('|')?;
    for (cell, width) in cells.iter().zip(widths) {
        write!(f, " {cell:<width$} |")?;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(123.0), "123");
        assert_eq!(with_unit(2.34567, "ms"), "2.35 ms");
        assert_eq!(ratio_text(0.756), "76%");
        assert_eq!(ratio_text(20.04), "20.0x");
    }

    #[test]
    fn a_peer_that_was_not_measured_is_reported_as_such() {
        let row = Measurement::new("read", "read", "1/s", 5_000.0).at_least(20.0, "feast", None);
        let [.., compared_with, ratio, _, met] = &lines(&row)[0];
        assert_eq!((compared_with.as_str(), ratio.as_str(), met.as_str()), ("feast: not measured", "-", "-"));
    }
}
