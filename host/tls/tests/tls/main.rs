//! Certificates, keys and roots as a running node meets them.

mod files;
mod handshakes;
mod renewal;
mod support;
