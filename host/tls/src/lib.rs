//! TLS for listeners and connections: who a node is, which roots it trusts, and to which roles it connects.
//!
//! A node has one certificate with one [`Identity`], a URI such as `littoral://prod/eu/edge/eu-1`. [`Tls`] holds the
//! certificate, its key and the trusted roots of the configured files, and loads them again whenever the files change.
//! Connections that are open keep the certificate with which they were opened. A bad new file changes nothing: the last
//! good state stays in force.
//!
//! [`ca`] is a private certificate authority for clusters that have none, and [`renewal`] renews a node's certificate
//! over its connection to a peer.
//!
//! Invariant: one state is loaded as a whole. A certificate is never used with the key of another one.

#![warn(clippy::unwrap_used)]

pub mod ca;
mod certificate;
mod client;
mod config;
mod error;
pub mod files;
mod identity;
mod material;
pub mod renewal;
mod spiffe;
mod stream;
mod tls;
mod verify;

pub use certificate::{PeerCertificate, PeerIdentity};
pub use client::{ClientFiles, client_config, untrusting_client_config};
pub use config::Config;
pub use error::{Error, explain, explain_source};
pub use identity::{Identity, Role};
pub use spiffe::Mapping;
pub use stream::Stream;
pub use tls::{Tls, expires_in};
