//! One peer's connection, with its two kinds of streams.

use super::{
    Shared,
    activity::Activity,
    calls,
    peers::Node,
    policy::{Peer, PeerRights},
    residency, session,
};
use crate::{
    CALL_PATH, FEED_PATH, PEER_VERSION, VERSION_UNSTATED,
    inbox::{Inbox, chain},
    outbox::{self, OutboxBody},
    transport,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_ENCODING};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use littoral_model::format::ProtocolVersion;
use littoral_runtime::shares::Exceeded;
use littoral_wire::{REQUEST_LEN_MAX, UPSTREAM_LEN_MAX, compression};
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// How long calls may run on after the shutdown has begun.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(5);

type Body = Either<OutboxBody, Full<Bytes>>;

/// Serves one connection, after its handshake if the listener requires TLS. `peer` names it in logs.
pub(super) async fn serve_peer(socket: TcpStream, peer: String, shared: Shared) {
    let Some(tls) = shared.tls.clone() else {
        // Only this host connects.
        let node = Node::unknown(&shared.config);
        let Some(_share) = shared.peers.admit(&peer, &node, shared.config.connections_max) else { return };
        return serve_as(socket, peer, shared, PeerRights::default(), node).await;
    };
    let shutdown = shared.shutdown.clone();
    let handshake = shared.peers.handshake();
    let accepted = tokio::select! {
        accepted = shutdown.run_until_cancelled(tls.accept_peer(socket)) => accepted,
        () = handshake.gives_way() => {
            metrics::counter!("littoral_feed_rejected_total", "reason" => "handshakes").increment(1);
            return tracing::debug!(%peer, "closed a peer's connection: its TLS handshake gave way to newer ones");
        }
    };
    drop(handshake);
    match accepted {
        Some(Ok((stream, identity))) => {
            let own = tls.identity();
            let expires = littoral_tls::expires_in(&identity);
            let rights = PeerRights::new(own, &identity, &shared.config.grants);
            let node = match &identity.identity {
                Some(identity) => shared.peers.node(identity.to_string(), &shared.config),
                None => Node::unknown(&shared.config),
            };
            let Some(_share) = shared.peers.admit(&peer, &node, shared.config.connections_max) else { return };
            tokio::select! {
                () = serve_as(stream, peer.clone(), shared, rights.clone(), node) => {}
                // A stolen key is useless once its certificate has expired, over an open connection too. The peer
                // resumes with the next one.
                () = tokio::time::sleep(expires) => {
                    tracing::info!(%peer, %rights, "closed a peer's connection: the certificate that opened it has expired");
                }
            }
        }
        Some(Err(error)) if shared.peers.take_turn_to_log() => {
            tracing::warn!(%peer, %error, "closed a peer's connection: its TLS handshake failed");
        }
        Some(Err(error)) => tracing::debug!(%peer, %error, "closed a peer's connection: its TLS handshake failed"),
        None => {}
    }
}

/// Serves one connection over an open transport, without an identity. `peer` names it in logs. Returns when the
/// connection is closed, is idle for too long, or the server shuts down.
pub async fn serve_connection<T>(transport: T, peer: String, shared: Shared)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let node = Node::unknown(&shared.config);
    serve_as(transport, peer, shared, PeerRights::default(), node).await;
}

