//! Connections: taken in up to a bound, served as HTTP/1.1 or HTTP/2, closed when a client is too slow, drained at the
//! end.

use crate::{
    Config,
    failure::{Answer, Failure},
    patience::{CutShort, Limits, Patience},
    room::Room,
    unread,
};
use futures_util::FutureExt as _;
use http::{Method, Request, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use littoral_runtime::{
    connections,
    socket::{Peer, Socket},
    unread::Unread,
    workers,
};
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// The longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// Serves until cancelled. Then no connection is taken in, running requests are answered, and what is left after
/// [`Config::drain_ms`] is cut.
///
/// `answers` is the room that large answers share.
pub(crate) async fn serve<H, F>(
    listener: TcpListener,
    config: &Arc<Config>,
    answers: &Room,
    handler: H,
    shutdown: CancellationToken,
) where
    H: Fn(Request<Incoming>, Option<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let workers = workers::Executor(Handle::current());
    let (reactors, drain) = (&config.reactors, config.drain());
    let stopping = (shutdown.clone(), &config.draining);
    connections::serve(listener, reactors, config.connections_max, drain, stopping, |stream, _| {
        let served = (workers.clone(), config.clone(), answers.clone());
        connection(stream, served, handler.clone(), shutdown.clone())
    })
    .await;
}

async fn connection<H, F>(
    stream: TcpStream,
    (workers, config, answers): (workers::Executor, Arc<Config>, Room),
    handler: H,
    shutdown: CancellationToken,
) where
    H: Fn(Request<Incoming>, Option<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (cut_short, unread) = (CutShort::default(), Unread::new());
    let limits = Limits { greeting: config.header_timeout(), write: config.write_timeout() };
    let stream = Socket::new(stream);
    let peer = stream.peer();
    let stream = Patience::new(stream, limits, cut_short.clone());
    let (sender, draining, streams) = (unread.clone(), config.draining.clone(), Arc::new(Notify::new()));
    let has_streams = streams.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (is_stream, to_head) = (request.version() == Version::HTTP_2, *request.method() == Method::HEAD);
        // The last resort: a fault in one request must not take down the others of its connection.
        // Over HTTP/2 a request ends by itself with its stream or its connection, and its connection is always read.
        let client = (!is_stream).then(|| peer.clone());
        let answer = AssertUnwindSafe(handler(request, client)).catch_unwind();
        let (cut_short, sender, answers) = (cut_short.clone(), sender.clone(), answers.clone());
        let draining = draining.clone();
        if is_stream {
            has_streams.notify_one();
        }
        async move {
            let mut answer = answer.await.unwrap_or_else(|_panic| {
                metrics::counter!("littoral_gateway_panics_total").increment(1);
                Failure::internal().as_problem()
            });
            if answer.headers().contains_key(header::CONNECTION) {
                cut_short.set();
            }
            draining.mark(answer.headers_mut(), is_stream);
            Ok::<_, Infallible>(match is_stream {
                false => unread::send(&sender, answer),
                true => unread::send_stream(&sender, answer, &answers, to_head),
            })
        }
    });
    let mut builder = auto::Builder::new(workers);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout())
        .half_close(true)
        // No `pipeline_flush`: it writes nothing as long as a client sends further requests, and so lets one that never
        // reads fill the memory with answers; nor does it send the 400 for a head that is none.
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(config.header_timeout() / 2)
        .keep_alive_timeout(config.write_timeout());
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // HTTP/2 has GOAWAY for that. It is sent once a request has shown that the client speaks HTTP/2: before that, the connection
    // would be closed and its first request lost.
    let goes_away = async {
        config.draining.begins().await;
        streams.notified().await;
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
        () = unread.given_up(config.write_timeout()) => Err("the client does not read its answers".into()),
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended");
    }
}
