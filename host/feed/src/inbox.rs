//! The frames that arrive on one stream.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use littoral_wire::Decoder;
use std::sync::LazyLock;

/// Counts the bytes of all streams.
static RECEIVED: LazyLock<metrics::Counter> = LazyLock::new(|| metrics::counter!("littoral_peer_received_bytes_total"));

/// Reads one stream's frames. Holds at most one frame and what HTTP/2's window allows.
#[derive(Debug)]
pub(crate) struct Inbox {
    body: Incoming,
    decoder: Decoder,
    heard: u64,
}

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboxError {
    /// The bytes are not valid frames.
    #[error(transparent)]
    Wire(#[from] littoral_wire::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl Inbox {
    /// Creates an inbox for frames with payloads of at most `len_max` bytes.
    pub(crate) fn new(body: Incoming, len_max: usize) -> Self {
        Self { body, decoder: Decoder::new(len_max), heard: 0 }
    }

    /// Counts everything that arrives, including parts of frames.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// Returns the next payload; `None` if the stream has ended between frames. Cancellation-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, InboxError> {
        loop {
            if let Some(payload) = self.decoder.next_payload()? {
                return Ok(Some(payload));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    self.heard += 1;
                    if let Ok(data) = frame.into_data() {
                        RECEIVED.increment(data.len() as u64);
                        self.decoder.push(data);
                    }
                }
                Some(Err(error)) => return Err(InboxError::Broken(chain(&error))),
                None => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
            }
        }
    }
}

/// Returns an error and its sources, as one line. The reason of a failed TLS handshake replaces them, because it has a
/// remedy.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(explained) = littoral_tls::explain_source(error) {
        return explained;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
