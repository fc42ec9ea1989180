//! Moves long work off the threads that serve connections.

use crate::failure::Failure;
use littoral_runtime::request_id;
use std::panic::resume_unwind;

/// The number of bytes up to which a serving thread does the work itself: about a millisecond of parsing.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// Does work whose duration depends on `bytes`: on this thread if it is short, else on a blocking thread.
pub(crate) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= INLINE_BYTES_MAX {
        return work();
    }
    match tokio::task::spawn_blocking(request_id::inherit_blocking(work)).await {
        Ok(done) => done,
        // The connection counts and answers it like every panic.
        Err(fault) if fault.is_panic() => resume_unwind(fault.into_panic()),
        // The process stops.
        Err(_) => Err(Failure::internal()),
    }
}
