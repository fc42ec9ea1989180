//! A process's threads: workers, which share tasks, and the same number of reactors, each of which serves its own
//! connections ([`crate::reactors`]).

use crate::{metrics::count_tasks_of, reactors::Reactors};
use serde::Deserialize;
use std::{io, num::NonZeroUsize, thread, time::Duration};
use tokio::runtime::Handle;

/// How long busy blocking threads may delay the end of a process.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);

/// `[workers]`: the process's threads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The number of worker threads. Unset: one per core.
    pub threads: Option<NonZeroUsize>,
    /// The number of reactors. Unset: as many as workers. With 0, connections are tasks that the workers share.
    pub reactors: Option<usize>,
}

/// Runs HTTP/2's tasks on the workers: one connection may carry many requests at once, too many for one reactor.
#[derive(Clone, Debug)]
pub struct Executor(pub Handle);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, request: F) {
        drop(self.0.spawn(request));
    }
}

/// Runs `main` on the workers, with the reactors as its argument. When it returns, waits briefly for blocking work.
///
/// # Errors
/// If the system cannot start the threads.
pub fn run<F: Future>(config: &Config, main: impl FnOnce(Reactors) -> F) -> io::Result<F::Output> {
    let threads = config.threads.map_or_else(thread::available_parallelism, Ok)?;
    let (reactors, running) = Reactors::start(config.reactors.unwrap_or(threads.get()), BLOCKING_GRACE)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().thread_name("littoral-worker").worker_threads(threads.get()).build()?;
    count_tasks_of(runtime.handle());
    let result = runtime.block_on(main(reactors));
    running.stop(BLOCKING_GRACE);
    runtime.shutdown_timeout(BLOCKING_GRACE);
    Ok(result)
}
