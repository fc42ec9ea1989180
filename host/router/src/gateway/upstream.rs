//! A connection to a door. The task that uses a connection also drives it. A request therefore costs no hand-over
//! between tasks, and dropping it ends the work at the door.

use crate::{decision::door::Door, gateway::outgoing::Outgoing};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use littoral_tls::{Stream, Tls};
use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// An HTTP/1.1 connection to a door.
pub struct Upstream {
    sender: SendRequest<Outgoing>,
    connection: Pin<Box<Connection<TokioIo<Stream<TcpStream>>, Outgoing>>>,
    ended: bool,
    used: Instant,
    reused: bool,
}

/// A request that got no answer.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: hyper::Error,
    /// The request, if nothing of it was sent.
    pub unsent: Option<Box<Request<Outgoing>>>,
}

// === impl Upstream ===

impl Upstream {
    /// Connects within `limit`, with TLS if the router uses it. The handshake takes another round trip, so it has as
    /// long again.
    ///
    /// # Errors
    /// When the door cannot be reached in time, or a node of another region serves it.
    pub async fn connect(door: &Door, tls: Option<&Tls>, limit: Duration) -> io::Result<Self> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        let socket = timeout(limit, TcpStream::connect(&door.address)).await.map_err(late)??;
        socket.set_nodelay(true)?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(tls) => {
                let handshake = tls.connect_door(&door.address, door.region.as_str(), socket);
                timeout(limit, handshake).await.map_err(late)??
            }
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let (connection, used) = (Box::pin(connection), Instant::now());
        Ok(Self { sender, connection, ended: false, used, reused: false })
    }

    /// Returns whether it has served a request.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Returns how long it has been idle.
    #[must_use]
    pub fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used)
    }

    /// Reads what has arrived, without waiting: the door may have closed the connection. Returns whether it can send a
    /// request.
    #[must_use]
    pub fn check_open(&mut self) -> bool {
        self.advance(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, Failed> {
        let sent = self.sender.try_send_request(request);
        self.drive(sent).await.map_err(|mut failed| {
            let unsent = failed.take_message().map(Box::new);
            Failed { error: failed.into_error(), unsent }
        })
    }

    /// Waits for something that comes over this connection.
    pub async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.advance(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Lets the connection read and write what it can.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = self.connection.as_mut().poll(cx).is_ready();
        }
    }

    /// Returns the connection, if it can serve another request. Call it once an answer was read to its end.
    #[must_use]
    pub fn kept(mut self) -> Option<Self> {
        self.reused = true;
        self.used = Instant::now();
        self.check_open().then_some(self)
    }
}
