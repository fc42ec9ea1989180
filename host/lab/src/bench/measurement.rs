//! A measurement: a figure, and its comparisons.

use serde::Serialize;

/// The figures of several rounds, in order.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Returns the median.
    pub fn median(&self) -> f64 {
        median(&self.0)
    }

    /// Returns the ratio to a peer. For figures of the same rounds it is the median of the rounds' ratios: other work
    /// on the machine comes and goes in seconds, and affects both figures of a round alike.
    fn over(&self, peer: &Self) -> Option<f64> {
        if self.0.len() == peer.0.len() && peer.0.iter().all(|peer| *peer > 0.0) {
            let ratios: Vec<_> = self.0.iter().zip(&peer.0).map(|(own, peer)| own / peer).collect();
            return Some(median(&ratios));
        }
        Some(peer.median()).filter(|peer| *peer > 0.0).map(|peer| self.median() / peer)
    }
}

impl From<f64> for Figures {
    fn from(figure: f64) -> Self {
        Self(vec![figure])
    }
}

impl From<&[f64]> for Figures {
    fn from(rounds: &[f64]) -> Self {
        Self(rounds.to_vec())
    }
}

/// A comparison, with its target.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What the figure is compared with.
    pub with: String,
    /// The peer's figure, in the measurement's unit; `None` when it could not be measured.
    pub peer: Option<f64>,
    /// The measurement's figure over the peer's: the median of the rounds' ratios.
    pub ratio: Option<f64>,
    /// The target as text.
    pub target: String,
    /// Whether the target is met; `None` without a peer or a target.
    pub met: Option<bool>,
}

/// One line of the table of targets.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// Its name for `--only`.
    pub name: &'static str,
    /// A description of the work.
    pub work: String,
    /// The unit of its figures.
    pub unit: &'static str,
    /// The product's figure: the median of the rounds.
    pub value: Option<f64>,
    #[serde(skip)]
    rounds: Figures,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    /// Further information: latencies, and what is missing and why.
    pub notes: Vec<String>,
}

// === impl Measurement ===

impl Measurement {
    /// Returns a measurement without comparisons.
    pub fn new(name: &'static str, work: impl Into<String>, unit: &'static str, value: impl Into<Figures>) -> Self {
        let rounds = value.into();
        let value = Some(rounds.median());
        Self { name, work: work.into(), unit, value, rounds, comparisons: Vec::new(), notes: Vec::new() }
    }

    /// Returns a measurement that could not be made.
    pub fn failed(name: &'static str, why: impl std::fmt::Display) -> Self {
        let notes = vec![format!("not measured: {why}")];
        let (work, rounds) = (name.replace('_', " "), Figures::default());
        Self { name, work, unit: "", value: None, rounds, comparisons: Vec::new(), notes }
    }

    /// Adds a peer, and the target of at least `factor` times its figure.
    pub fn at_least(mut self, factor: f64, with: &str, peer: Option<Figures>) -> Self {
        let target = if factor < 1.0 { format!(">= {:.0}%", factor * 100.0) } else { format!(">= {factor}x") };
        self.compare(with, peer, target, |ratio| Some(ratio >= factor));
        self
    }

    /// Adds a peer, and the target of at most `factor` times its figure.
    pub fn at_most(mut self, factor: f64, with: &str, peer: Option<Figures>) -> Self {
        self.compare(with, peer, format!("<= {factor}x"), |ratio| Some(ratio <= factor));
        self
    }

    /// Adds a peer without a target.
    pub fn compared_with(mut self, with: &str, peer: Option<Figures>) -> Self {
        self.compare(with, peer, "-".to_owned(), |_| None);
        self
    }

    /// Adds a bound in the figure's unit.
    pub fn bounded(mut self, bound: f64) -> Self {
        let met = self.value.map(|value| value <= bound);
        let target = format!("<= {bound} {}", self.unit);
        self.comparisons.push(Comparison { with: "the bound".into(), peer: Some(bound), ratio: None, target, met });
        self
    }

    /// Adds a note.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn compare(&mut self, with: &str, peer: Option<Figures>, target: String, meets: impl Fn(f64) -> Option<bool>) {
        let ratio = peer.as_ref().and_then(|peer| self.rounds.over(peer));
        let peer = peer.as_ref().map(Figures::median);
        self.comparisons.push(Comparison { with: with.to_owned(), peer, ratio, target, met: ratio.and_then(meets) });
    }
}

/// Returns the median of some figures; 0 for none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[len / 2],
        len => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_shows_whether_its_target_is_met() {
        let row = Measurement::new("x", "x", "1/s", 150.0)
            .at_least(0.75, "floor", Some(200.0.into()))
            .at_least(2.0, "peer", Some(100.0.into()))
            .at_most(2.0, "peer", Some(100.0.into()))
            .at_least(1.0, "missing", None);
        let met: Vec<_> = row.comparisons.iter().map(|comparison| comparison.met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(true), None]);
        assert_eq!(row.comparisons[0].target, ">= 75%");
    }

    #[test]
    fn a_slow_round_of_the_machine_changes_no_ratio() {
        let (own, floor) = ([90.0, 45.0, 80.0], [100.0, 50.0, 100.0]);
        let row = Measurement::new("x", "x", "1/s", &own[..]).at_least(0.75, "floor", Some(floor[..].into()));
        assert_eq!(
            (row.value, row.comparisons[0].peer, row.comparisons[0].ratio),
            (Some(80.0), Some(100.0), Some(0.9))
        );
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
