//! Who leads a region: a lease that one process holds at a time, and that grows an epoch with each holder.
//!
//! [`election`] decides without IO: events and times go in, requests to the store and changes of leadership come out.
//! [`authority`] answers the one question that a write asks: may it still be acknowledged? [`store`] is where the lease lies:
//! a shared directory, an object store, or etcd. [`identity`] tells that store from any other. [`service`] joins them over a real
//! clock.
//!
//! Why a lease is safe, and under which assumptions, stands in `host/decisions/0007-lease.md`.

#![warn(clippy::unwrap_used)]

pub mod authority;
pub mod clock;
pub mod profile;
pub mod service;
pub mod store;

pub use authority::{Authority, Fenced};
pub use littoral_lease_core::{
    claim::{self, Claim, Committed, Holder},
    election::{self, Election, Turn},
    identity::{self, Identity, StoreId},
    timing::{self, Timing},
};
pub use profile::Profile;
pub use service::{Config, Handle, LeaseState, StoreState};
pub use store::{LeaseStore, Seen, StoreError, Swap, Tag};
