//! The members of a region's log: which member follows which, what is committed, what a promotion
//! requires, and which records are detached.
//!
//! Nothing here sends or stores. Each call that changes a member documents what the member must
//! make durable before it continues. `host/decisions/0008-followers-and-promotion.md` states the
//! rules and why they suffice.

pub mod acceptor;
pub mod history;
pub mod leading;
pub mod promotion;
pub mod rpc;

#[cfg(test)]
mod simulation;

pub use acceptor::Acceptor;
pub use history::{EpochHistory, RecordId};
pub use leading::Leading;
pub use promotion::Promotion;

/// Returns the size of a majority of this number of members.
#[must_use]
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}
