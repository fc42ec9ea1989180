//! The comparison of figures with objectives.

use super::Figures;
use serde::Serialize;

/// What a drill must reach. Absent objectives are not evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objectives {
    /// Time until a read is answered again, in milliseconds.
    pub first_good_read_ms_max: Option<u64>,
    /// Time until a write is acknowledged again, in milliseconds.
    pub first_good_write_ms_max: Option<u64>,
    /// Acknowledged writes that may be lost, a count.
    pub writes_lost_max: Option<u64>,
    /// Reads that may fail, a count.
    pub reads_failed_max: Option<u64>,
    /// How stale an answer may be, in milliseconds.
    pub staleness_ms_max: Option<u64>,
}

/// The verdict on an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was met.
    Met,
    /// It was missed.
    Missed,
}

/// One objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objective {
    /// What it bounds.
    pub name: &'static str,
    /// The greatest value allowed.
    pub allowed: u64,
    /// The measured value; `None` when the event never happened.
    pub was: Option<u64>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Compares the figures with the objectives. Equal rows in all regions, and the drill's own checks, are always
/// objectives.
#[must_use]
pub fn evaluate(figures: &Figures, objectives: &Objectives) -> Vec<Objective> {
    let lost = figures.writes_lost.len() as u64;
    let all = [
        ("first good read, ms", objectives.first_good_read_ms_max, figures.first_good_read_ms),
        ("first good write, ms", objectives.first_good_write_ms_max, figures.first_good_write_ms),
        ("acknowledged writes lost", objectives.writes_lost_max, Some(lost)),
        ("reads failed", objectives.reads_failed_max, Some(figures.reads_failed)),
        ("stalest answer, ms", objectives.staleness_ms_max, Some(figures.staleness_ms_max)),
        ("regions that differ in the end", Some(0), Some(u64::from(!figures.equal_everywhere))),
    ];
    let checks = figures.checks.iter().map(|check| (check.name, Some(0), Some(check.missed)));
    all.into_iter()
        .chain(checks)
        .filter_map(|(name, allowed, was)| {
            let allowed = allowed?;
            let met = was.is_some_and(|was| was <= allowed);
            Some(Objective { name, allowed, was, verdict: if met { Verdict::Met } else { Verdict::Missed } })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::report::Check;

    #[test]
    fn an_event_that_never_happened_misses_its_objective_and_absent_objectives_are_not_evaluated() {
        let checks = vec![Check { name: "refusals", missed: 1 }];
        let figures = Figures { writes_lost: vec![7], equal_everywhere: true, checks, ..Figures::default() };
        let objectives =
            Objectives { first_good_read_ms_max: Some(10), writes_lost_max: Some(1), ..Objectives::default() };
        let judged = evaluate(&figures, &objectives);
        let verdicts: Vec<_> = judged.iter().map(|objective| (objective.name, objective.verdict)).collect();
        assert_eq!(
            verdicts,
            [
                ("first good read, ms", Verdict::Missed),
                ("acknowledged writes lost", Verdict::Met),
                ("regions that differ in the end", Verdict::Met),
                ("refusals", Verdict::Missed),
            ]
        );
    }
}
