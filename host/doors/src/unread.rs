//! Answers on their way to a client: in pieces when they are large, watched when the client may not take them.

use crate::{
    failure::{Answer, Failure},
    room::{Held, Room},
};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use hyper::body::{Body, Frame, SizeHint};
use littoral_runtime::unread::{Unread, Watched};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// Large answers go out in pieces of this many bytes; the next is taken once the one before has found its way.
const PIECE_LEN: usize = 64 << 10;

/// Over HTTP/2, what is longer is watched.
const WATCHED_FROM: usize = 1 << 10;

/// Over HTTP/2, a connection holds so many bytes of small answers that its client has not taken; what is beyond must find room as
/// large ones do.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// An answer's body. A small one goes out whole.
pub(crate) struct Outgoing {
    rest: Bytes,
    /// Memory of a large answer.
    held: Option<Arc<Held>>,
}

/// Sends an answer over HTTP/1.1, where only a large one is watched: a small one waits in the connection's own write.
pub(crate) fn send(unread: &Arc<Unread>, mut answer: Answer) -> Response<Watched<Outgoing>> {
    let held = answer.extensions_mut().remove::<Arc<Held>>();
    answer.map(|body| match held {
        Some(held) => unread.watch(Outgoing { rest: whole(body), held: Some(held) }),
        None => Watched::not(Outgoing { rest: whole(body), held: None }),
    })
}

/// Sends an answer over HTTP/2; to HEAD without its body, which HTTP/1.1 leaves out by itself.
pub(crate) fn send_stream(
    unread: &Arc<Unread>,
    mut answer: Answer,
    room: &Room,
    to_head: bool,
) -> Response<Watched<Outgoing>> {
    let length = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
    if to_head {
        answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        return answer.map(|_| Watched::not(Outgoing { rest: Bytes::new(), held: None }));
    }
    let mut held = answer.extensions_mut().remove::<Arc<Held>>();
    if held.is_none() && length > WATCHED_FROM && unread.bytes().saturating_add(length) > SMALL_BYTES_MAX {
        match room.take(length) {
            Ok(taken) => held = Some(Arc::new(taken)),
            Err(_) => answer = Failure::overloaded().as_problem(),
        }
    }
    answer.map(|body| {
        let body = Outgoing { rest: whole(body), held };
        if body.rest.len() > WATCHED_FROM { unread.watch_stream(body) } else { Watched::not(body) }
    })
}

fn whole(mut body: http_body_util::Full<Bytes>) -> Bytes {
    // A `Full` is always ready and whole.
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

impl Body for Outgoing {
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
    use http_body_util::{BodyExt as _, Full};
    use std::time::Duration;
    use tokio::time::{Instant, sleep, timeout};

    fn answer(room: &Room, len: usize) -> Answer {
        room.admit(Response::new(Full::from(vec![b'x'; len]))).unwrap()
    }

    #[tokio::test]
    async fn a_large_answer_arrives_whole_in_pieces_and_gives_its_room_back() {
        let (room, unread) = (Room::new(300_000, 0), Unread::new());
        let mut outgoing = send(&unread, answer(&room, 200_000)).into_body();
        assert!(room.admit(Response::new(Full::from(vec![b'x'; 200_000]))).is_err());
        assert_eq!(outgoing.size_hint().exact(), Some(200_000));
        let first = outgoing.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE_LEN);
        assert_eq!(first.len() + outgoing.collect().await.unwrap().to_bytes().len(), 200_000);
        let _ = answer(&room, 200_000);
        let small = send(&unread, answer(&room, 10)).into_body().collect().await.unwrap();
        assert_eq!(small.to_bytes().len(), 10);
    }

    #[tokio::test]
    async fn only_a_client_that_takes_nothing_is_given_up() {
        let limit = Duration::from_millis(400);
        loop {
            let (room, unread) = (Room::new(1 << 20, 0), Unread::new());
            let given_up = tokio::spawn({
                let unread = unread.clone();
                async move { unread.given_up(limit).await }
            });
            sleep(limit * 2).await;
            assert!(!given_up.is_finished(), "there is nothing to take");
            let mut outgoing = send(&unread, answer(&room, 5 * PIECE_LEN)).into_body();
            let mut longest = Duration::ZERO;
            for _ in 0..4 {
                let begun = Instant::now();
                sleep(limit / 2).await;
                outgoing.frame().await.unwrap().unwrap();
                longest = longest.max(begun.elapsed());
            }
            let slow_is_given_up = given_up.is_finished();
            timeout(Duration::from_secs(60), given_up).await.expect("who takes nothing is given up").unwrap();
            // A test that was held up for longer than the limit has shown nothing, and begins again.
            if longest < limit {
                return assert!(!slow_is_given_up);
            }
        }
    }

    #[tokio::test]
    async fn over_http2_small_answers_wait_for_their_last_byte_and_have_a_bound() {
        let (room, unread) = (Room::new(100_000, 0), Unread::new());
        let small = |len| Response::new(Full::from(vec![b'x'; len]));
        let mut first = send_stream(&unread, small(60_000), &room, false).into_body();
        let frame = first.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((frame.len(), first.size_hint().exact(), unread.bytes()), (59_999, Some(1), 60_000));
        assert_eq!(first.collect().await.unwrap().to_bytes().len(), 1);
        assert_eq!(unread.bytes(), 0, "it was taken");
        let waiting: Vec<_> = (0..20).map(|_| send_stream(&unread, small(60_000), &room, false)).collect();
        let taken = |answer: &&Response<Watched<Outgoing>>| answer.status().is_success();
        assert_eq!(waiting.iter().filter(taken).count(), SMALL_BYTES_MAX / 60_000 + 100_000 / 60_000);
        let tiny = send_stream(&unread, small(WATCHED_FROM), &room, false);
        assert!(tiny.status().is_success(), "what is tiny always passes");
        let head = send_stream(&unread, small(5_000), &room, true);
        assert_eq!(
            (&head.headers()[header::CONTENT_LENGTH], head.body().is_end_stream()),
            (&"5000".parse().unwrap(), true)
        );
    }
}
