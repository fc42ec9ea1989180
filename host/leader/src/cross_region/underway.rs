//! Another region's records that are submitted and not durable yet, in their order. What the feed brings next is submitted
//! meanwhile, so that a fsync is not waited for once a message: the commit thread makes durable together what has gathered.

use littoral_model::{
    position::Position,
    write::{WriteError, WriteReceipt},
};
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// Messages of a feed that may be under way at once. What they hold in memory is bounded by the leader's queue.
const MESSAGES_MAX: usize = 256;

/// The answer to a submission.
pub(super) type Answer = oneshot::Receiver<Result<WriteReceipt, WriteError>>;

/// What holds once everything before it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Everything up to here is durable.
    Applied(Position),
    /// The other leader had this much when everything before was sent.
    Heard(Position),
}

#[derive(Debug, Default)]
pub(super) struct Underway(VecDeque<(VecDeque<Answer>, Then)>);

impl Underway {
    pub(super) fn push(&mut self, answers: impl IntoIterator<Item = Answer>, then: Then) {
        self.0.push_back((answers.into_iter().collect(), then));
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MESSAGES_MAX
    }

    /// Waits for what is first; for ever, when there is nothing. Safe to cancel.
    ///
    /// # Errors
    /// Why it is not durable. What is behind it is refused for that.
    pub(super) async fn next(&mut self) -> Result<Then, WriteError> {
        while let Some((answers, _)) = self.0.front_mut() {
            if let Some(answer) = answers.front_mut() {
                answer.await.unwrap_or_else(|_| Err(WriteError::NotLeader("it is stopping".to_owned())))?;
                answers.pop_front();
            } else if let Some((_, then)) = self.0.pop_front() {
                return Ok(then);
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::position::{Incarnation, Lsn};
    use std::time::Duration;
    use tokio::time::timeout;

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
    async fn what_is_later_is_told_later_whatever_is_durable_first() {
        let soon = Duration::from_millis(10);
        let mut underway = Underway::default();
        assert!(timeout(soon, underway.next()).await.is_err(), "there is nothing");
        let (first, first_answer) = oneshot::channel();
        let (second, second_answer) = oneshot::channel();
        underway.push([first_answer], Then::Applied(at(5)));
        underway.push([], Then::Heard(at(9)));
        underway.push([second_answer], Then::Applied(at(9)));
        second.send(Ok(receipt())).unwrap();
        assert!(timeout(soon, underway.next()).await.is_err(), "the first is not durable yet");
        first.send(Ok(receipt())).unwrap();
        for then in [Then::Applied(at(5)), Then::Heard(at(9)), Then::Applied(at(9))] {
            assert_eq!(underway.next().await, Ok(then));
        }
        let (third, answer) = oneshot::channel();
        underway.push([answer], Then::Applied(at(12)));
        drop(third);
        assert!(matches!(underway.next().await, Err(WriteError::NotLeader(_))));
    }
}
