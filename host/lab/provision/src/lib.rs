//! What tests and measurements need around the product: servers and Python environments that are found or installed,
//! the built executable, and a harness for its processes.
//!
//! Everything that is installed is announced on standard error first. What cannot be had is a failed test, unless
//! `LITTORAL_SKIP_MISSING=1` says otherwise on a developer's machine ([`missing`]).

pub mod apt;
pub mod binary;
pub mod cache;
pub mod cluster;
pub mod etcd;
pub mod feast;
pub mod guarded;
pub mod haproxy;
pub mod http;
pub mod missing;
pub mod modules;
pub mod node;
pub mod ready;
pub mod redis;
pub mod router;

pub use cluster::Cluster;
pub use guarded::Guarded;
pub use missing::Missing;
pub use node::{Node, Plan};
pub use router::Router;
