//! The health of a door, from probes with hysteresis: one failed probe does not make a door unhealthy, and one
//! successful probe does not make it healthy again.

use serde::{Deserialize, Serialize};

/// How doors are probed, and when they count as healthy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often each door is probed, in milliseconds. Each pause is up to a fifth shorter or longer, so that routers
    /// do not probe in step. Default 500.
    pub interval_ms: u64,
    /// How long the answer to a probe may take, in milliseconds. Connecting has the gateway's limit. Default 1,000.
    pub timeout_ms: u64,
    /// Successful probes in a row after which an unhealthy door counts as healthy. Default 2.
    pub healthy_after: u32,
    /// Failed probes in a row after which a healthy door counts as unhealthy. Default 2.
    pub unhealthy_after: u32,
    /// The lag behind its leader beyond which an edge is unhealthy, in milliseconds. Default 10,000.
    pub lag_ms_max: u64,
    /// Whether a node must report the region in which the topology lists it. Default false, because edges of a region
    /// without a leader report their leader's region.
    pub check_region: bool,
}

/// The result of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The door answers, has data, and is within its lag.
    Good {
        /// Whether it accepts or forwards writes.
        writable: bool,
        /// The epoch in which it leads, if it reports that it does.
        leads: Option<u64>,
    },
    /// The door has data, but is too far behind or cannot report its lag.
    Lagging,
    /// The door has never received data.
    Empty,
    /// The door is about to stop: it still answers, but soon will not.
    Draining,
    /// The door reports another region than the topology.
    WrongRegion,
    /// The door does not answer, or not as a node does.
    Unreachable,
}

/// The current state of a door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was never probed.
    #[default]
    Unknown,
    /// It may receive requests.
    Healthy,
    /// It has data, but is too far behind.
    Lagging,
    /// It has never received data.
    Empty,
    /// It is about to stop.
    Draining,
    /// It reports another region than the topology.
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
    /// Returns whether the door has data and answers, healthy or not.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Healthy | Self::Lagging | Self::Draining)
    }

    /// Returns the state as a word.
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
    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns whether the door accepted or forwarded writes at the last probe.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Returns the epoch in which the door led at the last probe. A door that does not answer may no longer lead.
    #[must_use]
    pub fn leads(&self) -> Option<u64> {
        self.leads
    }

    /// Records a probe. Returns the previous state, if the state changed.
    pub fn observe(&mut self, finding: Finding, config: &Config) -> Option<State> {
        let before = self.state;
        if let Finding::Good { writable, leads } = finding {
            (self.writable, self.leads) = (writable, leads);
            self.bad_in_a_row = 0;
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
            // The first data of a node is no transient state either, so one good probe suffices.
            let certain = matches!(before, State::Unknown | State::Empty);
            if certain || self.good_in_a_row >= config.healthy_after.max(1) {
                self.state = State::Healthy;
            }
        } else {
            (self.writable, self.leads) = (false, None);
            self.good_in_a_row = 0;
            self.bad_in_a_row = self.bad_in_a_row.saturating_add(1);
            // No data, draining and a wrong region are not transient failures.
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
    fn one_probe_does_not_change_an_established_state() {
        assert_eq!(after(&[GOOD]), State::Healthy, "the first probe decides");
        assert_eq!(after(&[GOOD, Finding::Unreachable]), State::Healthy);
        assert_eq!(after(&[GOOD, Finding::Unreachable, Finding::Lagging]), State::Lagging);
        assert_eq!(after(&[GOOD, Finding::Unreachable, GOOD, Finding::Unreachable]), State::Healthy);
        assert_eq!(after(&[Finding::Unreachable, GOOD]), State::Unreachable);
        assert_eq!(after(&[Finding::Unreachable, GOOD, GOOD]), State::Healthy);
    }

    #[test]
    fn a_door_that_does_not_answer_no_longer_counts_as_leading() {
        let mut health = Health::default();
        health.observe(GOOD, &Config::default());
        assert_eq!((health.is_writable(), health.leads()), (true, Some(3)));
        health.observe(Finding::Unreachable, &Config::default());
        assert_eq!((health.state(), health.is_writable(), health.leads()), (State::Healthy, false, None));
    }

    #[test]
    fn a_door_without_data_or_about_to_stop_is_unusable_at_once() {
        assert_eq!(after(&[GOOD, Finding::Empty]), State::Empty);
        assert_eq!(after(&[GOOD, Finding::Empty, GOOD]), State::Healthy, "its first snapshot has arrived");
        assert_eq!(after(&[GOOD, Finding::WrongRegion]), State::WrongRegion);
        assert_eq!(after(&[GOOD, Finding::Draining]), State::Draining);
        assert_eq!(after(&[GOOD, Finding::Draining, Finding::Unreachable]), State::Unreachable, "it has stopped");
        assert_eq!(after(&[GOOD, Finding::Draining, GOOD, GOOD]), State::Healthy, "another process replaced it");
    }
}
