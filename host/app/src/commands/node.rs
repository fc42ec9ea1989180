//! Options that leaders and edges share.

use crate::{
    config::{Override, load::File, overrides},
    node::process::Options,
};
use std::{net::SocketAddr, path::PathBuf};

/// Options of every node.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The configuration file. Without one, the defaults apply.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The node's name in status, logs and metrics.
    #[arg(long)]
    name: Option<String>,
    /// Where the node stores its persistent data.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where clients connect. With port 0 the system chooses a port, which the ready line prints.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Exit when standard input ends, so that the node does not outlive its parent process.
    #[arg(long, hide = true)]
    with_parent: bool,
    /// Listen beyond loopback without TLS, or without authentication of clients.
    #[arg(long)]
    insecure: bool,
}

impl NodeArgs {
    /// Returns the options that no file can set.
    pub fn options(&self) -> Options {
        Options { with_parent: self.with_parent, insecure: self.insecure }
    }

    /// Returns the environment's settings, followed by these flags.
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

/// Returns the environment variables that are valid text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
