//! `littoral status`: shows the state of nodes.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral status ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The nodes' doors.
    #[arg(value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    nodes: Vec<String>,
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
