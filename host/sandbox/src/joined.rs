//! Requests of one release that share a call: of a module that says that each row stands for itself.

use crate::{
    lane::{Lane, Offered},
    release::Release,
    runtime::Calls,
    turn::{Ended, Turn},
};
use littoral_model::{
    module_outputs::ModuleOutputs,
    ports::{ModuleCall, ModuleError},
};
use littoral_runtime::per_thread::{self, PerThread};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task;

/// The calls that requests of one release may share next: one for each thread, so that no thread waits for another or wakes it.
pub(crate) struct Joined(PerThread<Mutex<Lane<Turn>>>);

impl Joined {
    /// Calls have at most so many rows.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self(PerThread::new(|| Mutex::new(Lane::new(rows_max))))
    }
}

/// Lets a request share a call with others that come at the same time; calls for it alone when it must not, or when sharing finds
/// nobody.
pub(crate) async fn transform(
    calls: &Arc<Calls>,
    release: &Arc<Release>,
    call: &mut ModuleCall,
) -> Result<ModuleOutputs, ModuleError> {
    let waits = {
        let mut lane = release.joined.0.here().lock();
        match lane.offer(call.rows, |turn| turn.takes(call)) {
            Offered::Alone => None,
            Offered::Joins(turn) => Some(turn.add(call)),
            Offered::Opens => {
                let (turn, waits) = Turn::open(call);
                lane.open(turn);
                // A task of its own: whoever opened the lane may go away, and the others still wait.
                drop(tokio::spawn(run(calls.clone(), release.clone(), per_thread::place())));
                Some(waits)
            }
        }
    };
    // Calls are boxed, as nearly everyone waits for a call of somebody else's.
    let Some(waits) = waits else { return Box::pin(calls.transform(release, call)).await };
    match waits.await {
        Ok(outputs) => Ok(outputs),
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::Alone(mut own)) => Box::pin(calls.transform(release, &mut own)).await,
    }
}

/// Closes the lane and makes its call.
async fn run(calls: Arc<Calls>, release: Arc<Release>, place: usize) {
    let lane = release.joined.0.at(place);
    // Until the thread has done what is ready and has looked for more: those requests come along.
    task::yield_now().await;
    let Some(mut turn) = lane.lock().close() else { return };
    let made = calls.make(&release, turn.call()).await;
    let shared = turn.requests() > 1;
    // What one request has asked for must not show in another's answer.
    let apart = shared && made.as_ref().is_ok_and(|made| made.bounded);
    if shared {
        lane.lock().ended(made.is_ok() && !apart);
        let module = turn.call().name.to_string();
        metrics::counter!("littoral_module_shared_calls_total", "module" => module.clone()).increment(1);
        metrics::counter!("littoral_module_shared_requests_total", "module" => module)
            .increment(turn.requests() as u64);
    }
    if apart {
        return turn.end_apart();
    }
    turn.end(made.map(|made| ModuleOutputs::from(made.columns)));
}
