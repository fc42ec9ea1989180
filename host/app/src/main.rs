//! The `littoral` command: everything in one binary.
//!
//! Only this crate joins the other crates: it gives leaders and edges their sandbox, and doors their leader or edge.

#![warn(clippy::unwrap_used)]

mod cli;
mod commands;
mod config;
mod definitions_file;
mod node;
mod progress;

// What commands share with those of the lab, under the names of modules of this crate.
use littoral_cli::{failure, output, ready};

use clap::Parser;
use std::process::ExitCode;

/// Rows are many small allocations, often freed by another thread; the system's allocator fragments under that load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.json;
    commands::run(cli).unwrap_or_else(|failure| {
        eprintln!("{}", failure.describe(json));
        failure.exit_code()
    })
}
