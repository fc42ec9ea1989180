//! Faults on demand for processes, for tests and drills.
//!
//! A [`link`] forwards the connections between two processes and makes them slow, jittery, narrow, stalled, reset,
//! half-open or cut. It works everywhere. A [`network`] gives processes network namespaces of their own, whose links
//! the kernel takes down or narrows. It needs rights that not every host grants, and names those that it lacks.

#![warn(clippy::unwrap_used)]

pub mod link;
pub mod network;

pub use link::Link;
pub use network::Network;
