//! The frames that wait to be sent on one stream. Frames are pushed at one end, and HTTP/2 takes them at the other when
//! the peer's window allows. Frames that are pushed while HTTP/2 is busy are sent together.

mod queue;

pub(crate) use queue::{Compressing, Held};

use crate::{budget::Budget, link::Link};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use littoral_wire::{Outgoing, Piece};
use parking_lot::Mutex;
use queue::Queue;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::sync::Notify;

/// The end into which frames are pushed. Clones push into the same stream, which ends when the last one is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Pusher>);

#[derive(Debug)]
struct Pusher(Arc<Shared>);

/// The end from which HTTP/2 takes data.
#[derive(Debug)]
pub(crate) struct OutboxBody(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when there is room again or the stream has ended.
    room: Notify,
    bytes_max: usize,
    budget: Budget,
    link: Arc<Link>,
    /// Locked until what it has compressed is in the queue, so that batches stay in order.
    compressing: Option<Mutex<Compressing>>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// The bytes that HTTP/2 has taken and not yet written to the socket.
    in_flight: usize,
    waker: Option<Waker>,
    /// Nothing more may be pushed; the stream ends when everything is sent.
    finished: bool,
    /// The other end was dropped: nothing more will be sent.
    closed: bool,
}

/// Why a frame was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PushError {
    /// The stream has ended.
    #[error("the stream is closed")]
    Closed,
    /// The peer does not read.
    #[error("the peer did not read for {waited_ms} ms with {bytes} bytes waiting")]
    Full {
        /// How long the sender waited, in milliseconds.
        waited_ms: u64,
        /// How many bytes wait.
        bytes: usize,
    },
    /// The frame cannot be encoded.
    #[error(transparent)]
    Wire(#[from] littoral_wire::Error),
}

/// A piece of data that HTTP/2 holds until it is written to the socket; it counts as waiting until then.
struct InFlight {
    piece: Piece,
    shared: Arc<Shared>,
}

/// Creates an outbox and its other end. It accepts frames while fewer than `bytes_max` bytes wait and the shared budget
/// allows it, so it holds at most that and one frame. Bytes wait until they are written to the socket.
pub(crate) fn outbox(bytes_max: usize, budget: Budget) -> (Outbox, OutboxBody) {
    outbox_to(Arc::new(Link::uncounted()), None, bytes_max, budget)
}

/// Like [`outbox`], to a peer at the end of this link.
pub(crate) fn outbox_to(
    link: Arc<Link>,
    compressing: Option<Compressing>,
    bytes_max: usize,
    budget: Budget,
) -> (Outbox, OutboxBody) {
    // A bound of zero would block the stream forever.
    let (bytes_max, compressing) = (bytes_max.max(1), compressing.map(Mutex::new));
    let shared =
        Arc::new(Shared { state: Mutex::default(), room: Notify::new(), bytes_max, budget, link, compressing });
    (Outbox(Arc::new(Pusher(shared.clone()))), OutboxBody(shared))
}

// === impl Outbox ===

impl Outbox {
    /// Pushes without waiting; fails if there is no room. Returns how many bytes of the stream that are.
    pub(crate) fn try_push(
        &self,
        push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>,
    ) -> Result<usize, PushError> {
        if !self.has_room()? {
            return Err(PushError::Full { waited_ms: 0, bytes: self.shared().state.lock().len() });
        }
        self.shared().push(push)
    }

    /// Waits for room, at most `wait_max`, and pushes. The frame is encoded only when there is room, so that it is not
    /// stale. Returns how many bytes of the stream that are.
    pub(crate) async fn push(
        &self,
        wait_max: Duration,
        push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>,
    ) -> Result<usize, PushError> {
        self.ready(wait_max).await?;
        // Another task may have used the room in the meantime. The bound is then exceeded by one frame per task.
        self.shared().push(push)
    }

    /// Waits for room, at most `wait_max`. Large frames are encoded only after this.
    pub(crate) async fn ready(&self, wait_max: Duration) -> Result<(), PushError> {
        // There usually is room, and a timer has a cost.
        if !self.has_room()? && tokio::time::timeout(wait_max, self.wait_for_room()).await.is_err() {
            let bytes = self.shared().state.lock().len();
            return Err(PushError::Full { waited_ms: wait_max.as_millis() as u64, bytes });
        }
        Ok(())
    }

