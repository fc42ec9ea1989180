//! The part of the process's settings that the configuration's source needs: those that every node shares.

pub(crate) mod process {
    use crate::config::sections::Shutdown;
    use littoral_runtime::{descriptors::Needs, logging, metrics::table::Role, workers};

    /// The settings of every node's process, as in the command.
    #[allow(dead_code, reason = "no process is started")]
    pub struct Common {
        pub role: Role,
        pub name: String,
        pub region: Option<String>,
        pub logging: logging::Config,
        pub traces: littoral_traces::Config,
        pub workers: workers::Config,
        pub shutdown: Shutdown,
        pub descriptors: Needs,
        pub tls: littoral_tls::Config,
    }
}
