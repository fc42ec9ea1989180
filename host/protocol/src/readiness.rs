//! Whether a replica may serve, and whether what it serves is fresh. These are two questions: without a leader every replica
//! gets stale, and is needed all the more.

use std::time::Duration;

/// Why a replica cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first snapshot is not complete")]
pub struct Bootstrapping;

/// Why a replica's data is not fresh. It serves all the same, and says how stale its answers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
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

/// Judges whether a replica may serve: it must have data.
///
/// # Errors
/// [`Bootstrapping`].
pub fn may_serve(has_data: bool) -> Result<(), Bootstrapping> {
    if has_data { Ok(()) } else { Err(Bootstrapping) }
}

/// Judges whether a replica's data is fresh: how far behind it is at most.
///
/// # Errors
/// [`Stale`] with the reason.
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
    fn to_serve_takes_data_and_to_be_fresh_a_leader_within_the_bound() {
        let bound = Duration::from_secs(1);
        assert_eq!((may_serve(true), may_serve(false)), (Ok(()), Err(Bootstrapping)));
        assert_eq!(is_fresh(Some(bound), bound), Ok(()));
        assert_eq!(is_fresh(None, bound), Err(Stale::NeverHeard));
        assert!(matches!(is_fresh(Some(bound * 2), bound), Err(Stale::Lagging { .. })));
    }
}
