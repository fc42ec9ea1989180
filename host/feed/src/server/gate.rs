//! Authenticates the clients on whose behalf peers write.

use littoral_model::{caller::Caller, ports::BoxFuture, write::WriteError};
use littoral_protocol::call::{Answer, Call};

/// Authenticates the clients on whose behalf peers write.
pub trait Gate: Send + Sync + 'static {
    /// Returns the client of a call that changes something, as verified here, if it may make the call.
    ///
    /// # Errors
    /// [`WriteError::Unauthenticated`], also without a client; [`WriteError::Forbidden`].
    fn check<'a>(&'a self, caller: Option<Caller>, call: &'a Call) -> BoxFuture<'a, Result<Caller, WriteError>>;
}

/// Returns whether a call changes something on behalf of a client.
pub(crate) fn is_guarded(call: &Call) -> bool {
    matches!(call, Call::Write(_) | Call::Change(_) | Call::PutModule { .. } | Call::Merge(_))
}

/// Returns the answer to a call whose client was rejected.
pub(crate) fn rejected(call: &Call, error: WriteError) -> Answer {
    match call {
        Call::PutModule { .. } => Answer::Module(Err(error)),
        _ => Answer::Receipt(Err(error)),
    }
}
