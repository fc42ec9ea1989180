//! The election of a region's leader, without IO.
//!
//! [`election`] takes events and times and returns commands: requests to the lease store and changes of leadership.
//! [`claim`] is the content of the store, and [`identity`] distinguishes one store from another. `littoral-lease`
//! drives the election with real stores and a real clock; its simulation drives it with simulated ones.
//!
//! Invariant: nothing here does IO, reads a clock, generates a random number or logs; `clippy.toml` enforces it.

#![warn(clippy::unwrap_used)]

pub mod claim;
pub mod election;
pub mod identity;
pub mod store;
pub mod timing;
