//! One client's connection: which protocol it speaks is seen from its first bytes, without taking them.

use crate::gateway::{answer::Answer, config::Config, service::Service};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use littoral_runtime::{
    socket::Socket,
    stall::Stall,
    unread::{Unread, Watched},
    workers,
};
use std::{convert::Infallible, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{io::Interest, net::TcpStream, sync::Notify};
use tokio_util::sync::CancellationToken;

/// How a connection begins that speaks HTTP/2 without having asked first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// Between the first looks at a client that has sent half of the preface; twice as long each time, up to
/// [`HALF_PAUSE_MAX`].
const HALF_PAUSE: Duration = Duration::from_millis(5);
const HALF_PAUSE_MAX: Duration = Duration::from_millis(500);

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
    let stream = Socket::new(stream);
    // Over HTTP/2 a request ends by itself with its stream or its connection.
    let client = (!http2).then(|| stream.peer());
    let stream = TokioIo::new(Stall::new(stream, config.stall_timeout()));
    let unread = Unread::new();
    let (sender, draining, streams) = (unread.clone(), config.draining.clone(), Arc::new(Notify::new()));
    let has_streams = streams.clone();
    // HTTP/2 has GOAWAY for that, once the first request is here.
    let goes_away = async {
        config.draining.begins().await;
        match http2 {
            true => streams.notified().await,
            false => std::future::pending().await,
        }
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let to_head = *request.method() == Method::HEAD;
        let (answer, sender) = (service.clone().answer(request, peer, client.clone()), sender.clone());
        let draining = draining.clone();
        has_streams.notify_one();
        async move {
            let mut answer = answer.await;
            draining.mark(answer.headers_mut(), http2);
            Ok::<_, Infallible>(sent(answer, http2, to_head, &sender))
        }
    });
    let ended = if http2 {
        let mut builder = http2::Builder::new(workers);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .keep_alive_interval(config.header_timeout() / 2)
            .keep_alive_timeout(config.stall_timeout());
        let served = drained(builder.serve_connection(stream, service), &stop, goes_away);
        tokio::select! {
            ended = served => ended,
            () = unread.given_up(config.stall_timeout()) => {
                tracing::debug!(%peer, "a client does not read its answers");
                return;
            }
        }
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout())
            .half_close(true)
            .max_buf_size(HEAD_BYTES_MAX);
        drained(builder.serve_connection(stream, service), &stop, goes_away).await
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

/// An answer on its way. Over HTTP/2 one that the client does not take is noticed, and one to HEAD goes without its body, which
/// HTTP/1.1 does by itself.
fn sent(mut answer: Response<Answer>, http2: bool, to_head: bool, unread: &Arc<Unread>) -> Response<Watched<Answer>> {
    if !http2 {
        return answer.map(Watched::not);
    }
    if to_head {
        if let Some(length) = answer.body().size_hint().exact().filter(|length| *length > 0) {
            answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        return answer.map(|_| Watched::not(Answer::whole(Bytes::new())));
    }
    answer.map(|body| if body.is_end_stream() { Watched::not(body) } else { unread.watch_stream(body) })
}

/// Drives a connection to its end; once the router stops or it `goes_away`, that is when its running requests are answered.
async fn drained<C: GracefulConnection>(
    connection: C,
    stop: &CancellationToken,
    goes_away: impl Future<Output = ()>,
) -> Result<(), C::Error> {
    let mut served = pin!(connection);
    tokio::select! {
        ended = served.as_mut() => return ended,
        () = stop.cancelled() => {}
        () = goes_away => {}
    }
    served.as_mut().graceful_shutdown();
    served.await
}

/// Whether a client speaks HTTP/2. Any request of HTTP/1.1 differs from the preface within three bytes.
async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let (mut seen, mut pause) = ([0; PREFACE.len()], HALF_PAUSE);
    loop {
        let length = stream.peek(&mut seen).await?;
        let begins = seen.get(..length).is_some_and(|seen| PREFACE.starts_with(seen));
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !begins || length == PREFACE.len() {
            return Ok(begins);
        }
        if stream.ready(Interest::READABLE).await?.is_read_closed() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(HALF_PAUSE_MAX);
    }
}
