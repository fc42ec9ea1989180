//! The frames that arrive on one stream.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use littoral_wire::{Decoder, compression::Decompressor};
use std::sync::LazyLock;

/// Counts the bytes of all streams.
static RECEIVED: LazyLock<metrics::Counter> = LazyLock::new(|| metrics::counter!("littoral_peer_received_bytes_total"));

/// Reads one stream's frames, which may be compressed. Holds at most one frame and what HTTP/2's window allows.
#[derive(Debug)]
pub(crate) struct Inbox {
    body: Incoming,
    decompressor: Option<Decompressor>,
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
        Self { body, decompressor: None, decoder: Decoder::new(len_max), heard: 0 }
    }

    /// Like [`Inbox::new`], for a compressed stream.
    pub(crate) fn compressed(body: Incoming, len_max: usize) -> Result<Self, littoral_wire::Error> {
        Ok(Self { decompressor: Some(Decompressor::new()?), ..Self::new(body, len_max) })
    }

    /// Counts everything that arrives, including parts of frames.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// Returns the next payload; `None` if the stream has ended between frames. Cancellation-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, InboxError> {
        let next = self.next_payload().await;
        if matches!(next, Err(InboxError::Wire(_))) {
            metrics::counter!("littoral_peer_malformed_total").increment(1);
        }
        next
    }

    async fn next_payload(&mut self) -> Result<Option<Bytes>, InboxError> {
        loop {
            if let Some(payload) = self.decoder.next_payload()? {
                return Ok(Some(payload));
            }
            if let Some(decompressor) = &mut self.decompressor {
                // A few bytes may expand to many frames, and other tasks must run too.
                tokio::task::coop::consume_budget().await;
                if let Some(piece) = decompressor.next_piece()? {
                    self.decoder.push(piece);
                    continue;
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    self.heard += 1;
                    if let Ok(data) = frame.into_data() {
                        RECEIVED.increment(data.len() as u64);
                        match &mut self.decompressor {
                            Some(decompressor) => decompressor.push(data),
                            None => self.decoder.push(data),
                        }
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
