//! A process's threads: workers, which share tasks, and beside them as many reactors, which each serve connections of their
//! own ([`crate::reactors`]).

use crate::{metrics::count_tasks_of, reactors::Reactors};
use serde::Deserialize;
use std::{io, num::NonZeroUsize, thread, time::Duration};
use tokio::runtime::Handle;

/// How long blocking threads that still work may hold up the end of a process.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);

/// `[workers]`: the process's threads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Worker threads; unset means one per core.
    pub threads: Option<NonZeroUsize>,
    /// Reactors; unset means as many as there are workers. With none, connections are tasks that the workers share.
    pub reactors: Option<usize>,
}

/// The workers, as HTTP/2 knows them: one connection may bring many requests at once, which one reactor should not answer alone.
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

/// Runs `main`, made with the reactors, on the workers, and waits a little for blocking work when it is done.
///
/// # Errors
/// When the system gives no threads.
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
