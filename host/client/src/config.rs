//! How a client waits, repeats and bounds.

use littoral_model::write::WriteConcern;
use serde::Deserialize;

/// How a client waits, repeats and bounds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a connection may take to be made, in milliseconds. Default 2,000.
    pub connect_timeout_ms: u64,
    /// How long one attempt of a call may take in all, in milliseconds. Default 30,000.
    pub timeout_ms: u64,
    /// How often a call is repeated where that cannot do harm. Default 3.
    pub retries_max: u32,
    /// How long the client waits before it repeats a call, in milliseconds; doubled each time, at most 2 s. Default 100.
    pub backoff_ms: u64,
    /// The largest answer taken, in bytes. Default 256 MiB.
    pub answer_bytes_max: usize,
    /// How durable writes of rows must be before they are acknowledged. Default: local.
    pub concern: WriteConcern,
    /// How long a write waits for others, where its concern needs them, in milliseconds. Default 0: as the leader is set up.
    pub concern_wait_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 2_000,
            timeout_ms: 30_000,
            retries_max: 3,
            backoff_ms: 100,
            answer_bytes_max: 256 << 20,
            concern: WriteConcern::Local,
            concern_wait_ms: 0,
        }
    }
}
