//! One connection: HTTP/1.1 or HTTP/2, closed when its client is too slow, drained at shutdown.

use crate::{
    Limits,
    ended::Ended,
    places::Place,
    socket::{Peer, Socket},
    unread::{Unread, Watched},
    wait_limit::{CutShort, WaitLimit},
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::Either};
use http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use littoral_runtime::{
    Draining, RequestId,
    request_id::{self, HEADER as REQUEST_ID},
    shares::{Load, Loads},
    workers,
};
use littoral_tls::{PeerCertificate, PeerIdentity, Tls};
use std::{
    convert::Infallible,
    error::Error,
    future::{pending, ready},
    io,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The number of concurrent requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// The number of streams of a connection that its client may reset before they were accepted. A client that cancels
/// requests does so after a round trip; one that resets streams at once only makes work ("rapid reset").
const RESETS_MAX: usize = 20;

/// The number of streams that a client may break over the lifetime of a connection, so that this end has to reset them.
/// Streams that this end rejects count too, and so does data that arrives after the end of an answer. So a client
/// without faults reaches some hundred.
const BROKEN_STREAMS_MAX: usize = 1_024;

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body + Send;
    /// The body that is sent for it.
    type Sent: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers a request.
    fn answer(
        self,
        request: Request<Incoming>,
        client: Client,
    ) -> impl Future<Output = Response<Self::Answer>> + Send + 'static;

    /// Returns whether bounds per address and identity do not apply to a client: it is a trusted router or proxy, by
    /// its address or by its certificate.
    fn is_exempt(&self, address: IpAddr, certificate: Option<&PeerIdentity>) -> bool;

    /// Returns whether a request is answered even while requests run on all connections.
    fn is_vital(&self, request: &Request<Incoming>) -> bool;

    /// Returns the answer to every other request then.
    fn overloaded(&self, request: &Request<Incoming>) -> Response<Self::Answer>;

    /// Returns the answer to a request whose handling panicked.
    fn panicked(&self) -> Response<Self::Answer>;

    /// Decides how an answer is sent, and whether the connection watches that its client reads it.
    fn send(&self, answer: Response<Self::Answer>, sending: &Sending<'_>) -> Response<Watched<Self::Sent>>;
}

/// The client of a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address of the other end of the connection.
    pub address: IpAddr,
    /// Shows whether the client has left. `None` over HTTP/2, where a request ends with its stream or its connection.
    pub peer: Option<Peer>,
    /// The certificate that the client presented. It is also an extension of every request. `None` without one, and
    /// without TLS.
    pub identity: Option<PeerIdentity>,
    /// What the client's address uses of the bounds that clients share. `None` for a trusted router or proxy.
    pub load: Option<Arc<Load>>,
}

/// The connection that an answer is sent over.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// The answers of the connection that its client has not read.
    pub unread: &'a Arc<Unread>,
    /// Whether the connection uses HTTP/2.
    pub is_http2: bool,
    /// What the client's address uses of the bounds that clients share.
    pub loads: &'a Loads,
}

/// What the connections of a listener share.
#[derive(Clone)]
pub(crate) struct Connections<H> {
    pub(crate) handler: H,
    pub(crate) limits: Limits,
    pub(crate) draining: Draining,
    pub(crate) tls: Option<Tls>,
    pub(crate) workers: workers::Executor,
    pub(crate) shutdown: CancellationToken,
}

