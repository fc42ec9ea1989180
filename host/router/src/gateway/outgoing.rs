//! Bodies of requests to doors: whole, or passed on as they come.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// A body on its way to a door.
#[derive(Debug)]
pub enum Outgoing {
    /// All of it is here.
    Whole(Bytes),
    /// Some of it is here, the rest comes from the client.
    Passed(Box<Passed>),
}

/// A body that is passed on as it comes.
#[derive(Debug)]
pub struct Passed {
    /// What has come already.
    pub(crate) first: VecDeque<Bytes>,
    /// What is to come.
    pub(crate) rest: Incoming,
    /// So many bytes of it at most.
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
            Self::Passed(passed) => {
                if let Some(first) = passed.first.pop_front() {
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                let frame = std::task::ready!(Pin::new(&mut passed.rest).poll_frame(cx));
                Poll::Ready(frame.map(|frame| {
                    let frame = frame.map_err(io::Error::other)?;
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    passed.left = passed.left.checked_sub(bytes).ok_or_else(|| {
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
            Self::Passed(passed) => passed.first.is_empty() && passed.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Passed(passed) => {
                let first: u64 = passed.first.iter().map(|bytes| bytes.len() as u64).sum();
                match passed.rest.size_hint().exact() {
                    Some(rest) => SizeHint::with_exact(first.saturating_add(rest)),
                    None => SizeHint::default(),
                }
            }
        }
    }
}
