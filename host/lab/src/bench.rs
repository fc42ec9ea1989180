//! `littoral bench`: the product's speed and memory on this machine, compared with the floor of the same machine in the
//! same run.
//!
//! Absolute figures drift by half from hour to hour on a shared machine; ratios are stable. So every figure is compared
//! with that of a *peer* (here: a server or program to compare with, not a peer node) that was measured in turns with
//! it: a bare server that sends the same bytes, Redis, Feast, a bare loop of appends. The servers are separate
//! processes; this process generates the load.

mod appends;
mod args;
mod at_rest;
mod auth;
mod bootstrap;
mod compressed;
mod data;
mod failure;
mod far;
mod feast;
mod flights;
mod floor;
mod histogram;
mod http_load;
mod load;
mod machine;
mod measurement;
mod memory;
mod modules;
mod names;
mod popular;
mod reads;
mod redis;
mod report;
mod requests;
mod router;
mod session;
mod setup;
mod tail;
mod tls;
mod traces;
mod visible;
mod writes;

pub use args::Args;
pub use failure::Failure;
pub use names::NAMES;

use std::process::ExitCode;

/// Measures and prints the report. The exit code is a success when all requested measurements were made, whether or not
/// their targets are met: a slow hour of a machine is not an error.
#[must_use]
pub fn main(args: &Args, json: bool) -> ExitCode {
    if let Some(answer) = &args.floor_server {
        return floor::serve(answer, args.floor_cert.as_deref());
    }
    match session::run(args, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
