//! The command line of `littoral bench`.

use std::path::PathBuf;

/// Options of `littoral bench`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Run only this measurement; repeat the option for more.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(crate::bench::NAMES))]
    pub only: Vec<String>,
    /// Measure briefly and with less data, to check that everything runs; the figures mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Serve the bytes of this file as every response, on a port that the system chooses, until standard input ends.
    #[arg(long, hide = true, value_name = "FILE")]
    pub floor_server: Option<PathBuf>,
    /// Serve them over TLS, with the certificate and its key in this file.
    #[arg(long, hide = true, value_name = "FILE", requires = "floor_server")]
    pub floor_cert: Option<PathBuf>,
}

impl Args {
    /// Returns whether the measurement of this name is requested.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
