//! The crates as cargo sees them, and as `host/ARCHITECTURE.md` draws them. The tests compare the two.

pub mod diagram;
pub mod metadata;
