//! The `littoral` command: everything in one binary.
//!
//! Only this crate joins the parts: it gives the sandbox to leaders and edges, and either of them to the doors.

mod cli;
mod commands;
mod config;
mod definitions_file;
mod demo;
mod drill;
mod failure;
mod local;
mod node;
mod output;
mod plain_http;
mod project;
mod ready;

use clap::Parser;
use std::process::ExitCode;

/// Rows are many small allocations that threads free for each other; the system's allocator fragments under that.
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
