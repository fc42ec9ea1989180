//! What can be done with definitions of the catalogue: the same four actions for each kind.

use crate::commands::target::Target;
use clap::Subcommand;
use std::path::PathBuf;

/// What to do with definitions of one kind.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List them.
    List {
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Show one.
    Show {
        /// Its name.
        name: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Make or change what TOML files define.
    Apply {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Drop one.
    Drop {
        /// Its name.
        name: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
}
