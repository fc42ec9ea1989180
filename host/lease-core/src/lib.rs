//! The election of a region's leader, without IO.
//!
//! [`election`] takes events and times and returns requests to the lease's store and changes of leadership. [`claim`] is what lies in
//! the store, and [`identity`] distinguishes one store from another. `littoral-lease` drives this over real stores and a real clock,
//! and its simulation over made-up ones.
//!
//! Invariant: nothing here does IO, reads a clock, draws a random number or logs; `clippy.toml` enforces it.

#![warn(clippy::unwrap_used)]

pub mod claim;
pub mod election;
pub mod identity;
pub mod store;
pub mod timing;
