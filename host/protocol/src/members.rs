//! The members of a region's log: who follows whom, what is committed, what a promotion needs, what is given up.
//!
//! Nothing here sends or stores. What a member must make durable before it goes on is said by each call that changes it.
//! The rules, and why they suffice, stand in `host/decisions/0008-followers-and-promotion.md`.

pub mod ask;
pub mod follower;
pub mod history;
pub mod leading;
pub mod promotion;

#[cfg(test)]
mod simulation;

pub use follower::Follower;
pub use history::{History, Mark};
pub use leading::Leading;
pub use promotion::Promotion;

/// How many of this many members are a majority.
#[must_use]
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}
