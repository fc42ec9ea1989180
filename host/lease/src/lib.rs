//! Leader election for a region: a lease that one process holds at a time, with a new epoch for each holder.
//!
//! [`election`] decides without IO: events and times go in, commands come out. [`authority`] decides whether a write
//! may still be acknowledged. [`store`] holds the lease: in a shared directory, an object store, or etcd. [`identity`]
//! distinguishes that store from any other. [`service`] connects them to a real clock.
//!
//! `host/decisions/0007-lease.md` explains why a lease is safe, and under which assumptions.

#![warn(clippy::unwrap_used)]

pub mod authority;
pub mod clock;
pub mod profile;
pub mod service;
pub mod store;

pub use authority::{Authority, Fenced};
pub use littoral_lease_core::{
    claim::{self, Claim, Committed, Holder},
    election::{self, Election, EpochStride},
    identity::{self, Identity, StoreId},
    timing::{self, Timing},
};
pub use profile::Profile;
pub use service::{Config, Handle, LeaseState, StoreState};
pub use store::{LeaseStore, Seen, StoreError, Swap, Tag};
