//! The settings of a client.

use littoral_model::{caller::Credential, project::ProjectName, write::WriteConcern};
use littoral_tls::ClientFiles;
use serde::Deserialize;

/// The settings of a client: timeouts, retries and bounds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a connection attempt may take, in milliseconds. Default 2,000.
    pub connect_timeout_ms: u64,
    /// How long one attempt of a call may take, in milliseconds. Default 30,000.
    pub timeout_ms: u64,
    /// How many times a call is retried, if that is safe. Default 3.
    pub retries_max: u32,
    /// The pause before the first retry of a call, in milliseconds. Doubles with each retry, up to 2 s. Default 100.
    pub backoff_ms: u64,
    /// The largest accepted response body, in bytes. Default 256 MiB.
    pub answer_bytes_max: usize,
    /// How durable writes of rows must be before they are acknowledged. Default: local.
    pub concern: WriteConcern,
    /// How long a write waits for its concern to be reached, in milliseconds. Default 0: as configured at the leader.
    pub concern_wait_ms: u32,
    /// The bearer token that every call sends. Default none.
    pub token: Option<Credential>,
    /// The trusted roots, and the client's certificate, for addresses with https.
    pub tls: ClientFiles,
    /// The project of all calls. Default: none, which nodes treat as `default`.
    pub project: Option<ProjectName>,
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
            token: None,
            tls: ClientFiles::default(),
            project: None,
        }
    }
}
