//! Whether a replica should get traffic.

use std::time::Duration;

/// Why a replica should not get traffic. It answers all the same, and says how stale its answers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// There is no data yet.
    #[error("the first snapshot is not complete")]
    Bootstrapping,
    /// There is data from before, and no leader was heard since the start.
    #[error("no leader has been heard since the start; the data is from a local snapshot")]
    NeverHeard,
    /// The data is older than the bound.
    #[error("{staleness_ms} ms behind the leader, more than the bound of {bound_ms} ms")]
    Lagging {
        /// How far behind, in milliseconds.
        staleness_ms: u128,
        /// The bound, in milliseconds.
        bound_ms: u128,
    },
}

/// Judges a replica: whether it has data, and how far behind it is at most.
///
/// # Errors
/// [`NotReady`] with the reason.
pub fn judge(bootstrapped: bool, staleness: Option<Duration>, bound: Duration) -> Result<(), NotReady> {
    match staleness {
        _ if !bootstrapped => Err(NotReady::Bootstrapping),
        None => Err(NotReady::NeverHeard),
        Some(staleness) if staleness > bound => {
            Err(NotReady::Lagging { staleness_ms: staleness.as_millis(), bound_ms: bound.as_millis() })
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_data_within_the_bound() {
        let bound = Duration::from_secs(1);
        assert_eq!(judge(true, Some(bound), bound), Ok(()));
        assert_eq!(judge(false, Some(Duration::ZERO), bound), Err(NotReady::Bootstrapping));
        assert_eq!(judge(true, None, bound), Err(NotReady::NeverHeard));
        assert!(matches!(judge(true, Some(bound * 2), bound), Err(NotReady::Lagging { .. })));
    }
}
