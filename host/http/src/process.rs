//! The live parts of a process that its listeners use.

use littoral_runtime::{Draining, metrics::Metrics, reactors::Reactors};
use littoral_tls::Tls;

/// The live parts of a process that its listeners use, passed beside their settings. The default has no reactors, no
/// metrics and no TLS, and never drains.
#[derive(Clone, Debug)]
pub struct Process {
    /// The build that status reports.
    pub build: &'static str,
    /// Renders the answer to `/metrics`. Without it that path answers 404.
    pub metrics: Option<Metrics>,
    /// The threads that serve connections. If there are none, the runtime that accepts connections serves them.
    pub reactors: Reactors,
    /// Whether the process is about to stop. Each answer then ends its connection.
    pub draining: Draining,
    /// The TLS of every connection. Without it connections are plain.
    pub tls: Option<Tls>,
    /// Whether the process listens beyond loopback without protection, because it was started with `--insecure`.
    pub insecure: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            build: env!("CARGO_PKG_VERSION"),
            metrics: None,
            reactors: Reactors::default(),
            draining: Draining::default(),
            tls: None,
            insecure: false,
        }
    }
}
