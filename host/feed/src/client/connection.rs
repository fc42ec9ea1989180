//! Opens the connection and its two streams.

use super::{CallClient, Config, Error, FeedReceiver, FeedSender};
use crate::{
    CALL_PATH, COMPRESSED_SINCE, FEED_PATH, PEER_REGION, PEER_VERSION, VERSION_UNSTATED,
    budget::Budget,
    inbox::{Inbox, chain},
    outbox::{self, Outbox, OutboxBody},
    transport,
};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use littoral_model::format::ProtocolVersion;
use littoral_tls::Stream;
use littoral_wire::{DOWNSTREAM_LEN_MAX, REPLY_LEN_MAX, compression};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
};

/// How many bytes of pings and reports may wait to be sent before the leader counts as stalled.
const FEED_UP_BYTES_MAX: usize = 256 << 10;
/// How much of a rejection's text is read.
const REJECTION_LEN_MAX: usize = 4 << 10;

/// A connection to a leader. It is closed when all three parts and their clones are dropped.
#[derive(Debug)]
pub struct Connection {
    /// Sends to the publisher. The first message must be the hello.
    pub sender: FeedSender,
    /// Receives from the feed.
    pub receiver: FeedReceiver,
    /// Calls the leader.
    pub calls: CallClient,
}

/// Ends the connection's task when the last part of the connection is dropped.
#[derive(Debug)]
pub(crate) struct Guard(AbortHandle);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects to the first of the leader's addresses that answers, and opens the feed and the stream of calls.
///
/// # Errors
/// The error of the last address: [`Error::Connect`], [`Error::Rejected`].
pub async fn connect(config: &Config) -> Result<Connection, Error> {
    connect_from(config, 0).await.map(|(connection, _)| connection)
}

/// Like [`connect`], but begins with the address at this index, modulo their number, and also returns the index of the
/// one that answered. An address may answer and still not be the right one.
///
/// # Errors
/// As [`connect`].
pub async fn connect_from(config: &Config, first: usize) -> Result<(Connection, usize), Error> {
    let mut last = Error::Connect { address: String::new(), reason: "no address is configured".to_owned() };
    let count = config.leader.len();
    for (index, address) in config.leader.iter().enumerate().cycle().skip(first % count.max(1)).take(count) {
        match dial(address, config, async |socket| connect_over(socket, address, config).await).await {
            Ok(connection) => return Ok((connection, index)),
            Err(error) => last = error,
        }
        tracing::debug!(%address, error = %last, "this address of the leader does not serve the feed; trying the next");
    }
    Err(last)
}

/// Opens the feed and the stream of calls over an open transport: TCP, or TLS over it. `authority` names the leader in
/// requests and errors.
///
/// # Errors
/// [`Error::Connect`], [`Error::Rejected`].
pub async fn connect_over<T>(transport: T, authority: &str, config: &Config) -> Result<Connection, Error>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (requests, guard) = shake_hands(transport, authority, config).await?;
    let feed = open(&requests, authority, config, FEED_PATH, FEED_UP_BYTES_MAX).await?;
    let (inbox, silence) = (feed_inbox(feed.down, &feed.headers, authority)?, config.silence_timeout());
    Ok(Connection {
        sender: FeedSender::new(feed.up, guard.clone()),
        receiver: FeedReceiver::new(inbox, silence, guard.clone()),
        calls: calls(&requests, authority, config, guard).await?,
    })
}

/// Connects to one address and opens only the stream of calls.
///
/// # Errors
/// [`Error::Connect`], [`Error::Rejected`].
pub async fn connect_calls(address: &str, config: &Config) -> Result<CallClient, Error> {
    dial(address, config, async |socket| {
        let (requests, guard) = shake_hands(socket, address, config).await?;
        calls(&requests, address, config, guard).await
    })
    .await
}

/// Connects, with TLS if it is configured, and opens the streams, all within the configured time.
async fn dial<T>(
    address: &str,
    config: &Config,
    open: impl AsyncFnOnce(Stream<TcpStream>) -> Result<T, Error>,
) -> Result<T, Error> {
    let fail = |reason: String| Error::Connect { address: address.to_owned(), reason };
    let attempt = async {
        let socket = TcpStream::connect(address).await.map_err(|error| fail(error.to_string()))?;
        transport::prepare(&socket).map_err(|error| fail(error.to_string()))?;
        let stream = match &config.tls {
            None => Stream::Plain(socket),
            Some(tls) => tls.connect_peer(address, socket).await.map_err(|error| fail(error.to_string()))?,
        };
        open(stream).await
    };
    let timed_out = |_| fail(format!("no response within {} ms", config.connect_timeout_ms));
    tokio::time::timeout(config.connect_timeout(), attempt).await.map_err(timed_out)?
}

