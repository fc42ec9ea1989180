//! Conformance with Feast: its recorded exchanges replayed, and its own SDK, against a leader and an edge.

pub mod compare;
pub mod differences;
pub mod fixture;
pub mod golden;
