//! The feed as a subscriber sees it.

use super::{Error, connection::Guard};
use crate::{
    inbox::Inbox,
    outbox::{Outbox, PushError},
};
use littoral_protocol::frame::{Downstream, Upstream};
use littoral_wire::feed;
use std::{sync::Arc, time::Duration};

/// Sends up the feed. Clones send on the same stream.
#[derive(Clone, Debug)]
pub struct FeedSender {
    outbox: Outbox,
    _guard: Arc<Guard>,
}

/// Receives from the feed.
#[derive(Debug)]
pub struct FeedReceiver {
    inbox: Inbox,
    silence_timeout: Duration,
    _guard: Arc<Guard>,
}

impl FeedSender {
    pub(crate) fn new(outbox: Outbox, guard: Arc<Guard>) -> Self {
        Self { outbox, _guard: guard }
    }

    /// Sends without waiting.
    ///
    /// # Errors
    /// [`Error::Broken`] when the stream is over; [`Error::Stalled`] when the leader reads so little that our bound is
    /// reached; [`Error::Wire`] for a hello that is too long.
    pub fn send(&self, message: &Upstream) -> Result<(), Error> {
        self.outbox.try_push(|out| feed::push_upstream(out, message)).map_err(|error| match error {
            PushError::Closed => Error::Broken("the feed was closed".to_owned()),
            PushError::Full { .. } => Error::Stalled(error.to_string()),
            PushError::Wire(error) => Error::Wire(error),
        })
    }

    /// Ends our side of the stream: the leader then ends its own.
    pub fn finish(&self) {
        self.outbox.finish();
    }
}

impl FeedReceiver {
    pub(crate) fn new(inbox: Inbox, silence_timeout: Duration, guard: Arc<Guard>) -> Self {
        Self { inbox, silence_timeout, _guard: guard }
    }

    /// The next message; `None` when the leader has ended the stream. Blocks of rows and records share the memory that
    /// they arrived in. Safe to cancel. A receiver that is not asked lets at most HTTP/2's window pile up, then the
    /// leader waits, then it cuts the stream.
    ///
    /// # Errors
    /// [`Error::Wire`], [`Error::Broken`], [`Error::Silent`].
    pub async fn next(&mut self) -> Result<Option<Downstream>, Error> {
        match tokio::time::timeout(self.silence_timeout, self.inbox.next()).await {
            Err(_) => Err(Error::Silent { waited_ms: self.silence_timeout.as_millis() as u64 }),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(payload))) => Ok(Some(feed::downstream(&payload)?)),
        }
    }
}
