//! What a lease's store holds, and how it answers.

use crate::claim::Claim;

/// Names one state of the store. Meant for the instance of the store that gave it; two states never share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

/// The claim that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The claim; also `released` when the store itself vouches that it has run out.
    pub claim: Claim,
    /// The state.
    pub tag: Tag,
}

/// What became of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The claim lies there now, or did until somebody replaced it.
    Taken(Tag),
    /// The store was in another state, and nothing was changed.
    Lost,
}
