//! The content of a lease store, and the results of swaps.

use crate::claim::Claim;

/// Identifies one state of the store. Valid for the store instance that returned it; no two states have the same tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

/// A claim that was read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The claim. `released` is also set if the store itself guarantees that it has expired.
    pub claim: Claim,
    /// Identifies the state of the store in which the claim was read.
    pub tag: Tag,
}

/// The result of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The claim was stored. It may have been replaced since.
    Done(Tag),
    /// The store was in another state, and nothing was changed.
    Lost,
}
