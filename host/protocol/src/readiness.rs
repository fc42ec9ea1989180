//! Whether a replica may serve, and whether its data is fresh. The two questions are separate:
//! without a leader every replica becomes stale, and is needed most.

use std::time::Duration;

/// Why a replica cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first snapshot is not complete")]
pub struct Bootstrapping;

/// Why a replica's data is not fresh. It still serves, and its answers state their staleness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The data is from a previous run, and no leader has been heard from since the start.
    #[error("no leader has been heard from since the start; the data is from a local snapshot")]
    NeverHeard,
    /// The data is older than the limit.
    #[error("{staleness_ms} ms behind the leader, more than the limit of {bound_ms} ms")]
    Lagging {
        /// How far behind, in milliseconds.
        staleness_ms: u128,
        /// The limit, in milliseconds.
        bound_ms: u128,
    },
}

/// Checks that a replica may serve: it must have data.
pub fn may_serve(has_data: bool) -> Result<(), Bootstrapping> {
    if has_data { Ok(()) } else { Err(Bootstrapping) }
}

/// Checks that a replica's data is fresh: its staleness must be known and within `bound`.
///
/// # Errors
/// [`Stale`], with the reason.
pub fn is_fresh(staleness: Option<Duration>, bound: Duration) -> Result<(), Stale> {
    match staleness {
        None => Err(Stale::NeverHeard),
        Some(staleness) if staleness > bound => {
            Err(Stale::Lagging { staleness_ms: staleness.as_millis(), bound_ms: bound.as_millis() })
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serving_requires_data_and_freshness_requires_a_recent_leader() {
        let bound = Duration::from_secs(1);
        assert_eq!((may_serve(true), may_serve(false)), (Ok(()), Err(Bootstrapping)));
        assert_eq!(is_fresh(Some(bound), bound), Ok(()));
        assert_eq!(is_fresh(None, bound), Err(Stale::NeverHeard));
        assert!(matches!(is_fresh(Some(bound * 2), bound), Err(Stale::Lagging { .. })));
    }
}
