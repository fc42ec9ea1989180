//! Faults on demand, for tests and drills with real processes.
//!
//! A [`link`] stands between two processes and makes their connections slow, jittery, narrow, stalled, reset, half-open or
//! cut. A [`network`] gives processes a network stack of their own, whose links can be taken down and narrowed by the
//! kernel. A [`report`] says what a drill has shown: figures against objectives, as text, JSON and a page. A link works everywhere; a network needs rights that not every place gives, and says so when it lacks them.

pub mod link;
pub mod network;
pub mod report;

pub use link::Link;
pub use network::Network;
