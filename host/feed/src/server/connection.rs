//! One peer's connection, with its two kinds of streams.

use super::{Shared, activity::Activity, calls, session};
use crate::{
    CALL_PATH, FEED_PATH, FEED_PATH_V3,
    inbox::{Inbox, chain},
    outbox::{self, OutboxBody},
    transport,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use littoral_protocol::frame::VERSION_MAX;
use littoral_wire::{REQUEST_LEN_MAX, UPSTREAM_LEN_MAX};
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// How long calls may run on after the shutdown has begun.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(5);

type Body = Either<OutboxBody, Full<Bytes>>;

/// Serves one connection over an open transport: TCP, or TLS over it. `peer` names it in logs. Returns when the connection is
/// closed or idle, or the server has shut down.
pub async fn serve_connection<T>(transport: T, peer: String, shared: Shared)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Activity::default();
    let peer: Arc<str> = peer.into();
    let service = service_fn({
        let (shared, activity, peer) = (shared.clone(), activity.clone(), peer.clone());
        move |request| {
            let response = answer(request, &shared, &activity, &peer);
            async move { Ok::<_, Infallible>(response) }
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(transport::STREAM_WINDOW)
        .initial_connection_window_size(transport::CONNECTION_WINDOW)
        .max_frame_size(transport::FRAME_LEN_MAX)
        .max_header_list_size(transport::HEADERS_LEN_MAX)
        .max_send_buf_size(transport::SEND_BUFFER)
        .max_concurrent_streams(transport::STREAMS_MAX)
        .keep_alive_interval(transport::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(shared.config.idle_timeout())
        .serve_connection(TokioIo::new(transport), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = activity.idle(shared.config.idle_timeout()) => {
            tracing::debug!(%peer, "closing a peer connection that has no streams");
            return;
        }
        () = activity.cut() => {
            tracing::debug!(%peer, "dropping a peer connection");
            return;
        }
        () = shared.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN_MAX, connection).await {
                Ok(ended) => ended,
                Err(_) => return tracing::warn!(%peer, "the peer did not read its last replies in time"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %chain(&error), "peer connection ended");
    }
}

fn answer(request: Request<Incoming>, shared: &Shared, activity: &Activity, peer: &Arc<str>) -> Response<Body> {
    let path = request.uri().path();
    if path == FEED_PATH_V3 {
        let text = format!(
            "this node serves only version {VERSION_MAX} of the feed ({FEED_PATH}); upgrade the subscriber: subscribers are \
             upgraded before their publishers\n"
        );
        return reject(StatusCode::UPGRADE_REQUIRED, text);
    }
    if path != FEED_PATH && path != CALL_PATH {
        let text = format!("this is Littoral's peer listener: it serves {FEED_PATH} and {CALL_PATH}, not {path}\n");
        return reject(StatusCode::NOT_FOUND, text);
    }
    if request.method() != Method::POST {
        return reject(StatusCode::METHOD_NOT_ALLOWED, format!("{path} accepts only POST\n"));
    }
    let stream = activity.open();
    let is_feed = path == FEED_PATH;
    let incoming = request.into_body();
    let body = if is_feed {
        let Ok(permit) = shared.subscribers.clone().try_acquire_owned() else {
            metrics::counter!("littoral_feed_refused_total", "reason" => "subscribers").increment(1);
            let max = shared.config.subscribers_max;
            return reject(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("this node already has {max} subscribers; retry shortly, or raise subscribers_max\n"),
            );
        };
        let (outbox, body) = outbox::outbox(shared.config.subscriber_bytes_max, shared.frames.clone());
        let inbox = Inbox::new(incoming, UPSTREAM_LEN_MAX);
        let session = session::run(inbox, outbox, shared.clone(), peer.clone(), stream);
        shared.tasks.spawn(async move {
            session.await;
            drop(permit);
        });
        body
    } else {
        let (outbox, body) = outbox::outbox(shared.config.answers_bytes_max, shared.answers.clone());
        let inbox = Inbox::new(incoming, REQUEST_LEN_MAX);
        shared.tasks.spawn(calls::run(inbox, outbox, shared.clone(), peer.clone(), stream));
        body
    };
    Response::new(Either::Left(body))
}

fn reject(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
}
