//! What probes say of a door, with hysteresis: one bad probe does not take a door out, one good probe does not bring it
//! back.

use serde::{Deserialize, Serialize};

/// How probes are made and judged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often each door is asked for its status, in milliseconds; each pause is up to a fifth shorter or longer, so
    /// that routers do not probe in step. Default 500.
    pub interval_ms: u64,
    /// How long a probe may take, in milliseconds. Default 1,000.
    pub timeout_ms: u64,
    /// Good probes in a row until a door that was unhealthy counts as healthy. Default 2.
    pub healthy_after: u32,
    /// Bad probes in a row until a door that was healthy counts as unhealthy. Default 2.
    pub unhealthy_after: u32,
    /// An edge that is further behind its leader is unhealthy, in milliseconds. Default 10,000.
    pub lag_ms_max: u64,
    /// Whether a node must say that it is of the region that the topology puts it in. Default false, as edges of a
    /// region without a leader of its own say their leader's.
    pub check_region: bool,
}

/// What one probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answers, has data, and is inside its lag.
    Good {
        /// Whether writes get through it.
        writable: bool,
        /// In which epoch it leads, if it says that it does.
        leads: Option<u64>,
    },
    /// It has data and is too far behind, or cannot say how far.
    Lagging,
    /// It never got data.
    Empty,
    /// It is about to stop: it still answers, and soon will not.
    Draining,
    /// It is of another region than the topology says.
    WrongRegion,
    /// It does not answer, or not as a node does.
    Unreachable,
}

/// What is believed of a door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was never probed.
    #[default]
    Unknown,
    /// It may get traffic.
    Healthy,
    /// It has data and is too far behind.
    Lagging,
    /// It never got data.
    Empty,
    /// It is about to stop.
    Draining,
    /// It is of another region than the topology says.
    WrongRegion,
    /// It does not answer.
    Unreachable,
}

/// A door's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    state: State,
    writable: bool,
    leads: Option<u64>,
    good_in_a_row: u32,
    bad_in_a_row: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval_ms: 500,
            timeout_ms: 1_000,
            healthy_after: 2,
            unhealthy_after: 2,
            lag_ms_max: 10_000,
            check_region: false,
        }
    }
}

// === impl State ===

impl State {
    /// Whether it has data and answers, well or not.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Healthy | Self::Lagging | Self::Draining)
    }

    /// As a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Lagging => "lagging",
            Self::Empty => "empty",
            Self::Draining => "draining",
            Self::WrongRegion => "wrong_region",
            Self::Unreachable => "unreachable",
        }
    }
}

impl From<Finding> for State {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Good { .. } => Self::Healthy,
            Finding::Lagging => Self::Lagging,
            Finding::Empty => Self::Empty,
            Finding::Draining => Self::Draining,
            Finding::WrongRegion => Self::WrongRegion,
            Finding::Unreachable => Self::Unreachable,
        }
    }
}

// === impl Health ===

impl Health {
    /// What is believed.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether writes got through it when it was probed last.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// In which epoch it led when it was probed last. One that does not answer may lead no more.
    #[must_use]
    pub fn leads(&self) -> Option<u64> {
        self.leads
    }

    /// Takes a probe in. Gives the state that was left, if it changed.
    pub fn observe(&mut self, finding: Finding, config: &Config) -> Option<State> {
        let before = self.state;
        if let Finding::Good { writable, leads } = finding {
            (self.writable, self.leads) = (writable, leads);
            self.bad_in_a_row = 0;
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
            // That it has data now is no hiccup either.
            let certain = matches!(before, State::Unknown | State::Empty);
            if certain || self.good_in_a_row >= config.healthy_after.max(1) {
                self.state = State::Healthy;
            }
        } else {
            (self.writable, self.leads) = (false, None);
            self.good_in_a_row = 0;
            self.bad_in_a_row = self.bad_in_a_row.saturating_add(1);
            // That it has no data, is about to stop, or is another region's, is no hiccup.
            let certain = matches!(finding, Finding::Empty | Finding::Draining | Finding::WrongRegion);
            if before != State::Healthy || certain || self.bad_in_a_row >= config.unhealthy_after.max(1) {
                self.state = finding.into();
            }
        }
        (self.state != before).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Finding = Finding::Good { writable: true, leads: Some(3) };

    fn after(findings: &[Finding]) -> State {
        let mut health = Health::default();
        for finding in findings {
            health.observe(*finding, &Config::default());
        }
        health.state()
    }

    #[test]
    fn one_probe_changes_no_mind_that_is_made_up() {
        assert_eq!(after(&[GOOD]), State::Healthy, "the first probe decides");
        assert_eq!(after(&[GOOD, Finding::Unreachable]), State::Healthy);
        assert_eq!(after(&[GOOD, Finding::Unreachable, Finding::Lagging]), State::Lagging);
        assert_eq!(after(&[GOOD, Finding::Unreachable, GOOD, Finding::Unreachable]), State::Healthy);
        assert_eq!(after(&[Finding::Unreachable, GOOD]), State::Unreachable);
        assert_eq!(after(&[Finding::Unreachable, GOOD, GOOD]), State::Healthy);
    }

    #[test]
    fn who_does_not_answer_counts_as_leading_no_more_at_once() {
        let mut health = Health::default();
        health.observe(GOOD, &Config::default());
        assert_eq!((health.is_writable(), health.leads()), (true, Some(3)));
        health.observe(Finding::Unreachable, &Config::default());
        assert_eq!((health.state(), health.is_writable(), health.leads()), (State::Healthy, false, None));
    }

    #[test]
    fn a_door_without_data_or_that_is_about_to_stop_is_out_at_once() {
        assert_eq!(after(&[GOOD, Finding::Empty]), State::Empty);
        assert_eq!(after(&[GOOD, Finding::Empty, GOOD]), State::Healthy, "its first snapshot is there");
        assert_eq!(after(&[GOOD, Finding::WrongRegion]), State::WrongRegion);
        assert_eq!(after(&[GOOD, Finding::Draining]), State::Draining);
        assert_eq!(after(&[GOOD, Finding::Draining, Finding::Unreachable]), State::Unreachable, "it has stopped");
        assert_eq!(after(&[GOOD, Finding::Draining, GOOD, GOOD]), State::Healthy, "another process took its place");
    }
}
