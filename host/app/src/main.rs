//! The `littoral` command: everything in one binary.
//!
//! Only this crate joins the parts: it gives the sandbox to leaders and edges, and either of them to the doors.

mod cli;
mod commands;
mod config;
mod definitions_file;
mod demo;
mod failure;
mod local;
mod node;
mod output;
mod project;
mod ready;

use clap::Parser;
use std::process::ExitCode;

/// Rows are many small allocations that threads free for each other; the system's allocator fragments under that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{} {failure}", "error:");
            failure.exit_code()
        }
    }
}
