//! Which of two writes of one row stays.

use crate::{event_time::EventTime, version::Version};
use serde::{Deserialize, Serialize};

/// How a view's rows merge. Both policies keep the maximum of a total order, so that merging is commutative,
/// associative and idempotent, and replicas agree whatever order the writes reach them in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergePolicy {
    /// Keep the greater (event timestamp, version): a late event never overwrites a newer one.
    #[default]
    LatestEvent,
    /// Keep the greater version: the write that a leader took last.
    LatestWrite,
}

/// What orders a write against another of the same row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// When the event happened, as its writer says.
    pub event_time: EventTime,
    /// When and where a leader took the write.
    pub version: Version,
}

impl MergePolicy {
    /// Whether `incoming` replaces `current`. Equal ranks are the same write and change nothing.
    #[must_use]
    pub fn replaces(self, incoming: Rank, current: Rank) -> bool {
        match self {
            Self::LatestEvent => (incoming.event_time, incoming.version) > (current.event_time, current.version),
            Self::LatestWrite => incoming.version > current.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use proptest::prelude::*;

    fn rank() -> impl Strategy<Value = Rank> {
        (0i64..4, 0u64..4, 0usize..3).prop_map(|(event, hlc, region)| Rank {
            event_time: EventTime(event),
            version: Version { hlc: Hlc(hlc), region: ["a", "b", "c"][region].parse().unwrap() },
        })
    }

    fn merge(policy: MergePolicy, a: Rank, b: Rank) -> Rank {
        if policy.replaces(b, a) { b } else { a }
    }

    /// Two writes with one version are one write, so a generated pair that shares a version shares all.
    fn consistent(ranks: &[Rank]) -> bool {
        ranks.iter().all(|a| ranks.iter().all(|b| a.version != b.version || a == b))
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in rank(), b in rank(), c in rank()) {
            prop_assume!(consistent(&[a, b, c]));
            for policy in [MergePolicy::LatestEvent, MergePolicy::LatestWrite] {
                prop_assert_eq!(merge(policy, a, b), merge(policy, b, a));
                prop_assert_eq!(merge(policy, merge(policy, a, b), c), merge(policy, a, merge(policy, b, c)));
                prop_assert_eq!(merge(policy, a, a), a);
            }
        }
    }
}
