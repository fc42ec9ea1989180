//! What tests and measurements need around the product: servers and Python environments, which are found or installed,
//! the built executable, and a harness for its processes.
//!
//! Each installation is announced on standard error first. A test whose prerequisite cannot be installed fails, unless
//! `LITTORAL_SKIP_MISSING=1` is set on a developer's machine ([`missing`]).

#![warn(clippy::unwrap_used)]

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
pub mod nginx;
pub mod node;
pub mod oidc;
pub mod oidc_provider;
pub mod otlp;
pub mod project;
pub mod prometheus;
pub mod python;
pub mod redis;
pub mod router;

pub use cluster::Cluster;
pub use guarded::Guarded;
pub use littoral_cli::ready;
pub use missing::Missing;
pub use node::{Node, Plan};
pub use oidc::Issuer;
pub use router::Router;
