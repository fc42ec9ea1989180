//! What the configuration's source knows of a process: the settings that every node shares.

pub(crate) mod process {
    use crate::config::sections::Shutdown;
    use littoral_runtime::{descriptors::Needs, logging, workers};

    /// Settings of every node's process, as the command has them.
    #[allow(dead_code, reason = "no process is started")]
    pub struct Common {
        pub name: String,
        pub logging: logging::Config,
        pub workers: workers::Config,
        pub shutdown: Shutdown,
        pub descriptors: Needs,
    }
}
