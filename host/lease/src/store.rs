//! Stores of a lease. Many processes read a store, and at most one of several concurrent changes succeeds.

pub mod directory;
pub mod etcd;
pub mod guarded;
pub mod object;
pub mod open;
pub mod slots;

use crate::{
    claim::{Claim, InvalidClaim},
    identity::Lost,
};
use littoral_model::ports::BoxFuture;

pub use littoral_lease_core::store::{Seen, Swap, Tag};

/// Why a request to a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store has something that is not a claim. No process can lead until an operator removes it.
    #[error("{at}: {source}; inspect it, and remove it when no node leads")]
    Corrupt {
        /// The place in the store.
        at: String,
        /// What is wrong with it.
        source: InvalidClaim,
    },
    /// The store is not the one that held the lease. Nothing is claimed there.
    #[error("{at}: {lost}")]
    Lost {
        /// The store.
        at: String,
        /// What was found instead.
        lost: Lost,
    },
    /// The store cannot be reached or returned an error. It is unknown whether a swap was done.
    #[error("{at}: {reason}")]
    Unavailable {
        /// The store, or the place in it.
        at: String,
        /// The cause.
        reason: String,
    },
}

/// A store of one lease.
///
/// The requirements for every implementation, which the conformance suite checks:
/// - A swap is done only if the store is in exactly the expected state. The store itself compares it, atomically with
///   the change. Of many swaps that expect one state, at most one is ever done.
/// - A read returns a state that the store has been in, possibly an older one.
/// - After an error a swap may have been done, may be done later, or never.
/// - A stored claim survives a crash of all machines, including a loss of power.
pub trait LeaseStore: Send + Sync + 'static {
    /// Reads the claim; `None` if none was ever made.
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>>;

    /// Replaces the claim if the store is still in the state `expected`; `None` expects that no claim was ever made.
    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// Returns the store's name for messages.
    fn name(&self) -> &str;
}
