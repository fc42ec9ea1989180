//! Where the lease lies: a place that many processes read and of which one at a time can win a change.

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

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What lies there is not a claim. A person must look at it: nobody can lead until it is gone.
    #[error("{at}: {source}; look at it, and remove it when no node leads")]
    Corrupt {
        /// Where.
        at: String,
        /// What is wrong.
        source: InvalidClaim,
    },
    /// What answers is not the store that held the lease. Nothing is claimed there.
    #[error("{at}: {lost}")]
    Lost {
        /// The store.
        at: String,
        /// What was found instead.
        lost: Lost,
    },
    /// The store refused or cannot be reached. Whether a swap was done is not known.
    #[error("{at}: {reason}")]
    Unavailable {
        /// The store, or the place in it.
        at: String,
        /// Why.
        reason: String,
    },
}

/// A store of one lease.
///
/// What every implementation must hold, and the conformance suite checks:
/// - A swap is done only if the store is in exactly the state that it expects, judged by the store itself at the moment of
///   the change; of many swaps that expect one state, at most one is done, ever.
/// - A read gives a state that the store was in, which may be an older one, but never one that it was not in.
/// - After an error a swap may have been done, may still be done later, or never.
/// - What was swapped in survives a crash of everyone, power included.
pub trait LeaseStore: Send + Sync + 'static {
    /// The claim that lies there; `None` when nobody has ever claimed.
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>>;

    /// Puts a claim in the place of what lies there, if that is still in the state `expected`; `None` expects that nobody
    /// has ever claimed.
    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// The store's name in messages.
    fn name(&self) -> &str;
}
