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
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::task;

/// Threads that have a lane of their own; further ones share those.
const LANES: usize = 16;

/// The calls that requests of one release may share next: one for each thread, so that no thread waits for another or wakes it.
pub(crate) struct Joined([Mutex<Lane<Turn>>; LANES]);

impl Joined {
    /// Calls have at most so many rows.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Lane::new(rows_max))))
    }

    /// The lane of this thread.
    fn here(&self) -> (usize, &Mutex<Lane<Turn>>) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Relaxed) % LANES;
        }
        let at = MINE.with(|at| *at);
        (at, &self.0[at])
    }
}

/// Lets a request share a call with others that come at the same time; calls for it alone when it must not, or when sharing finds
/// nobody.
pub(crate) async fn transform(
    calls: &Arc<Calls>,
    release: &Arc<Release>,
    call: &mut ModuleCall,
) -> Result<ModuleOutputs, ModuleError> {
    let (at, lane) = release.joined.here();
    let (waits, opened) = {
        let mut lane = lane.lock();
        match lane.offer(call.rows, |turn| turn.takes(call)) {
            Offered::Alone => (None, false),
            Offered::Joins(turn) => (Some(turn.add(call)), false),
            Offered::Opens => {
                let (turn, waits) = Turn::open(call);
                lane.open(turn);
                (Some(waits), true)
            }
        }
    };
    if opened {
        // A task of its own: whoever opened the lane may go away, and the others still wait.
        drop(tokio::spawn(run(calls.clone(), release.clone(), at)));
    }
    // Calls are boxed, as nearly everyone waits for a call of somebody else's.
    let Some(waits) = waits else { return Box::pin(calls.transform(release, call)).await.map(ModuleOutputs::from) };
    match waits.await {
        Ok(outputs) => Ok(outputs),
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::Alone(mut own)) => Box::pin(calls.transform(release, &mut own)).await.map(ModuleOutputs::from),
    }
}

/// Closes the lane and makes its call.
async fn run(calls: Arc<Calls>, release: Arc<Release>, lane: usize) {
    let lane = &release.joined.0[lane];
    // Until the thread has done what is ready and has looked for more: those requests come along.
    task::yield_now().await;
    let Some(mut turn) = lane.lock().close() else { return };
    let made = calls.transform(&release, turn.call()).await;
    if turn.is_shared() {
        lane.lock().ended(made.is_ok());
    }
    turn.end(made);
}