async fn shake_hands<T>(
    transport: T,
    authority: &str,
    config: &Config,
) -> Result<(SendRequest<OutboxBody>, Arc<Guard>), Error>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let fail = |error: hyper::Error| Error::Connect { address: authority.to_owned(), reason: chain(&error) };
    let (requests, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(transport::STREAM_WINDOW)
        .initial_connection_window_size(transport::CONNECTION_WINDOW)
        .max_frame_size(transport::FRAME_LEN_MAX)
        .max_header_list_size(transport::HEADERS_LEN_MAX)
        .max_send_buf_size(transport::SEND_BUFFER)
        .keep_alive_interval(transport::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(config.silence_timeout())
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(transport))
        .await
        .map_err(fail)?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %chain(&error), "connection to the leader ended");
        }
    });
    Ok((requests, Arc::new(Guard(task.abort_handle()))))
}

async fn calls(
    requests: &SendRequest<OutboxBody>,
    authority: &str,
    config: &Config,
    guard: Arc<Guard>,
) -> Result<CallClient, Error> {
    let calls = open(requests, authority, config, CALL_PATH, config.calls_bytes_max).await?;
    let version = agreed(&calls.headers, config.version)?;
    Ok(CallClient::start(calls.up, Inbox::new(calls.down, REPLY_LEN_MAX), (config, version), guard))
}

/// Returns the inbox of the feed, which the publisher may have compressed.
fn feed_inbox(body: Incoming, headers: &HeaderMap, authority: &str) -> Result<Inbox, Error> {
    match headers.get(CONTENT_ENCODING) {
        None => Ok(Inbox::new(body, DOWNSTREAM_LEN_MAX)),
        Some(coding) if coding == compression::CODING => Ok(Inbox::compressed(body, DOWNSTREAM_LEN_MAX)?),
        Some(coding) => Err(Error::Connect {
            address: authority.to_owned(),
            reason: format!(
                "its feed is compressed with {coding:?}, and this node reads only '{}'; correct what is between them",
                compression::CODING
            ),
        }),
    }
}

/// Returns the protocol version with which the called node answers.
fn agreed(headers: &HeaderMap, ours: ProtocolVersion) -> Result<ProtocolVersion, Error> {
    let theirs = match headers.get(PEER_VERSION) {
        None => VERSION_UNSTATED.to_string(),
        Some(stated) => String::from_utf8_lossy(stated.as_bytes()).into_owned(),
    };
    let agreed = theirs.parse().ok().and_then(|number: u16| ProtocolVersion::try_from(number).ok());
    agreed.filter(|agreed| *agreed <= ours).ok_or(Error::Version { theirs })
}

/// An open stream.
struct Opened {
    up: Outbox,
    down: Incoming,
    /// The headers of the response.
    headers: HeaderMap,
}

async fn open(
    requests: &SendRequest<OutboxBody>,
    authority: &str,
    config: &Config,
    path: &'static str,
    bytes_max: usize,
) -> Result<Opened, Error> {
    let fail = |reason: String| Error::Connect { address: authority.to_owned(), reason };
    let (up, body) = outbox::outbox(bytes_max, Budget::unbounded());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{authority}{path}"))
        .body(body)
        .map_err(|error| fail(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert(PEER_VERSION, config.version.number().into());
    if let Some(region) = config.region.and_then(|region| HeaderValue::from_str(region.as_str()).ok()) {
        headers.insert(PEER_REGION, region);
    }
    if path == FEED_PATH && config.version.number() >= COMPRESSED_SINCE {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(compression::CODING));
    }
    let response = requests.clone().send_request(request).await.map_err(|error| fail(chain(&error)))?;
    let status = response.status();
    let (head, down) = response.into_parts();
    if status == StatusCode::OK {
        return Ok(Opened { up, down, headers: head.headers });
    }
    let text = Limited::new(down, REJECTION_LEN_MAX).collect().await.map(|text| text.to_bytes()).unwrap_or_default();
    let message = String::from_utf8_lossy(&text).trim().to_owned();
    Err(Error::Rejected { path, status: status.as_u16(), message })
}
