//! The client on whose behalf the current task works. A door sets it. The code that forwards a write to another node
//! reads it, and so does the code that records changes for an audit.

use littoral_model::caller::Caller;

tokio::task_local! {
    static CALLER: Caller;
}

/// Runs `work` on behalf of `caller`.
pub async fn scope<F: Future>(caller: Caller, work: F) -> F::Output {
    CALLER.scope(caller, work).await
}

/// Returns the client on whose behalf this task works, if there is one.
#[must_use]
pub fn current() -> Option<Caller> {
    CALLER.try_with(Caller::clone).ok()
}