impl<H: Handler> Connections<H> {
    /// Serves a connection, after its handshake if the listener uses TLS. The handshake must complete within
    /// [`Limits::header_timeout`].
    pub(crate) async fn serve(self, socket: Socket, mut client: Client, place: &Place) {
        let Some(tls) = self.tls.clone() else { return self.drive(socket, client, place).await };
        let running = place.handshake();
        let handshake = timeout(self.limits.header_timeout, tls.accept_client(socket));
        let handshake = self.shutdown.run_until_cancelled(handshake).await;
        drop(running);
        match handshake {
            Some(Ok(Ok((stream, identity)))) => {
                let is_exempt = self.handler.is_exempt(client.address, identity.as_ref());
                let owner = identity.as_deref().map(PeerCertificate::owner).filter(|_| !is_exempt);
                let identified = owner.map(|owner| place.identify(owner));
                if let Some(None) = identified {
                    return;
                }
                if is_exempt {
                    client.load = None;
                }
                client.identity = identity.clone();
                self.drive(stream, client, place).await;
            }
            Some(Ok(Err(error))) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    Ended::Handshake.count();
                }
                tracing::debug!(%error, address = %client.address, "closed a connection: its TLS handshake failed");
            }
            Some(Err(_)) => {
                Ended::Handshake.count();
                tracing::debug!(address = %client.address, "closed a connection: its TLS handshake took too long")
            }
            None => {}
        }
    }

    /// Serves a connection until its client is done or too slow, or until the listener is shut down. One answer ends a
    /// connection of the reserve.
    async fn drive<S>(self, socket: S, client: Client, place: &Place)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { handler, limits, draining, workers, shutdown, tls: _ } = self;
        let (cut_short, unread, address) = (CutShort::default(), Unread::new(), client.address);
        let stream = WaitLimit::new(socket, limits, cut_short.clone(), place.seat().clone());
        let (requests, watched, notices) = (Arc::new(Notify::new()), unread.clone(), draining.clone());
        let has_requests = requests.clone();
        let (seat, is_reserve) = (place.seat().clone(), place.is_reserve());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (is_http2, is_head) = (request.version() == Version::HTTP_2, *request.method() == Method::HEAD);
            let mut client = client.clone();
            if is_http2 {
                client.peer = None;
                has_requests.notify_one();
            }
            if let Some(identity) = &client.identity {
                request.extensions_mut().insert(identity.clone());
            }
            let (id, running) = (RequestId::of(request.headers()), seat.begin());
            let is_rejected = is_reserve && !handler.is_vital(&request);
            let has_body = !request.body().is_end_stream();
            // Nobody reads the body of a vital request.
            let is_bare = matches!(*request.method(), Method::GET | Method::HEAD);
            let is_unread = has_body && is_bare && handler.is_vital(&request);
            if is_rejected && has_body || is_unread {
                cut_short.set();
            }
            let loads = Loads::new(client.load.clone(), None);
            let answer = match is_rejected {
                true => Either::Left(ready(handler.overloaded(&request))),
                false => Either::Right(handler.clone().answer(request, client)),
            };
            // Last resort: a fault in one request must not end the others of its connection.
            let answer = AssertUnwindSafe(request_id::scope(id.clone(), answer)).catch_unwind();
            let (handler, cut_short) = (handler.clone(), cut_short.clone());
            let (watched, notices) = (watched.clone(), notices.clone());
            async move {
                // The connection has given way, and ends: the request is not carried out.
                let Some(running) = running else { return pending().await };
                let mut answer = answer.await.unwrap_or_else(|_panic| {
                    tracing::error!(request = %id, "a request panicked; its message and place are in the lines above");
                    handler.panicked()
                });
                answer.headers_mut().insert(REQUEST_ID, id.into_value());
                if answer.headers().contains_key(header::CONNECTION) {
                    cut_short.set();
                }
                if (is_reserve || is_unread) && !is_http2 {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                notices.mark(answer.headers_mut(), is_http2);
                let answer = match is_http2 && is_head {
                    true => head_only(answer),
                    false => handler.send(answer, &Sending { unread: &watched, is_http2, loads: &loads }),
                };
                Ok::<_, Infallible>(answer.map(|body| body.during(running)))
            }
        });
        let mut builder = auto::Builder::new(workers);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .half_close(true)
            // Without `pipeline_flush`: it writes nothing while a client sends further requests, so a client that never
            // reads would fill the memory with answers. It also does not send the 400 for an invalid head.
            .max_buf_size(HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(BROKEN_STREAMS_MAX)
            .keep_alive_interval(limits.header_timeout / 2)
            .keep_alive_timeout(limits.write_timeout);
        let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // HTTP/2 announces draining with GOAWAY. It is sent once a request has shown that the client uses HTTP/2: sent
        // earlier, it would close the connection and lose the first request.
        let goes_away = async {
            if !is_reserve {
                draining.begins().await;
            }
            requests.notified().await;
        };
        let ended = async {
            tokio::select! {
                ended = served.as_mut() => return ended,
                () = shutdown.cancelled() => {}
                () = goes_away => {}
            }
            served.as_mut().graceful_shutdown();
            served.await
        };
        let ended = tokio::select! {
            biased;
            ended = ended => ended,
            () = unread.stalled(limits.write_timeout) => Err(Ended::Unread.into()),
        };
        if let Err(error) = ended {
            if let Some(ended) = Ended::of(&*error) {
                // hyper reports both alike.
                let is_idle = ended == Ended::Silent && place.seat().has_served();
                if is_idle { Ended::Idle } else { ended }.count();
            }
            tracing::debug!(error, %address, "a connection ended with an error");
        }
    }
}

/// The answer to HEAD over HTTP/2, without its body. HTTP/1.1 leaves the body out by itself.
fn head_only<A: Body, B>(mut answer: Response<A>) -> Response<Watched<B>> {
    if let Some(length) = answer.body().size_hint().exact().filter(|length| *length > 0) {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    answer.map(|_| Watched::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[test]
    fn an_answer_to_head_has_the_length_and_no_body() {
        let answer = Response::new(Full::<Bytes>::from(vec![b'x'; 5_000]));
        let head: Response<Watched<Full<Bytes>>> = head_only(answer);
        assert_eq!(
            (&head.headers()[header::CONTENT_LENGTH], head.body().is_end_stream()),
            (&"5000".parse().unwrap(), true)
        );
    }
}
