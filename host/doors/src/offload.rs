//! Moves long work off the threads that serve connections.

use crate::failure::Failure;

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
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::internal()))
}
