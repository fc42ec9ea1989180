//! Options that leaders and edges share.

use crate::config::{Override, load::File, overrides};
use std::{net::SocketAddr, path::PathBuf};

/// Options of every node.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The configuration file; without one the defaults hold.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The node's name in status, logs and metrics.
    #[arg(long)]
    name: Option<String>,
    /// Where it keeps what must outlive it.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where clients connect; port 0 lets the system choose, and the ready line says what it chose.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Ends when standard input does, so that no node outlives what started it.
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

impl NodeArgs {
    /// The environment's settings, then these flags.
    pub fn overrides<F: File>(&self) -> Vec<Override> {
        let mut all = overrides::from_environment(environment(), F::SECTIONS, F::TOP);
        all.extend(self.name.as_ref().map(|name| Override::flag("--name", &format!("{}.name", F::ROLE), name)));
        all.extend(
            self.data_dir
                .as_ref()
                .map(|dir| Override::flag("--data-dir", &format!("{}.data_dir", F::ROLE), dir.display())),
        );
        all.extend(self.listen.map(|address| Override::flag("--listen", "listen", address)));
        all
    }
}

/// The environment, as far as it is text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
