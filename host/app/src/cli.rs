//! The command line: every subcommand and the options that all of them share.

use crate::commands;
use clap::{Parser, Subcommand};

/// The version, and the commit where the build knew it: `0.1.0 (1a2b3c4d5e6f)`.
pub const BUILD: &str = env!("LITTORAL_BUILD");

/// Feature serving at the edge: regional leaders, live replicas, sandboxed transformations, and answers that state
/// their freshness.
#[derive(Debug, Parser)]
#[command(name = "littoral", version = BUILD, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `littoral` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything at work on this machine, with real flight data, in under a minute.
    Demo(commands::demo::Args),
    /// Run a local leader and edges until Ctrl-C.
    Dev(commands::dev::Args),
    /// Run a leader: takes writes, keeps the log, feeds edges.
    Leader(commands::leader::Args),
    /// Run an edge: holds a replica of its leader and answers reads.
    Edge(commands::edge::Args),
    /// Run a router: sends each request to the nearest healthy place.
    Router(commands::router::Args),
    /// Feature views: list, show, apply, drop.
    View(commands::view::Args),
    /// Feature services: list, show, apply, drop.
    Service(commands::service::Args),
    /// Push sources: list, show, apply, drop.
    PushSource(commands::push_source::Args),
    /// Modules: build, inspect, test, push, list, drop.
    Module(commands::module::Args),
    /// Load rows.
    Ingest(commands::ingest::Args),
    /// Read features, with what is known of their freshness.
    Read(commands::read::Args),
    /// Show the state of nodes.
    Status(commands::status::Args),
    /// Prove that an edge holds what its leader holds; what differs is mended.
    Verify(commands::verify::Args),
    /// Writes that lost against another region's: list, replay.
    Conflicts(commands::conflicts::Args),
    /// What a member of a region's log had alone and had to give up: list, show, merge, drop.
    Tails(commands::tails::Args),
    /// Regions of a topology: list, promote, demote, drain, failover, failback.
    Region(commands::region::Args),
    /// Break a cluster on this machine on purpose and measure what clients see.
    Drill(commands::drill::Args),
    /// Import definitions of another system.
    Import(commands::import::Args),
    /// Check configuration files.
    Config(commands::config::Args),
    /// Measure speed and memory beside the floor of this machine.
    Bench(commands::bench::Args),
    /// Compile a component in a process of its own; for the sandbox.
    #[command(hide = true)]
    ModuleCompile(commands::module_compile::Args),
}
