//! Another region's records that are submitted and not durable yet, in their order. The follower submits the next
//! records without waiting for these, so that the commit thread can make many messages durable with one fsync.

use crate::write_path::{Response, result};
use littoral_model::{position::Position, write::WriteError};
use std::collections::VecDeque;

/// How many messages of a feed may be under way at once. The leader's queue bounds the memory that they use.
const MESSAGES_MAX: usize = 256;

/// What the follower reports once a message, and every message before it, is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Everything up to this position is durable.
    Applied(Position),
    /// The other leader stated this head after it had sent those messages.
    Heard(Position),
}

/// The submissions of one message.
#[derive(Debug)]
struct Message {
    responses: VecDeque<Response>,
    then: Then,
}

#[derive(Debug, Default)]
pub(super) struct Underway(VecDeque<Message>);

impl Underway {
    pub(super) fn push(&mut self, responses: impl IntoIterator<Item = Response>, then: Then) {
        self.0.push_back(Message { responses: responses.into_iter().collect(), then });
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MESSAGES_MAX
    }

    /// Waits until the first message is durable, or forever if there is none. Cancel-safe.
    ///
    /// # Errors
    /// Why it is not durable. The messages after it are rejected as a result.
    pub(super) async fn next(&mut self) -> Result<Then, WriteError> {
        while let Some(first) = self.0.front_mut() {
            if let Some(response) = first.responses.front_mut() {
                result(response.await)?;
                first.responses.pop_front();
            } else if let Some(Message { then, .. }) = self.0.pop_front() {
                return Ok(then);
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        position::{Incarnation, Lsn},
        write::WriteReceipt,
    };
    use std::time::Duration;
    use tokio::{sync::oneshot, time::timeout};

    fn at(lsn: u64) -> Position {
        Position { incarnation: Incarnation(1), lsn: Lsn(lsn) }
    }

    fn receipt() -> WriteReceipt {
        WriteReceipt {
            first: Lsn(1),
            position: at(1),
            token: littoral_model::token::Watermark::default(),
            concern: littoral_model::write::WriteConcern::Local,
            duplicate: false,
            outranked: littoral_model::outranked::Outranked::default(),
        }
    }

    #[tokio::test]
    async fn messages_are_reported_in_their_order_whichever_is_durable_first() {
        let soon = Duration::from_millis(10);
        let mut underway = Underway::default();
        assert!(timeout(soon, underway.next()).await.is_err(), "there is nothing");
        let (first, first_response) = oneshot::channel();
        let (second, second_response) = oneshot::channel();
        underway.push([first_response], Then::Applied(at(5)));
        underway.push([], Then::Heard(at(9)));
        underway.push([second_response], Then::Applied(at(9)));
        second.send(Ok(receipt())).unwrap();
        assert!(timeout(soon, underway.next()).await.is_err(), "the first is not durable yet");
        first.send(Ok(receipt())).unwrap();
        for then in [Then::Applied(at(5)), Then::Heard(at(9)), Then::Applied(at(9))] {
            assert_eq!(underway.next().await, Ok(then));
        }
        let (third, response) = oneshot::channel();
        underway.push([response], Then::Applied(at(12)));
        drop(third);
        assert!(matches!(underway.next().await, Err(WriteError::LeaderUnavailable(_))));
    }
}
