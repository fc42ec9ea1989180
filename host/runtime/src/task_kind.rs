//! Kinds of tasks: what cancelling one means, and what its failure means for the process.

/// What a supervised task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Serves clients or edges. Cancelled first: it stops accepting and drains what it has, so that no request that
    /// was taken is cut within the grace period.
    Door,
    /// Keeps the state: log, replica, subscription. Cancelled when every door has drained, as doors answer from it.
    Core,
    /// Keeps house: metrics, gauges. Nothing is lost when it stops.
    Housekeeping,
}

/// What the process does when a task ends though nobody asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Drains and ends with an error: a process that lacks such a task would only look alive.
    StopProcess,
    /// Logs it and goes on.
    Log,
}

impl TaskKind {
    /// What the task's unexpected end means.
    #[must_use]
    pub const fn on_failure(self) -> OnFailure {
        match self {
            Self::Door | Self::Core => OnFailure::StopProcess,
            Self::Housekeeping => OnFailure::Log,
        }
    }

    /// Whether the task is cancelled and awaited before those that keep the state.
    #[must_use]
    pub const fn drains_first(self) -> bool {
        matches!(self, Self::Door)
    }
}
