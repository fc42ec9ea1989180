//! Answers on their way to a client that may not take them.
//!
//! HTTP/1.1 shows a client that does not read as a write that waits. HTTP/2 does not: each answer has a window of its
//! own, the connection goes on, and what was never taken would be held for ever.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// What a connection's client has not taken yet.
#[derive(Debug)]
pub struct Unread {
    began: Instant,
    answers: AtomicUsize,
    bytes: AtomicUsize,
    /// When the last piece was taken, in milliseconds after `began`.
    taken_ms: AtomicU64,
    some: Notify,
}

/// A body that counts as unread until it is taken, or one that is not watched.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    watch: Option<Watch>,
    /// The last byte, which was kept back.
    last: Option<Bytes>,
}

#[derive(Debug)]
struct Watch {
    unread: Arc<Unread>,
    bytes: usize,
    keeps_back: bool,
}

impl Unread {
    /// Of a new connection.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            answers: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            taken_ms: AtomicU64::new(0),
            some: Notify::new(),
        })
    }

    /// How many bytes of watched answers, of those whose length was known, are not taken yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Watches a body of an answer over HTTP/1.1.
    pub fn watch<B: Body>(self: &Arc<Self>, body: B) -> Watched<B> {
        self.watched(body, false)
    }

    /// Watches a body of an answer over HTTP/2. Its last byte is kept back until all before it has found its way: a piece that
    /// the client's window does not let through waits where nobody sees it.
    pub fn watch_stream<B: Body>(self: &Arc<Self>, body: B) -> Watched<B> {
        self.watched(body, true)
    }

    fn watched<B: Body>(self: &Arc<Self>, body: B, keeps_back: bool) -> Watched<B> {
        let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        self.bytes.fetch_add(bytes, Relaxed);
        if self.answers.fetch_add(1, Relaxed) == 0 {
            self.taken();
            self.some.notify_one();
        }
        Watched { body, watch: Some(Watch { unread: self.clone(), bytes, keeps_back }), last: None }
    }

    fn taken(&self) {
        self.taken_ms.store(self.now_ms(), Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns when watched answers wait and no piece of any was taken for `limit`.
    pub async fn given_up(&self, limit: Duration) {
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

impl Drop for Watch {
    fn drop(&mut self) {
        self.unread.bytes.fetch_sub(self.bytes, Relaxed);
        self.unread.answers.fetch_sub(1, Relaxed);
    }
}

// === impl Watched ===

impl<B> Watched<B> {
    /// A body that is not watched.
    pub fn not(body: B) -> Self {
        Self { body, watch: None, last: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(watch) = &self.watch else { return Poll::Ready(frame) };
        watch.unread.taken();
        let (keeps_back, is_last) = (watch.keeps_back, self.body.is_end_stream());
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(mut data) if keeps_back && is_last && data.len() > 1 => {
                    self.last = Some(data.split_off(data.len() - 1));
                    Frame::data(data)
                }
                Ok(data) => Frame::data(data),
                Err(frame) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept_back = self.last.as_ref().map_or(0, |last| last.len() as u64);
        let left = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + kept_back);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + kept_back);
        }
        hint
    }
}
