//! The `littoral` command: everything in one binary.
//!
//! Only this crate connects the components: it passes the sandbox to leaders and edges, and the leader or edge to its
//! door.

#![warn(clippy::unwrap_used)]

mod cli;
mod commands;
mod config;
mod definitions_file;
mod node;
mod progress;

// The code that all commands share, including the lab's, under the names of modules of this crate.
use littoral_cli::{failure, output, ready};

use clap::Parser;
use std::process::ExitCode;

/// Rows are many small allocations, often freed by another thread; the system's allocator fragments under that load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    littoral_runtime::core_dumps::prevent();
    let cli = cli::Cli::parse();
    let json = cli.json;
    commands::run(cli).unwrap_or_else(|failure| {
        eprintln!("{}", failure.describe(json));
        failure.exit_code()
    })
}
