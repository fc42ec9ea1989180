//! Certificates, keys and roots of running nodes.

mod files;
mod handshakes;
mod renewal;
mod support;
