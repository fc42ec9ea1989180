//! Requests of one release that share a call, if the module declares that its rows are independent.

use crate::{
    call_queue::{CallQueue, Offered},
    release::Release,
    runtime::Calls,
    shared_call::{Ended, SharedCall},
};
use littoral_model::{
    module_outputs::ModuleOutputs,
    ports::{ModuleCall, ModuleError},
};
use littoral_runtime::per_thread::{self, PerThread};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task;

/// The next shared call of one release: one for each thread, so that threads neither wait for nor wake one another.
pub(crate) struct Sharing(PerThread<Mutex<CallQueue<SharedCall>>>);

impl Sharing {
    /// Limits each call to `rows_max` rows.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self(PerThread::new(|| Mutex::new(CallQueue::new(rows_max))))
    }
}

/// Shares a call among requests that arrive at the same time. Calls for the request alone if it must not share, or if
/// sharing finds no others.
pub(crate) async fn transform(
    calls: &Arc<Calls>,
    release: &Arc<Release>,
    call: &mut ModuleCall,
) -> Result<ModuleOutputs, ModuleError> {
    let waiter = {
        let mut queue = release.sharing.0.here().lock();
        match queue.offer(call.rows, |shared| shared.accepts(call)) {
            Offered::Alone => None,
            Offered::Joins(shared_call) => Some(shared_call.add(call)),
            Offered::Opens => {
                let (shared_call, waiter) = SharedCall::open(call);
                queue.open(shared_call);
                // This is a separate task: the request that opened the queue may be dropped while the others still
                // wait.
                drop(tokio::spawn(run(calls.clone(), release.clone(), per_thread::slot())));
                Some(waiter)
            }
        }
    };
    // Calls are boxed, because most requests only wait for another's call.
    let Some(waiter) = waiter else { return Box::pin(calls.transform(release, call)).await };
    match waiter.await {
        Ok(outputs) => Ok(outputs),
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::Alone(mut own)) => Box::pin(calls.transform(release, &mut own)).await,
    }
}

/// Closes the queue and makes its call.
async fn run(calls: Arc<Calls>, release: Arc<Release>, slot: usize) {
    let queue = release.sharing.0.at(slot);
    // Waits until the thread has run all ready tasks and polled for more: those requests join.
    task::yield_now().await;
    let Some(mut shared_call) = queue.lock().close() else { return };
    let made = calls.make(&release, shared_call.call()).await;
    let shared = shared_call.requests() > 1;
    // Whatever one request causes must not show in another's answer.
    let apart = shared && made.as_ref().is_ok_and(|made| made.bounded);
    if shared {
        queue.lock().ended(made.is_ok() && !apart);
        let module = littoral_runtime::metrics::label(&shared_call.call().name);
        metrics::counter!("littoral_module_shared_calls_total", "module" => module.clone()).increment(1);
        metrics::counter!("littoral_module_shared_requests_total", "module" => module)
            .increment(shared_call.requests() as u64);
    }
    if apart {
        return shared_call.end_apart();
    }
    shared_call.end(made.map(|made| ModuleOutputs::from(made.columns)));
}
