//! One client's connection: which protocol it speaks is seen from its first bytes, without taking them.

use crate::gateway::{config::Config, service::Service};
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use littoral_runtime::{stall::Stall, workers};
use std::{convert::Infallible, io, net::IpAddr, pin::pin, time::Duration};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// How a connection begins that speaks HTTP/2 without having asked first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// Between looks at a client that has sent half of the preface.
const HALF_PAUSE: Duration = Duration::from_millis(5);

/// Serves a client until it is done, too slow, or the router stops.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    service: Service,
    config: &Config,
    workers: workers::Executor,
    stop: CancellationToken,
) {
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(config.header_timeout(), is_http2(&stream)) => greeted,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(http2)) = greeted else {
        tracing::debug!(%peer, "a connection ended before it began");
        return;
    };
    let stream = TokioIo::new(Stall::new(stream, config.stall_timeout()));
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = service.clone().answer(request, peer);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let ended = if http2 {
        let mut builder = http2::Builder::new(workers);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .keep_alive_interval(config.header_timeout() / 2)
            .keep_alive_timeout(config.stall_timeout());
        drained(builder.serve_connection(stream, service), &stop).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(config.header_timeout()).max_buf_size(HEAD_BYTES_MAX);
        drained(builder.serve_connection(stream, service), &stop).await
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

/// Drives a connection to its end; once the router stops, that is when its running requests are answered.
async fn drained<C: GracefulConnection>(connection: C, stop: &CancellationToken) -> Result<(), C::Error> {
    let mut served = pin!(connection);
    tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    }
}

/// Whether a client speaks HTTP/2. Any request of HTTP/1.1 differs from the preface within three bytes.
async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        let begins = seen.get(..length).is_some_and(|seen| PREFACE.starts_with(seen));
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !begins || length == PREFACE.len() {
            return Ok(begins);
        }
        tokio::time::sleep(HALF_PAUSE).await;
    }
}
