//! The report of a drill: its events, what clients experienced, and whether the topology's objectives were met.

mod evaluate;
mod html;
mod samples;
mod text;

pub use evaluate::{Objective, Objectives, Verdict, evaluate};
pub use html::html;
pub use samples::{Outcome, Sample, Window, percentile};
pub use text::text;

use serde::Serialize;

/// An event of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the drill began.
    pub at_ms: u64,
    /// Its kind.
    pub kind: Kind,
    /// Its description.
    pub what: String,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something was broken on purpose.
    Fault,
    /// The router has detected it.
    Detection,
    /// The response was decided.
    Decision,
    /// A region or a member was promoted.
    Promotion,
    /// The fault was repaired.
    Repair,
    /// All doors are usable again.
    Normal,
    /// Anything else.
    Note,
}

/// What clients measured, and what the comparison at the end found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// From the fault until the router had detected it, in milliseconds.
    pub detection_ms: Option<u64>,
    /// From the fault until the response was decided.
    pub decision_ms: Option<u64>,
    /// From the fault until another region or member was promoted.
    pub promotion_ms: Option<u64>,
    /// From the fault to the first answer of a read that was sent after it.
    pub first_good_read_ms: Option<u64>,
    /// From the fault to the first acknowledgement of a write that was sent after it.
    pub first_good_write_ms: Option<u64>,
    /// From the repair until all doors were usable again.
    pub back_to_normal_ms: Option<u64>,
    /// Reads sent.
    pub reads: u64,
    /// Reads without an answer within the client's timeout.
    pub reads_failed: u64,
    /// Reads whose answer lacked an acknowledged write that only the lost region has.
    pub reads_behind: u64,
    /// Reads whose answer was staler than the objective allows.
    pub reads_too_stale: u64,
    /// The greatest staleness of an answer, in milliseconds.
    pub staleness_ms_max: u64,
    /// The 99th percentile of read latencies before the fault, in milliseconds.
    pub read_p99_ms_before: f64,
    /// The 99th percentile of read latencies during the fault, in milliseconds.
    pub read_p99_ms_during: f64,
    /// Writes sent.
    pub writes: u64,
    /// Writes acknowledged.
    pub writes_acknowledged: u64,
    /// Writes not acknowledged within the client's timeout.
    pub writes_failed: u64,
    /// The sequence numbers of acknowledged writes that no region has in the end.
    pub writes_lost: Vec<u64>,
    /// Acknowledged writes that only the lost region had until it returned.
    pub writes_late: u64,
    /// Conflicts between writes of two regions.
    pub conflicts: u64,
    /// Whether all regions hold the same rows in the end.
    pub equal_everywhere: bool,
    /// The checks of this drill alone.
    pub checks: Vec<Check>,
}

/// A count of something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What must not happen.
    pub name: &'static str,
    /// How often it happened.
    pub missed: u64,
}

/// A drill's report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The drill's name.
    pub drill: String,
    /// The topology's name.
    pub topology: String,
    /// How the regions were separated.
    pub network: String,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The events in order.
    pub events: Vec<Event>,
    /// The measurements.
    pub figures: Figures,
    /// The objectives with their verdicts.
    pub objectives: Vec<Objective>,
    /// Whether all objectives were met.
    pub passed: bool,
    /// The clients' requests, for the diagram.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}
