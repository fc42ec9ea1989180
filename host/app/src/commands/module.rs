//! `littoral module`: WebAssembly modules that transform features.

use crate::{commands::target::Target, failure::Failure};
use clap::Subcommand;
use std::{path::PathBuf, process::ExitCode};

/// `littoral module ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build a module's crate into a component.
    Build {
        /// The crate's directory.
        dir: PathBuf,
        /// Where the component goes [default: beside the crate's target directory].
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show what a component declares, and whether the sandbox takes it.
    Inspect {
        /// The component.
        component: PathBuf,
    },
    /// Run a module's own tests natively, then check its component in the sandbox.
    Test {
        /// The crate's directory.
        dir: PathBuf,
    },
    /// Upload a component; from then on its name means this release.
    Push {
        /// The component.
        component: PathBuf,
        /// The module's name.
        #[arg(long)]
        name: String,
        /// The release, as `1.0.0`.
        #[arg(long)]
        release: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// List the modules.
    List {
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Drop a module.
    Drop {
        /// Its name.
        name: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
