//! Long work, away from the threads that answer everybody.

use crate::failure::Failure;

/// Bytes of work that a thread may take on between two other requests: about a millisecond of parsing.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// Does work whose length goes by `bytes`: here when it is short, else on a thread of its own.
pub(crate) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= INLINE_BYTES_MAX {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::internal()))
}
