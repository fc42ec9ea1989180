//! Bodies of requests to doors: whole, or forwarded as they arrive.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// The body of a request to a door.
#[derive(Debug)]
pub enum Outgoing {
    /// The whole body.
    Whole(Bytes),
    /// A body that is forwarded once its gate is open.
    Forwarded(Gate),
}

/// Holds a body back until the door has asked for it. A door that rejects the request by its head has received nothing
/// of the body, which can then be sent to another door. Clones share the body.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<Gated>>);

#[derive(Debug)]
struct Gated {
    body: Option<Box<Forwarded>>,
    is_open: bool,
    waker: Option<Waker>,
}

/// A body that is forwarded as it arrives.
#[derive(Debug)]
pub struct Forwarded {
    /// What has arrived and was not sent.
    pub(crate) first: Bytes,
    /// What has not arrived.
    pub(crate) rest: Incoming,
    /// The number of bytes that `rest` may have.
    pub(crate) left: u64,
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Forwarded(gate) => gate.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            // Only a body that is longer than what has arrived is forwarded.
            Self::Forwarded(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Forwarded(gate) => gate.0.lock().body.as_ref().map(|body| body.size_hint()).unwrap_or_default(),
        }
    }
}

impl Gate {
    /// Creates a closed gate in front of a body.
    #[must_use]
    pub fn closed(body: Box<Forwarded>) -> Self {
        Self(Arc::new(Mutex::new(Gated { body: Some(body), is_open: false, waker: None })))
    }

    /// Lets the body through.
    pub fn open(&self) {
        let mut gated = self.0.lock();
        gated.is_open = true;
        let waker = gated.waker.take();
        drop(gated);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns the body if nothing of it was let through. The request whose body it was cannot send it afterwards.
    #[must_use]
    pub fn take_back(&self) -> Option<Box<Forwarded>> {
        let mut gated = self.0.lock();
        if gated.is_open { None } else { gated.body.take() }
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut gated = self.0.lock();
        if !gated.is_open {
            gated.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        gated.body.as_mut().map_or(Poll::Ready(None), |body| body.poll_frame(cx))
    }
}

impl Forwarded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.rest).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(io::Error::other)?;
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.left = self
                .left
                .checked_sub(bytes)
                .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "the body is larger than allowed"))?;
            Ok(frame)
        }))
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest.saturating_add(self.first.len() as u64)),
            None => SizeHint::default(),
        }
    }
}
