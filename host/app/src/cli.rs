//! The command line: every subcommand, and the options that all of them share.

use crate::commands;
use clap::{Parser, Subcommand};

/// The version, and the commit if the build determined it: `0.1.0 (1a2b3c4d5e6f)`.
pub const BUILD: &str = env!("LITTORAL_BUILD");

/// Feature serving at the edge: regional leaders, live replicas, sandboxed transformations, and answers that state
/// their freshness.
#[derive(Debug, Parser)]
#[command(name = "littoral", version = BUILD, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub tls: littoral_cli::target::TlsArgs,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of `littoral`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything at work on this machine, with real flight data, in under a minute.
    #[cfg(feature = "lab")]
    Demo(littoral_lab::demo::Args),
    /// Run a local leader and edges until Ctrl-C.
    #[cfg(feature = "lab")]
    Dev(commands::dev::Args),
    /// Run a leader: accepts writes, keeps the log, feeds edges.
    Leader(commands::leader::Args),
    /// Run an edge: holds a replica of its leader and answers reads.
    Edge(commands::edge::Args),
    /// Run a router: sends each request to the nearest healthy edge.
    Router(commands::router::Args),
    /// Manage feature views: list, show, apply, drop.
    View(commands::definitions::Args),
    /// Manage feature services: list, show, apply, drop.
    Service(commands::definitions::Args),
    /// Manage push sources: list, show, apply, drop.
    PushSource(commands::definitions::Args),
    /// Manage projects, namespaces of definitions with quotas: list, show, apply, drop.
    Project(commands::definitions::Args),
    /// Manage modules: build, inspect, test, push, list, drop.
    Module(commands::module::Args),
    /// Load rows.
    Ingest(commands::ingest::Args),
    /// Read features with their status, age and freshness.
    Read(commands::read::Args),
    /// Show the state of nodes.
    Status(commands::status::Args),
    /// Verify that an edge's rows equal its leader's, and repair any difference.
    Verify(commands::verify::Args),
    /// Manage conflicts, writes that lost to a write in another region: list, replay.
    Conflicts(commands::conflicts::Args),
    /// Manage detached tails, rows that a log has lost and that a member or an edge still has: list, show, merge, drop.
    Tails(commands::tails::Args),
    /// Create static tokens for clients: new.
    Token(commands::token::Args),
    /// Manage the key ring that encrypts an edge's stored files: add.
    KeyRing(commands::key_ring::Args),
    /// Manage the regions of a topology: list, promote, demote, drain, failover, failback.
    Region(commands::region::Args),
    /// Break a cluster on this machine on purpose and measure what clients see.
    #[cfg(feature = "lab")]
    Drill(littoral_lab::drill::Args),
    /// Import definitions from another system.
    Import(commands::import::Args),
    /// Run a private certificate authority: init, issue, renew, rotate-root, show.
    Certs(commands::certs::Args),
    /// Check the surroundings of a node: clock, disk, limits, peers, certificates.
    Doctor(commands::doctor::Args),
    /// Check configuration files.
    Config(commands::config::Args),
    /// Show the version, and the versions of formats and protocols.
    Version(commands::version::Args),
    /// Explain error codes: what happened and what to do.
    Errors(commands::errors::Args),
    /// Measure speed and memory next to this machine's floor.
    #[cfg(feature = "lab")]
    Bench(littoral_lab::bench::Args),
    /// Compile a component in a separate process; for the sandbox.
    #[command(hide = true)]
    ModuleCompile(commands::module_compile::Args),
}