async fn serve_as<T>(transport: T, peer: String, shared: Shared, rights: PeerRights, node: Arc<Node>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Activity::default();
    let peer: Arc<str> = peer.into();
    let other =
        Peer { address: peer.clone(), region: None, version: shared.config.version, rights: Arc::new(rights), node };
    let service = service_fn({
        let (shared, activity) = (shared.clone(), activity.clone());
        move |request| {
            let response = answer(request, &shared, &activity, &other);
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
        .max_pending_accept_reset_streams(transport::RESETS_MAX)
        .max_local_error_reset_streams(transport::BROKEN_STREAMS_MAX)
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

fn answer(request: Request<Incoming>, shared: &Shared, activity: &Activity, peer: &Peer) -> Response<Body> {
    let Peer { address, rights, node, .. } = peer;
    let path = request.uri().path();
    if path != FEED_PATH && path != CALL_PATH {
        let text = format!("this is Littoral's peer listener: it serves {FEED_PATH} and {CALL_PATH}, not {path}\n");
        return reject(StatusCode::NOT_FOUND, text);
    }
    if request.method() != Method::POST {
        return reject(StatusCode::METHOD_NOT_ALLOWED, format!("{path} accepts only POST\n"));
    }
    let is_feed = path == FEED_PATH;
    if let Err(reason) = if is_feed { rights.may_subscribe() } else { rights.may_connect() } {
        metrics::counter!("littoral_feed_rejected_total", "reason" => "role").increment(1);
        tracing::warn!(peer = %address, reason, "rejected a peer's stream");
        return reject(StatusCode::FORBIDDEN, format!("{reason}\n"));
    }
    let version = match agreed(request.headers(), shared.config.version) {
        _ if is_feed => shared.config.version,
        Ok(version) => version,
        Err(text) => return reject(StatusCode::UPGRADE_REQUIRED, text),
    };
    let stream = activity.open();
    let region = residency::region_of(rights, request.headers());
    let from = Peer { region, version, ..peer.clone() };
    let link = shared.links.to(region);
    let mut headers = HeaderMap::new();
    let body = if is_feed {
        let share = match shared.peers.subscription(node) {
            Ok(share) => share,
            Err(exceeded) => return too_many_subscriptions(exceeded, shared.config.subscribers_max),
        };
        let own = shared.source.held_in();
        let compressing = shared.compressors.start(&shared.config, request.headers(), own, region);
        if compressing.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(compression::CODING));
        }
        let (frames, bytes_max) = (shared.frames.clone(), shared.config.subscriber_bytes_max);
        let (outbox, body) = outbox::outbox_to(link, compressing, bytes_max, frames);
        let inbox = Inbox::new(request.into_body(), UPSTREAM_LEN_MAX);
        let session = session::run(inbox, outbox, shared.clone(), from, stream);
        shared.tasks.spawn(async move {
            session.await;
            drop(share);
        });
        body
    } else {
        let (answers, bytes_max) = (shared.answers.clone(), shared.config.answers_bytes_max);
        let (outbox, body) = outbox::outbox_to(link, None, bytes_max, answers);
        let inbox = Inbox::new(request.into_body(), REQUEST_LEN_MAX);
        shared.tasks.spawn(calls::run(inbox, outbox, shared.clone(), from, stream));
        body
    };
    let mut response = Response::new(Either::Left(body));
    if !is_feed {
        headers.insert(PEER_VERSION, version.number().into());
    }
    *response.headers_mut() = headers;
    response
}

/// Returns the newest protocol version that this node and a caller speak; otherwise the text of the rejection.
fn agreed(headers: &HeaderMap, ours: ProtocolVersion) -> Result<ProtocolVersion, String> {
    let stated = headers.get(PEER_VERSION).map(|stated| String::from_utf8_lossy(stated.as_bytes()));
    let theirs = stated.unwrap_or_else(|| VERSION_UNSTATED.to_string().into());
    let agreed = theirs.parse().ok().and_then(|newest| ours.agree(u16::MIN, newest));
    agreed.ok_or_else(|| {
        let oldest = ProtocolVersion::PREVIOUS;
        format!("the caller speaks protocol version {theirs} at most, but this node speaks versions {oldest} to {ours}; upgrade the caller\n")
    })
}

fn too_many_subscriptions(exceeded: Exceeded, max: usize) -> Response<Body> {
    let (reason, text) = match exceeded {
        Exceeded::Bound => (
            "subscribers",
            format!("this node already has {max} subscribers; retry shortly, or raise subscribers_max\n"),
        ),
        Exceeded::Client => {
            let text =
                "your node already has its share of this node's subscriptions; close some, or raise subscribers_max\n";
            ("node", text.to_owned())
        }
    };
    metrics::counter!("littoral_feed_rejected_total", "reason" => reason).increment(1);
    reject(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn reject(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
}
