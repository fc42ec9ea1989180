//! The feed at a subscriber.

use super::{Error, connection::Guard};
use crate::{
    inbox::Inbox,
    outbox::{Outbox, PushError},
};
use littoral_protocol::frame::{Downstream, Upstream};
use littoral_wire::feed;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Sends to the publisher. Clones send on the same stream.
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
    /// Since when nothing has arrived. Kept between calls, because callers cancel a wait to do other work.
    quiet_since: Option<Instant>,
    /// What the inbox had received by then.
    heard: u64,
    _guard: Arc<Guard>,
}

impl FeedSender {
    pub(crate) fn new(outbox: Outbox, guard: Arc<Guard>) -> Self {
        Self { outbox, _guard: guard }
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    /// [`Error::Broken`] if the stream has ended; [`Error::Stalled`] if the leader does not read and the bound is
    /// reached; [`Error::Wire`] for a hello that is too long.
    pub fn send(&self, message: &Upstream) -> Result<(), Error> {
        self.outbox.try_push(|out| feed::push_upstream(out, message)).map(drop).map_err(|error| match error {
            PushError::Closed => Error::Broken("the feed was closed".to_owned()),
            PushError::Full { .. } => Error::Stalled(error.to_string()),
            PushError::Wire(error) => Error::Wire(error),
        })
    }

    /// Ends this side of the stream; the leader then ends its side.
    pub fn finish(&self) {
        self.outbox.finish();
    }
}

impl FeedReceiver {
    pub(crate) fn new(inbox: Inbox, silence_timeout: Duration, guard: Arc<Guard>) -> Self {
        Self { inbox, silence_timeout, quiet_since: None, heard: 0, _guard: guard }
    }

    /// Returns the next message; `None` if the leader has ended the stream. Blocks of rows and records share the memory
    /// in which they arrived. Cancellation-safe. If this is not called, at most HTTP/2's window accumulates; then the
    /// leader waits, and finally disconnects the subscriber.
    ///
    /// # Errors
    /// [`Error::Wire`], [`Error::Broken`], [`Error::Silent`].
    pub async fn next(&mut self) -> Result<Option<Downstream>, Error> {
        loop {
            if self.inbox.heard() != self.heard {
                (self.heard, self.quiet_since) = (self.inbox.heard(), None);
            }
            let since = *self.quiet_since.get_or_insert_with(Instant::now);
            let Ok(next) = timeout_at(since + self.silence_timeout, self.inbox.next()).await else {
                if self.inbox.heard() != self.heard {
                    // A part of a long message arrived: on a slow link a message may take longer than the leader may be
                    // silent.
                    continue;
                }
                return Err(Error::Silent { waited_ms: self.silence_timeout.as_millis() as u64 });
            };
            self.quiet_since = None;
            return match next? {
                None => Ok(None),
                Some(payload) => Ok(Some(feed::downstream(&payload)?)),
            };
        }
    }
}
