//! Merge policies: which of two writes of one row is kept.

use crate::{event_time::EventTime, value::ValueType, version::Version};
use serde::{Deserialize, Serialize};

/// How a view's rows merge. Of two writes of one row, the maximum of a total order is kept. So
/// merging is commutative, associative and idempotent, and replicas agree whatever order the
/// writes arrive in.
///
/// The last four policies combine. Each region has a part of the row, which only its own writes
/// change and which `latest_event` orders. A reader combines the parts, feature by feature, by the
/// policy. A write sets the part and does not add to it, so a retry changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MergePolicy {
    /// Keep the greater (event timestamp, version): a late event never overwrites a newer one.
    #[default]
    LatestEvent,
    /// Keep the greater version: the write that a leader accepted last.
    LatestWrite,
    /// The largest of the regions' values. Features are scalars.
    Max,
    /// The smallest of the regions' values. Features are scalars.
    Min,
    /// The sum of the regions' values. Features are numbers.
    Sum,
    /// The union of all regions' lists, without duplicates, in ascending order. Features are
    /// lists.
    Union,
}

/// The order of writes of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// When the event happened, as stated by its writer.
    pub event_time: EventTime,
    /// When and where a leader accepted the write.
    pub version: Version,
}

impl MergePolicy {
    /// All policies.
    pub const ALL: [Self; 6] = [Self::LatestEvent, Self::LatestWrite, Self::Max, Self::Min, Self::Sum, Self::Union];

    /// Returns the name in configuration and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LatestEvent => "latest_event",
            Self::LatestWrite => "latest_write",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
            Self::Union => "union",
        }
    }

    /// Returns whether each region has its own part of a row and readers combine the parts.
    #[must_use]
    pub const fn combines(self) -> bool {
        !matches!(self, Self::LatestEvent | Self::LatestWrite)
    }

    /// Returns whether the policy can merge features of this type.
    #[must_use]
    pub const fn accepts(self, value_type: ValueType) -> bool {
        match self {
            Self::LatestEvent | Self::LatestWrite => true,
            Self::Max | Self::Min => value_type.element().is_none(),
            Self::Sum => {
                matches!(value_type, ValueType::Int32 | ValueType::Int64 | ValueType::Float | ValueType::Double)
            }
            Self::Union => value_type.element().is_some(),
        }
    }

    /// Returns whether `incoming` replaces `current`, two rows or two parts of one region. Equal
    /// ranks mean the same write, which changes nothing.
    #[must_use]
    pub fn replaces(self, incoming: Rank, current: Rank) -> bool {
        match self {
            Self::LatestWrite => incoming.version > current.version,
            _ => (incoming.event_time, incoming.version) > (current.event_time, current.version),
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

    /// Returns whether ranks with equal versions are equal, because one version means one write.
    fn consistent(ranks: &[Rank]) -> bool {
        ranks.iter().all(|a| ranks.iter().all(|b| a.version != b.version || a == b))
    }

    #[test]
    fn all_policies_are_listed() {
        for policy in MergePolicy::ALL {
            // A new policy must be added to the list, so that the properties below cover it.
            let number = match policy {
                MergePolicy::LatestEvent => 0,
                MergePolicy::LatestWrite => 1,
                MergePolicy::Max => 2,
                MergePolicy::Min => 3,
                MergePolicy::Sum => 4,
                MergePolicy::Union => 5,
            };
            assert_eq!(MergePolicy::ALL[number], policy);
        }
    }

    proptest! {
        #[test]
        fn the_same_write_wins_in_any_order_and_with_repeats(
            writes in prop::collection::vec(rank(), 1..8),
            order in prop::collection::vec(0usize..8, 0..24),
        ) {
            prop_assume!(consistent(&writes));
            for policy in MergePolicy::ALL {
                let fold = |order: &mut dyn Iterator<Item = usize>| {
                    order.map(|at| writes[at % writes.len()]).reduce(|a, b| merge(policy, a, b))
                };
                let straight = fold(&mut (0..writes.len()));
                // Any order, some writes twice, all writes at least once.
                let shuffled = fold(&mut order.iter().copied().chain((0..writes.len()).rev()));
                prop_assert_eq!(straight, shuffled);
            }
        }

        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in rank(), b in rank(), c in rank()) {
            prop_assume!(consistent(&[a, b, c]));
            for policy in MergePolicy::ALL {
                prop_assert_eq!(merge(policy, a, b), merge(policy, b, a));
                prop_assert_eq!(merge(policy, merge(policy, a, b), c), merge(policy, a, merge(policy, b, c)));
                prop_assert_eq!(merge(policy, a, a), a);
            }
        }
    }
}
