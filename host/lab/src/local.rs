//! Nodes on this machine as child processes: what `dev` and `demo` start.

pub mod child;
pub mod cluster;
pub mod regions;

pub use child::Child;
pub use cluster::Cluster;
pub use regions::Regions;
