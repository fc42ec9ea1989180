//! The worker threads: one tokio runtime per process.

use serde::Deserialize;
use std::{io, num::NonZeroUsize, time::Duration};

/// How long blocking threads that still work may hold up the end of a process.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);

/// `[workers]`: the process's threads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Worker threads; unset means one per core.
    pub threads: Option<NonZeroUsize>,
}

/// Runs `main` on a multi-threaded runtime and waits a little for blocking work when it is done.
///
/// # Errors
/// When the system gives no threads.
pub fn run<T>(config: &Config, main: impl Future<Output = T>) -> io::Result<T> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("littoral-worker");
    if let Some(threads) = config.threads {
        builder.worker_threads(threads.get());
    }
    let runtime = builder.build()?;
    let result = runtime.block_on(main);
    runtime.shutdown_timeout(BLOCKING_GRACE);
    Ok(result)
}
