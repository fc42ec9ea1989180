//! Kinds of tasks: how each is cancelled, and what its failure means for the process.

/// The purpose of a supervised task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Serves clients or edges. It is cancelled first: it stops accepting and drains, so that no accepted request is
    /// cut within the grace period.
    Door,
    /// Keeps the state: log, replica, subscription. It is cancelled after every door has drained, because doors answer
    /// from it.
    Core,
    /// Metrics and gauges. Nothing is lost when it stops.
    Housekeeping,
}

/// What the process does when a task ends unexpectedly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Drains and ends with an error: without the task, the process would only appear to work.
    StopProcess,
    /// Logs the failure and continues.
    Log,
}

impl TaskKind {
    /// Returns what an unexpected end of the task means.
    #[must_use]
    pub const fn on_failure(self) -> OnFailure {
        match self {
            Self::Door | Self::Core => OnFailure::StopProcess,
            Self::Housekeeping => OnFailure::Log,
        }
    }

    /// Returns whether the task is cancelled and awaited before the tasks that keep the state.
    #[must_use]
    pub const fn drains_first(self) -> bool {
        matches!(self, Self::Door)
    }
}
