//! The report as a self-contained HTML page: figures, events, and a diagram of all requests.

use super::{Kind, Outcome, Report, Verdict};
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
/// The greatest latency of the diagram, in milliseconds; slower requests are drawn at its edge.
const SLOWEST_MS: f64 = 2_000.0;

/// Returns the report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut out = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>Drill</title><style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;\
         max-width:62rem;padding:0 1rem;color:#1c2530}table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;\
         vertical-align:top}.met{color:#146c3c}.missed{color:#b3261e;font-weight:600}svg text{font:11px system-ui,sans-serif;fill:#4a5562}\
         h1{margin-bottom:0}</style>",
    );
    let (class, word) = if report.passed { ("met", "passed") } else { ("missed", "failed") };
    // Writing to a string never fails.
    let _ = write!(
        out,
        "<h1>{}</h1><p>Topology <b>{}</b>, seed {}, {:.1} s: <span class=\"{class}\">{word}</span><br>{}</p>",
        escape(&report.drill),
        escape(&report.topology),
        report.seed,
        report.took_ms as f64 / 1e3,
        escape(&report.network)
    );
    picture(&mut out, report);
    out.push_str("<h2>Objectives</h2><table><tr><th>What<th>Allowed<th>Measured<th></tr>");
    for objective in &report.objectives {
        let was = objective.was.map_or_else(|| "never".to_owned(), |was| was.to_string());
        let (class, word) = if objective.verdict == Verdict::Met { ("met", "met") } else { ("missed", "missed") };
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{was}<td class=\"{class}\">{word}</tr>",
            escape(objective.name),
            objective.allowed
        );
    }
    out.push_str("</table><h2>Events</h2><table>");
    for event in &report.events {
        let _ = write!(out, "<tr><td>{:.3} s<td>{}</tr>", event.at_ms as f64 / 1e3, escape(&event.what));
    }
    out.push_str("</table><h2>Figures</h2><pre>");
    let figures = serde_json::to_string_pretty(&report.figures).unwrap_or_default();
    out.push_str(&escape(&figures));
    out.push_str("</pre>");
    out
}

/// Draws each request as a dot: its time on the horizontal axis, its latency downwards.
fn picture(out: &mut String, report: &Report) {
    let end = report.took_ms.max(1) as f64;
    let x = |ms: u64| LEFT + (WIDTH - LEFT - 10.0) * (ms as f64 / end);
    let lane = |write: bool| if write { (190.0, 120.0) } else { (40.0, 120.0) };
    let y = |write: bool, ms: f64| {
        let (top, height) = lane(write);
        top + height * ((1.0 + ms).ln() / (1.0 + SLOWEST_MS).ln()).min(1.0)
    };
    let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} 380\" width=\"100%\" role=\"img\" aria-label=\"time line\">");
    for write in [false, true] {
        let (top, height) = lane(write);
        let name = if write { "writes" } else { "reads" };
        let _ = write!(
            out,
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{height}\" fill=\"#f3f5f8\"/><text x=\"0\" y=\"{}\">{name}</text>",
            WIDTH - LEFT - 10.0,
            top + 12.0
        );
        for ms in [1.0, 10.0, 100.0, 1_000.0] {
            let at = y(write, ms);
            let _ = write!(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{ms} ms</text>", LEFT - 4.0, at + 4.0);
        }
    }
    for sample in &report.samples {
        let colour = match (sample.outcome, sample.write) {
            (Outcome::Failed, _) => "#b3261e",
            (Outcome::Behind, _) => "#8a2be2",
            (Outcome::Good(_), true) => "#8a5a00",
            (Outcome::Good(_), false) => "#1f6feb",
        };
        let radius = if sample.outcome == Outcome::Failed { 2.5 } else { 1.2 };
        let at = y(sample.write, sample.took_us as f64 / 1e3);
        let _ =
            write!(out, "<circle cx=\"{:.1}\" cy=\"{at:.1}\" r=\"{radius}\" fill=\"{colour}\"/>", x(sample.sent_ms));
    }
    for (number, event) in report.events.iter().filter(|event| event.kind != Kind::Note).enumerate() {
        let at = x(event.at_ms);
        let colour = match event.kind {
            Kind::Fault => "#b3261e",
            Kind::Repair | Kind::Normal => "#146c3c",
            _ => "#5b3fa8",
        };
        let _ = write!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"24\" y2=\"318\" stroke=\"{colour}\"/><text x=\"{at:.1}\" y=\"{}\" \
             text-anchor=\"middle\" style=\"fill:{colour}\">{}</text>",
            330 + 12 * (number % 4),
            escape(kind_name(event.kind))
        );
    }
    out.push_str("</svg>");
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Fault => "fault",
        Kind::Detection => "detected",
        Kind::Decision => "decided",
        Kind::Promotion => "promoted",
        Kind::Repair => "repaired",
        Kind::Normal => "normal",
        Kind::Note => "",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::report::{Event, Figures, Sample};

    #[test]
    fn a_page_is_complete_and_has_the_events() {
        let sample = Sample { sent_ms: 5, took_us: 900, write: false, outcome: Outcome::Failed };
        let event = Event { at_ms: 4, kind: Kind::Fault, what: "region <east> is lost".into() };
        let report = Report {
            drill: "region-loss".into(),
            topology: "two".into(),
            network: "plain loopback".into(),
            seed: 1,
            took_ms: 10,
            events: vec![event],
            figures: Figures::default(),
            objectives: Vec::new(),
            passed: false,
            samples: vec![sample],
        };
        let page = html(&report);
        assert!(page.contains("region &lt;east&gt; is lost") && page.contains("<circle") && page.contains("failed"));
        assert!(!page.contains("http"), "it is self-contained");
        let words = super::super::text(&report);
        assert!(words.contains("FAILED") && words.contains("0.004 s  region <east> is lost"), "{words}");
    }
}
