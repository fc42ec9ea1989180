//! Large answers on their way to a client that may not take them.
//!
//! HTTP/1.1 shows a client that does not read as a write that waits. HTTP/2 does not: each answer has a window of its
//! own, the connection goes on, and what was never taken would be held for ever.

use crate::{failure::Answer, room::Held};
use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// Large answers go out in pieces of this many bytes; the next is taken once the one before has found its way.
const PIECE_LEN: usize = 64 << 10;

/// What a connection's client has not taken yet.
pub(crate) struct Unread {
    began: Instant,
    answers: AtomicUsize,
    /// When the last piece was taken, in milliseconds after `began`.
    taken_ms: AtomicU64,
    some: Notify,
}

/// An answer's body. A small one goes out whole.
pub(crate) struct Outgoing {
    rest: Bytes,
    large: Option<Large>,
}

/// Memory and connection of a large answer, told when it has been taken.
struct Large {
    unread: Arc<Unread>,
    _held: Arc<Held>,
}

impl Unread {
    pub(crate) fn new() -> Arc<Self> {
        let (answers, taken_ms) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { began: Instant::now(), answers, taken_ms, some: Notify::new() })
    }

    /// Sends an answer, watched when it is a large one.
    pub(crate) fn send(self: &Arc<Self>, mut answer: Answer) -> Response<Outgoing> {
        let large = answer.extensions_mut().remove::<Arc<Held>>().map(|held| {
            if self.answers.fetch_add(1, Relaxed) == 0 {
                self.taken();
                self.some.notify_one();
            }
            Large { unread: self.clone(), _held: held }
        });
        answer.map(|mut body| {
            // A `Full` is always ready and whole.
            let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
            let rest = match frame {
                Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                _ => Bytes::new(),
            };
            Outgoing { rest, large }
        })
    }

    fn taken(&self) {
        self.taken_ms.store(self.now_ms(), Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns when large answers wait and no piece of any was taken for `limit`.
    pub(crate) async fn given_up(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        loop {
            if self.answers.load(Relaxed) == 0 {
                self.some.notified().await;
                continue;
            }
            if self.now_ms().saturating_sub(self.taken_ms.load(Relaxed)) > limit_ms {
                return;
            }
            sleep(limit / 4).await;
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.unread.answers.fetch_sub(1, Relaxed);
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match &self.large {
            None => std::mem::take(&mut self.rest),
            Some(large) => {
                large.unread.taken();
                let len = self.rest.len().min(PIECE_LEN);
                // Copied, as a piece that waits further down would otherwise hold the whole answer's memory.
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
    use crate::room::Room;
    use http_body_util::{BodyExt as _, Full};

    fn answer(room: &Room, len: usize) -> Answer {
        room.admit(Response::new(Full::from(vec![b'x'; len]))).unwrap()
    }

    #[tokio::test]
    async fn a_large_answer_arrives_whole_in_pieces_and_gives_its_room_back() {
        let (room, unread) = (Room::new(300_000, 0), Unread::new());
        let mut outgoing = unread.send(answer(&room, 200_000)).into_body();
        assert!(room.admit(Response::new(Full::from(vec![b'x'; 200_000]))).is_err());
        assert_eq!(outgoing.size_hint().exact(), Some(200_000));
        let first = outgoing.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE_LEN);
        assert_eq!(first.len() + outgoing.collect().await.unwrap().to_bytes().len(), 200_000);
        let _ = answer(&room, 200_000);
        let small = unread.send(answer(&room, 10)).into_body().collect().await.unwrap();
        assert_eq!(small.to_bytes().len(), 10);
    }

    #[tokio::test]
    async fn only_a_client_that_takes_nothing_is_given_up() {
        let (room, unread, limit) = (Room::new(1 << 20, 0), Unread::new(), Duration::from_millis(400));
        let given_up = tokio::spawn({
            let unread = unread.clone();
            async move { unread.given_up(limit).await }
        });
        sleep(limit * 2).await;
        let mut outgoing = unread.send(answer(&room, 5 * PIECE_LEN)).into_body();
        for _ in 0..4 {
            sleep(limit / 2).await;
            outgoing.frame().await.unwrap().unwrap();
        }
        assert!(!given_up.is_finished());
        sleep(limit * 2).await;
        assert!(given_up.is_finished());
    }
}
