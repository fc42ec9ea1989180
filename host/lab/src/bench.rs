//! `littoral bench`: what the product reaches on this machine, side by side with the floor of the same machine in the
//! same run.
//!
//! Absolute figures drift by half from hour to hour on a shared machine; ratios hold. So every figure stands beside a
//! peer that was measured in turns with it: a bare server that answers the same bytes, Redis, Feast, a bare loop of
//! appends. The servers are processes of their own, this process is the load.

mod appends;
mod args;
mod bootstrap;
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
mod random;
mod reads;
mod redis;
mod report;
mod requests;
mod router;
mod session;
mod stand;
mod tail;
mod visible;
mod writes;

pub use args::Args;
pub use failure::Failure;
pub use names::NAMES;

use std::process::ExitCode;

/// Measures and prints. The exit code is a success when everything that was asked for was measured, whether or not the
/// targets are met: a slow hour of a machine is not an error.
#[must_use]
pub fn main(args: &Args, json: bool) -> ExitCode {
    if let Some(answer) = &args.floor_server {
        return floor::serve(answer);
    }
    match session::run(args, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
