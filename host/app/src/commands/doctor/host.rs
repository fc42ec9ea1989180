//! Checks of the host: file descriptors, addresses, memory, and the node's certificate.

use super::finding::Finding;
use crate::output::text;
use littoral_runtime::{
    descriptors::{self, Needs},
    memory,
};
use littoral_tls::{Tls, expires_in};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

/// Checks that the process may open the file descriptors that its configuration needs.
pub fn descriptors(needs: &Needs) -> Finding {
    match descriptors::prepare(needs) {
        Ok(()) => Finding::ok("file descriptors", "the limit is high enough for the configured connections"),
        Err(error) => Finding::problem("file descriptors", error.to_string(), ""),
    }
}

/// Checks that the node can listen on an address.
pub fn listener(key: &str, address: SocketAddr) -> Finding {
    let subject = format!("{key} = {address}");
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(subject, "the address is free"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::warning(
            subject,
            "the address is in use",
            "if the node does not run, stop the program that uses it",
        ),
        Err(error) => Finding::problem(subject, error.to_string(), format!("set '{key}' to an address of this host")),
    }
}

/// Checks that the host has the memory that rows may take.
pub fn memory(keys: &str, rows: u64) -> Finding {
    let Some(limit) = memory::limit_bytes() else {
        return Finding::warning("memory", "this host does not report its memory", "compare it with the configuration");
    };
    let what = format!("rows may take {} of {}", text::bytes(rows), text::bytes(limit));
    // The rest is for connections, modules, and rows while a snapshot replaces them.
    if rows <= limit / 4 * 3 {
        Finding::ok("memory", what)
    } else {
        Finding::warning("memory", what, format!("lower {keys} to three quarters of the memory, or add memory"))
    }
}

/// Checks that the node's certificate is valid for at least a fifth of its lifetime.
pub fn certificate(tls: &Tls) -> Finding {
    let (own, identity) = (tls.certificate(), tls.identity());
    let left = expires_in(&own);
    let lifetime = Duration::from_secs(own.not_after_s.saturating_sub(own.not_before_s));
    let what = format!("{identity} is valid for {} more", text::span(left));
    // A node renews at about two thirds of the lifetime.
    if left >= lifetime / 5 {
        Finding::ok("certificate", what)
    } else {
        Finding::warning("certificate", what, "it should have been renewed; check tls.renew and the log of the node")
    }
}
