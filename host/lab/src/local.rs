//! Clusters on this machine, whose nodes are child processes: for `littoral dev`, the demo and drills.

pub mod certs;
pub mod child;
pub mod cluster;
pub mod regions;

pub use child::{Child, Program};
pub use cluster::Cluster;
pub use regions::Regions;
