//! Where the leader is, and how long to wait for it.

use littoral_model::{format::ProtocolVersion, region::Region};
use littoral_tls::Tls;
use serde::Deserialize;
use std::time::Duration;

/// The client's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses of peer listeners, `host:port`, tried in order: the leader's, then other regions' leaders'. Default:
    /// `127.0.0.1:7071`.
    #[serde(rename = "addresses")]
    pub leader: Vec<String>,
    /// How long one address may take to open both streams, in milliseconds. Default: 2000.
    pub connect_timeout_ms: u64,
    /// How long a call may take, in milliseconds. Default: 5000.
    pub call_timeout_ms: u64,
    /// How long the upload or download of a module may take, in milliseconds. Default: 60000.
    pub module_timeout_ms: u64,
    /// How long the feed may be silent before it counts as lost, in milliseconds. The leader answers pings at once and
    /// sends heartbeats, so silence means a dead host or network. Default: 2000.
    pub silence_timeout_ms: u64,
    /// How many calls may wait for their reply; further ones fail as overload. Default: 4096.
    pub calls_in_flight_max: usize,
    /// How many bytes of calls may wait to be sent; callers then wait, within their timeout. Default: 8 MiB.
    pub calls_bytes_max: usize,
    /// The TLS of the connection; it comes from the section `[tls]`. Without it the connection is plain.
    #[serde(skip)]
    pub tls: Option<Tls>,
    /// The region that this node states to its peers. By it they decide which rows they send
    /// ([`littoral_model::project`]).
    #[serde(skip)]
    pub region: Option<Region>,
    /// The newest protocol version that this node speaks; it comes from the key `protocol_version`.
    #[serde(skip)]
    pub version: ProtocolVersion,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            leader: vec!["127.0.0.1:7071".to_owned()],
            connect_timeout_ms: 2_000,
            call_timeout_ms: 5_000,
            module_timeout_ms: 60_000,
            silence_timeout_ms: 2_000,
            calls_in_flight_max: 4_096,
            calls_bytes_max: 8 << 20,
            tls: None,
            region: None,
            version: ProtocolVersion::NEWEST,
        }
    }
}

impl Config {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    pub(crate) fn module_timeout(&self) -> Duration {
        Duration::from_millis(self.module_timeout_ms)
    }

    pub(crate) fn silence_timeout(&self) -> Duration {
        Duration::from_millis(self.silence_timeout_ms)
    }
}
