//! Bodies of requests to doors: whole, or forwarded as they arrive.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// The body of a request to a door.
#[derive(Debug)]
pub enum Outgoing {
    /// The whole body.
    Whole(Bytes),
    /// A part of the body. The client sends the rest.
    Forwarded(Box<Forwarded>),
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
            Self::Forwarded(body) if !body.first.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut body.first)))))
            }
            Self::Forwarded(body) => {
                let frame = std::task::ready!(Pin::new(&mut body.rest).poll_frame(cx));
                Poll::Ready(frame.map(|frame| {
                    let frame = frame.map_err(io::Error::other)?;
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    body.left = body.left.checked_sub(bytes).ok_or_else(|| {
                        io::Error::new(io::ErrorKind::FileTooLarge, "the body is larger than allowed")
                    })?;
                    Ok(frame)
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Forwarded(body) => body.first.is_empty() && body.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Forwarded(body) => match body.rest.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest.saturating_add(body.first.len() as u64)),
                None => SizeHint::default(),
            },
        }
    }
}
