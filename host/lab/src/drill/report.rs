//! What a drill has shown: what happened when, what clients saw, and whether that is what the topology promises.

mod html;
mod judge;
mod samples;
mod text;

pub use html::html;
pub use judge::{Objective, Objectives, Verdict, judge};
pub use samples::{Outcome, Sample, Window, percentile};
pub use text::text;

use serde::Serialize;

/// A moment of a drill that people want to know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the drill began.
    pub at_ms: u64,
    /// What kind of moment.
    pub kind: Kind,
    /// In words.
    pub what: String,
}

/// Kinds of moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something was broken on purpose.
    Fault,
    /// The router has seen it.
    Detection,
    /// It was decided what to do.
    Decision,
    /// A region was made active.
    Promotion,
    /// What was broken was mended.
    Repair,
    /// Everything is as before.
    Normal,
    /// Anything else.
    Note,
}

/// What clients have measured and the end has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// From the fault until the router had seen it, in milliseconds.
    pub detection_ms: Option<u64>,
    /// From the fault until it was decided what to do.
    pub decision_ms: Option<u64>,
    /// From the fault until another region was made active.
    pub promotion_ms: Option<u64>,
    /// From the fault until a read was answered that was sent after it.
    pub first_good_read_ms: Option<u64>,
    /// From the fault until a write was acknowledged that was sent after it.
    pub first_good_write_ms: Option<u64>,
    /// From the repair until everything was as before.
    pub back_to_normal_ms: Option<u64>,
    /// Reads that were sent.
    pub reads: u64,
    /// Of those, not answered well within the client's patience.
    pub reads_failed: u64,
    /// Of those, answered without a write that had been acknowledged and that only the lost region has.
    pub reads_behind: u64,
    /// Of those, staler than the objective allows.
    pub reads_too_stale: u64,
    /// The stalest answer, in milliseconds.
    pub staleness_ms_max: u64,
    /// The slowest in a hundred reads before the fault, in milliseconds.
    pub read_p99_ms_before: f64,
    /// The slowest in a hundred reads while something was broken, in milliseconds.
    pub read_p99_ms_during: f64,
    /// Writes that were sent.
    pub writes: u64,
    /// Of those, acknowledged.
    pub writes_acknowledged: u64,
    /// Of those, not acknowledged within the client's patience.
    pub writes_failed: u64,
    /// Acknowledged writes that no region has any more at the end, by their sequence numbers.
    pub writes_lost: Vec<u64>,
    /// Acknowledged writes that only the lost region had until it came back.
    pub writes_late: u64,
    /// Writes that lost against another region's.
    pub conflicts: u64,
    /// Whether every region holds the same rows at the end.
    pub equal_everywhere: bool,
    /// What only this drill looks at.
    pub checks: Vec<Check>,
}

/// Something that must never have happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How often it has.
    pub missed: u64,
}

/// A drill's report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which drill.
    pub drill: String,
    /// The topology's name.
    pub topology: String,
    /// How the regions were kept apart.
    pub network: String,
    /// What the schedule was drawn from.
    pub seed: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What was measured.
    pub figures: Figures,
    /// Each objective and what became of it.
    pub objectives: Vec<Objective>,
    /// Whether all were reached.
    pub passed: bool,
    /// What clients did, for the picture.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}
