//! The command line of `littoral bench`.

use std::path::PathBuf;

/// Options of `littoral bench`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Run only the measurement of this name; repeat it for more.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(crate::bench::NAMES))]
    pub only: Vec<String>,
    /// Measure briefly and with less data: shows that everything runs, not what it reaches.
    #[arg(long)]
    pub quick: bool,
    /// Serve the bytes of this file as every answer, on a port that the system chooses, until standard input ends.
    #[arg(long, hide = true, value_name = "FILE")]
    pub floor_server: Option<PathBuf>,
}

impl Args {
    /// Whether the measurement of this name is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
