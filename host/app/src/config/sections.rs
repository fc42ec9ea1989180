//! Sections that leaders and edges share.

use crate::config::load::Misfit;
use littoral_runtime::{
    bounds::{self, OutOfBounds},
    descriptors::Bound,
};
use serde::Deserialize;
use std::time::Duration;

/// File descriptors that every node may need besides its log and the connections of its clients and peers: standard
/// streams, listeners, pollers, snapshots, compiled modules, and the connections that it opens.
pub const DESCRIPTORS_OF_EVERY_NODE: u64 = 128;

/// Returns the file descriptors that connections at the door need.
pub fn clients(door: &littoral_doors::Config) -> Bound {
    let connections = door.connections_max as u64;
    Bound { key: "door.connections_max", connections, reserve: littoral_doors::CONNECTIONS_RESERVE as u64 }
}

/// Returns the file descriptors that connections at the peer listener need.
pub fn peers(feed: &littoral_feed::server::Config) -> Bound {
    Bound { key: "feed.connections_max", connections: feed.connections_max as u64, reserve: 0 }
}

/// Returns the values out of bounds in the sections of a node's listeners, modules and authentication.
pub fn misfits(
    feed: &littoral_feed::server::Config,
    door: &littoral_doors::Config,
    modules: &littoral_sandbox::Config,
    auth: &littoral_auth::Config,
) -> impl Iterator<Item = Misfit> {
    let auth = auth.problems().into_iter().map(|problem| Misfit::of("auth", problem.key, problem.reason));
    let sections = [("feed", feed.problems()), ("door", door.problems()), ("modules", modules_problems(modules))];
    let sections = sections.into_iter().flat_map(|(section, problems)| {
        problems.into_iter().map(move |problem| Misfit::of(section, problem.key, problem.reason))
    });
    sections.chain(auth)
}

/// Returns the values of `[tls]` that contradict each other. `signs` is whether the node may hold the CA.
pub fn tls_misfits(tls: &littoral_tls::Config, signs: bool) -> impl Iterator<Item = Misfit> {
    tls.problems(signs).into_iter().map(|problem| Misfit::of("tls", problem.key, problem.reason))
}

/// Returns the values of `[traces]` that cannot be used.
pub fn traces_misfits(traces: &littoral_traces::Config) -> impl Iterator<Item = Misfit> {
    traces.problems().into_iter().map(|problem| Misfit::of("traces", problem.key, problem.reason))
}

/// Returns the problem of grants to peers that present no certificate.
pub fn grants_misfit(feed: &littoral_feed::server::Config, tls: &littoral_tls::Config) -> Option<Misfit> {
    let is_misfit = !feed.grants.is_empty() && tls.cert.is_none() && tls.trust.is_none();
    is_misfit.then(|| {
        let reason = "needs [tls]: without it peers have no identity, and may read all views; configure it, or remove the grants";
        Misfit::of("feed", "grants", reason.to_owned())
    })
}

fn modules_problems(modules: &littoral_sandbox::Config) -> Vec<OutOfBounds> {
    let numbers = [
        ("deadline_ms", modules.deadline_ms),
        ("wall_ms", modules.wall_ms),
        ("memory_bytes", modules.memory_bytes),
        ("output_bytes", modules.output_bytes),
        ("instances_max", u64::from(modules.instances_max)),
        ("component_bytes", modules.component_bytes),
        ("compile_memory_bytes", modules.compile_memory_bytes),
        ("compile_seconds", modules.compile_seconds),
    ];
    bounds::check(1..=u64::MAX, numbers).collect()
}

/// `[shutdown]`: how the process stops.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long the node drains after SIGTERM, in milliseconds: its doors serve while it reports that it is not ready,
    /// so that routers and orchestrators send requests elsewhere. With 0 the doors close at once, as they do on SIGINT.
    pub notice_ms: u64,
    /// How long requests may continue once the doors have closed, in milliseconds.
    pub grace_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { notice_ms: 2_000, grace_ms: 10_000 }
    }
}

impl Shutdown {
    /// Returns [`Shutdown::notice_ms`].
    pub fn notice(&self) -> Duration {
        Duration::from_millis(self.notice_ms)
    }

    /// Returns [`Shutdown::grace_ms`].
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}
