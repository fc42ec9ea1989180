//! Which node a command talks to.

/// The node to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The node's door: a leader, or an edge, which passes writes on to its leader.
    #[arg(long, value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    pub to: String,
}
