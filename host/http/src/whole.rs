//! Whole answers: sent in pieces if they are large, and watched if the client may not read them.

use crate::{BodyBudget, Exceeded, Held, Loads, Sending, unread::Watched};
use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// The size of the pieces that a large answer is sent in. Each piece is created once the one before it was sent.
const PIECE_LEN: usize = 64 << 10;

/// The length in bytes above which an answer over HTTP/2 is watched.
const WATCHED_FROM: usize = 1 << 10;

/// The number of bytes of unread small answers that an HTTP/2 connection may hold. Further small answers need a share
/// of the budget, as large ones do.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// The body of an answer that is complete before it is sent. A small one is sent in one piece.
#[derive(Debug)]
pub struct Whole {
    rest: Bytes,
    /// The share of the budget of a large answer.
    held: Option<Held>,
}

impl Whole {
    /// Wraps a small body.
    pub fn small(bytes: impl Into<Bytes>) -> Self {
        Self { rest: bytes.into(), held: None }
    }

    /// Wraps a body that has its share of a budget.
    pub fn held(bytes: Bytes, held: Held) -> Self {
        let is_large = bytes.len() > crate::COUNTED_FROM;
        Self { rest: bytes, held: is_large.then_some(held) }
    }

    /// Gives a large body a share of the budget, which it holds until its client has read it.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn admit(mut self, budget: &BodyBudget, loads: &Loads) -> Result<Self, Exceeded> {
        if self.rest.len() > crate::COUNTED_FROM {
            self.held = Some(budget.take(self.rest.len(), loads)?);
        }
        Ok(self)
    }

    /// Sends an answer. Over HTTP/1.1 only a large one is watched, because a small one waits in the connection's own
    /// write. Over HTTP/2 `full` replaces an answer that has no share.
    pub fn send(
        answer: Response<Self>,
        sending: &Sending<'_>,
        budget: &BodyBudget,
        full: impl FnOnce(Exceeded) -> Response<Self>,
    ) -> Response<Watched<Self>> {
        let Sending { unread, is_http2, loads } = *sending;
        if !is_http2 {
            let watch = |body: Self| if body.held.is_some() { unread.watch(body) } else { Watched::not(body) };
            return answer.map(watch);
        }
        let mut answer = answer;
        let length = answer.body().rest.len();
        let is_small = answer.body().held.is_none() && length > WATCHED_FROM;
        if is_small && unread.bytes().saturating_add(length) > SMALL_BYTES_MAX {
            match budget.take(length, loads) {
                Ok(held) => answer.body_mut().held = Some(held),
                Err(exceeded) => answer = full(exceeded),
            }
        }
        answer.map(|body| if body.rest.len() > WATCHED_FROM { unread.watch_stream(body) } else { Watched::not(body) })
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match &self.held {
            None => std::mem::take(&mut self.rest),
            Some(_) => {
                let len = self.rest.len().min(PIECE_LEN);
                // Copied, as a piece that waits in the connection would otherwise hold the memory of the whole answer.
                Bytes::copy_from_slice(&self.rest.split_to(len))
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unread;
    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use std::{sync::Arc, time::Duration};
    use tokio::time::{Instant, sleep, timeout};

    fn answer(budget: &BodyBudget, len: usize) -> Response<Whole> {
        Response::new(Whole::small(vec![b'x'; len]).admit(budget, &Loads::default()).unwrap())
    }

    fn send(
        unread: &Arc<Unread>,
        is_http2: bool,
        budget: &BodyBudget,
        answer: Response<Whole>,
    ) -> Response<Watched<Whole>> {
        Whole::send(answer, &Sending { unread, is_http2, loads: &Loads::default() }, budget, |_| {
            let mut full = Response::new(Whole::small(""));
            *full.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            full
        })
    }

    #[tokio::test]
    async fn a_large_answer_arrives_whole_in_pieces_and_returns_its_share() {
        let (budget, unread) = (BodyBudget::new(300_000, 0), Unread::new());
        let mut sent = send(&unread, false, &budget, answer(&budget, 200_000)).into_body();
        assert!(Whole::small(vec![b'x'; 200_000]).admit(&budget, &Loads::default()).is_err());
        assert_eq!(sent.size_hint().exact(), Some(200_000));
        let first = sent.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE_LEN);
        assert_eq!(first.len() + sent.collect().await.unwrap().to_bytes().len(), 200_000);
        let _ = answer(&budget, 200_000);
        let small = send(&unread, false, &budget, answer(&budget, 10)).into_body().collect().await.unwrap();
        assert_eq!(small.to_bytes().len(), 10);
    }

    #[tokio::test]
    async fn only_a_client_that_reads_nothing_stalls() {
        let limit = Duration::from_millis(400);
        loop {
            let (budget, unread) = (BodyBudget::new(1 << 20, 0), Unread::new());
            let stalled = tokio::spawn({
                let unread = unread.clone();
                async move { unread.stalled(limit).await }
            });
            sleep(limit * 2).await;
            assert!(!stalled.is_finished(), "there is nothing to read");
            let mut sent = send(&unread, false, &budget, answer(&budget, 5 * PIECE_LEN)).into_body();
            let mut longest = Duration::ZERO;
            for _ in 0..4 {
                let begun = Instant::now();
                sleep(limit / 2).await;
                sent.frame().await.unwrap().unwrap();
                longest = longest.max(begun.elapsed());
            }
            let slow_stalls = stalled.is_finished();
            timeout(Duration::from_secs(60), stalled).await.expect("a client that reads nothing stalls").unwrap();
            // A machine that paused the test for longer than the limit proves nothing: begin again.
            if longest < limit {
                return assert!(!slow_stalls);
            }
        }
    }

    #[tokio::test]
    async fn over_http2_small_answers_wait_for_their_last_byte_and_have_a_bound() {
        let (budget, unread) = (BodyBudget::new(100_000, 0), Unread::new());
        let small = |len| Response::new(Whole::small(vec![b'x'; len]));
        let mut first = send(&unread, true, &budget, small(60_000)).into_body();
        let frame = first.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((frame.len(), first.size_hint().exact(), unread.bytes()), (59_999, Some(1), 60_000));
        assert_eq!(first.collect().await.unwrap().to_bytes().len(), 1);
        assert_eq!(unread.bytes(), 0, "it was read");
        let waiting: Vec<_> = (0..20).map(|_| send(&unread, true, &budget, small(60_000))).collect();
        let accepted = |answer: &&Response<Watched<Whole>>| answer.status().is_success();
        assert_eq!(waiting.iter().filter(accepted).count(), SMALL_BYTES_MAX / 60_000 + 100_000 / 60_000);
        let tiny = send(&unread, true, &budget, small(WATCHED_FROM));
        assert!(tiny.status().is_success(), "a tiny answer always passes");
    }
}