    /// Pushes a last small frame even if there is no room, and ends the stream after it.
    pub(crate) fn push_last(&self, push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>) {
        if let Err(PushError::Wire(error)) = self.shared().push(push) {
            tracing::debug!(%error, "a stream's last frame cannot be encoded; the stream ends without it");
        }
        self.finish();
    }

    /// Ends the stream when everything is sent.
    pub(crate) fn finish(&self) {
        self.shared().end(|state| state.finished = true);
    }

    /// Ends the stream now and discards everything that waits.
    pub(crate) fn abort(&self) {
        let shared = self.shared();
        shared.end(|state| {
            state.finished = true;
            shared.clear(state);
        });
    }

    /// Waits until the other end was dropped.
    pub(crate) async fn closed(&self) {
        loop {
            let notified = self.shared().room.notified();
            if self.shared().state.lock().closed {
                return;
            }
            notified.await;
        }
    }

    /// Returns the link to the peer.
    pub(crate) fn link(&self) -> &Link {
        &self.shared().link
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    fn has_room(&self) -> Result<bool, PushError> {
        let state = self.shared().state.lock();
        if state.closed || state.finished {
            return Err(PushError::Closed);
        }
        Ok(self.shared().has_room(&state))
    }

    async fn wait_for_room(&self) {
        loop {
            let notified = self.shared().room.notified();
            if !matches!(self.has_room(), Ok(false)) {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.0.end(|state| state.finished = true);
    }
}

// === impl State ===

impl State {
    /// Returns how many bytes wait.
    fn len(&self) -> usize {
        self.queue.len() + self.in_flight
    }
}

// === impl Shared ===

impl Shared {
    fn has_room(&self, state: &State) -> bool {
        let waiting = state.len();
        waiting < self.bytes_max && self.budget.has_room(waiting)
    }

    /// Encodes a frame, compresses it if the stream is compressed, and wakes HTTP/2. Returns how many bytes of the
    /// stream that are.
    fn push(&self, push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>) -> Result<usize, PushError> {
        let (len, waker) = match &self.compressing {
            None => self.append(|queue| push(&mut queue.frames))?,
            Some(compressing) => {
                let mut compressing = compressing.lock();
                let batch = compressing.compress(push)?;
                self.append(|queue| {
                    queue.append(batch);
                    Ok(())
                })?
            }
        };
        self.link.queued(len);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(len)
    }

    /// Appends to what waits, and accounts for it.
    fn append(
        &self,
        append: impl FnOnce(&mut Queue) -> Result<(), littoral_wire::Error>,
    ) -> Result<(usize, Option<Waker>), PushError> {
        let mut state = self.state.lock();
        if state.closed || state.finished {
            return Err(PushError::Closed);
        }
        let (before, own_before) = (state.queue.len(), state.queue.own_len());
        let appended = append(&mut state.queue);
        self.budget.take(state.queue.own_len() - own_before);
        appended?;
        Ok((state.queue.len() - before, state.waker.take()))
    }

    fn clear(&self, state: &mut State) {
        self.budget.release(state.queue.own_len());
        state.queue.clear();
    }

    /// Notes that a piece was written to the socket, or never will be.
    fn left(&self, piece: &Piece) {
        if !piece.common {
            self.budget.release(piece.bytes.len());
        }
        let has_room = {
            let mut state = self.state.lock();
            state.in_flight -= piece.bytes.len();
            self.has_room(&state)
        };
        if has_room {
            self.room.notify_waiters();
        }
    }

    fn end(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state.lock();
            change(&mut state);
            state.waker.take()
        };
        self.room.notify_waiters();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

// === impl OutboxBody ===

impl Body for OutboxBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut state = self.0.state.lock();
        if let Some((piece, uncompressed)) = state.queue.pop() {
            state.in_flight += piece.bytes.len();
            drop(state);
            self.0.link.sent(piece.bytes.len(), uncompressed);
            let held = InFlight { piece, shared: self.0.clone() };
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(held)))));
        }
        if state.finished {
            return Poll::Ready(None);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for OutboxBody {
    fn drop(&mut self) {
        let shared = &self.0;
        shared.end(|state| {
            state.closed = true;
            shared.clear(state);
        });
    }
}

// === impl InFlight ===

impl AsRef<[u8]> for InFlight {
    fn as_ref(&self) -> &[u8] {
        &self.piece.bytes
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.left(&self.piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use littoral_protocol::frame::Upstream;
    use littoral_wire::{
        Decoder,
        compression::{Compressor, Decompressor},
        feed::{push_upstream, upstream},
    };

    fn ping(seq: u64) -> impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error> {
        move |out| push_upstream(out, &Upstream::Ping { seq })
    }

    #[tokio::test]
    async fn waiting_frames_are_sent_together_and_the_stream_ends_after_them() {
        let (outbox, mut body) = outbox(1 << 10, Budget::unbounded());
        for seq in 0..10 {
            outbox.try_push(ping(seq)).unwrap();
        }
        outbox.finish();
        assert_eq!(outbox.try_push(ping(11)), Err(PushError::Closed));
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data.len(), 10 * 10);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_full_outbox_accepts_nothing_until_the_peer_reads_or_the_timeout() {
        let (outbox, mut body) = outbox(15, Budget::unbounded());
        outbox.try_push(ping(1)).unwrap();
        outbox.try_push(ping(2)).unwrap();
        assert_eq!(outbox.try_push(ping(3)), Err(PushError::Full { waited_ms: 0, bytes: 20 }));
        let waited = outbox.push(Duration::from_millis(7), ping(3)).await;
        assert_eq!(waited, Err(PushError::Full { waited_ms: 7, bytes: 20 }));
        let (pushed, _) =
            tokio::join!(outbox.push(Duration::from_secs(9), ping(3)), async { drop(body.frame().await) });
        assert_eq!(pushed, Ok(10));
        drop(body);
        assert_eq!(outbox.push(Duration::from_secs(9), ping(4)).await, Err(PushError::Closed));
        outbox.closed().await;
    }

    #[tokio::test]
    async fn data_that_http2_holds_counts_until_it_is_written() {
        let budget = Budget::new(1 << 10, 4);
        let (outbox, mut body) = outbox(15, budget.clone());
        outbox.try_push(ping(1)).unwrap();
        outbox.try_push(ping(2)).unwrap();
        let taken = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(budget.held(), 20);
        assert_eq!(outbox.try_push(ping(3)), Err(PushError::Full { waited_ms: 0, bytes: 20 }));
        let (room, ()) = tokio::join!(outbox.ready(Duration::from_secs(9)), async { drop(taken) });
        assert_eq!((room, budget.held()), (Ok(()), 0));
        outbox.try_push(ping(3)).unwrap();
        assert_eq!(budget.held(), 10);
        drop(body);
        assert_eq!(budget.held(), 0, "discarded frames hold no memory");
    }

    #[tokio::test]
    async fn a_compressed_stream_holds_back_nothing_and_accounts_for_what_it_holds() {
        let held = Held::default();
        let compressing = Compressing::new(Compressor::new().unwrap(), held.one_more(1).unwrap());
        let budget = Budget::new(1 << 20, 4);
        let (outbox, mut body) = outbox_to(Arc::new(Link::uncounted()), Some(compressing), 1 << 10, budget.clone());
        let (mut decompressor, mut frames) = (Decompressor::new().unwrap(), Decoder::new(1 << 10));
        for seq in (0..40).step_by(2) {
            let lens = [outbox.try_push(ping(seq)).unwrap(), outbox.push(Duration::ZERO, ping(seq + 1)).await.unwrap()];
            assert_eq!(budget.held(), lens[0] + lens[1]);
            // The two batches arrive together, and every frame can be read at once.
            decompressor.push(body.frame().await.unwrap().unwrap().into_data().unwrap());
            while let Some(piece) = decompressor.next_piece().unwrap() {
                frames.push(piece);
            }
            for seq in [seq, seq + 1] {
                let payload = frames.next_payload().unwrap().unwrap();
                assert_eq!(upstream(&payload).unwrap(), Upstream::Ping { seq });
            }
            assert_eq!((frames.next_payload().unwrap(), budget.held()), (None, 0));
        }
        outbox.try_push(ping(41)).unwrap();
        outbox.abort();
        assert_eq!(budget.held(), 0);
        assert!(held.one_more(1).is_none());
        drop((outbox, body));
        assert!(held.one_more(1).is_some());
    }

    #[tokio::test]
    async fn an_unread_stream_leaves_others_their_guaranteed_share() {
        let budget = Budget::new(80, 4);
        let (unread, _unread_body) = outbox(1 << 10, budget.clone());
        while unread.try_push(ping(1)).is_ok() {}
        assert_eq!(budget.held(), 40, "the shared half");
        let (read, mut body) = outbox(1 << 10, budget.clone());
        for seq in 0..100 {
            read.try_push(ping(seq)).unwrap();
            drop(body.frame().await.unwrap());
        }
        assert_eq!(budget.held(), 40);
    }
}
