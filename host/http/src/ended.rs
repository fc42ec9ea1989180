//! Why a listener closed a connection.

use std::{error::Error, fmt, io};

/// What a client did, or did not do, so that its connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its TLS handshake took too long. (`littoral_tls_handshakes_total` counts those that fail.)
    Handshake,
    /// It sent no whole head in time.
    Silent,
    /// It sent no further request in time, which is usual.
    Idle,
    /// It did not read its answers.
    Unread,
    /// It broke the protocol.
    Malformed,
    /// It flooded the connection with frames of HTTP/2.
    Flood,
}

impl Ended {
    /// Returns the reason for an error of a connection. `None` if the client closed it.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(ended) = Self::of_one(error) {
                return Some(ended);
            }
            next = error.source();
        }
        None
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return match (error.is_timeout(), error.is_parse()) {
                (true, _) => Some(Self::Silent),
                (_, true) => Some(Self::Malformed),
                _ => None,
            };
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // h2 keeps only the kind of an error of the stream. Once the client has greeted, only a write has a limit.
            let is_stall = error.get_io().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
            let is_flood = error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
            return match (is_stall, error.is_library()) {
                (true, _) => Some(Self::Unread),
                (_, true) => Some(if is_flood { Self::Flood } else { Self::Malformed }),
                _ => None,
            };
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.get_ref()?.downcast_ref().copied();
        }
        error.downcast_ref().copied()
    }

    /// Counts it.
    pub(crate) fn count(self) {
        let reason = match self {
            Self::Handshake => "handshake",
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::Unread => "unread",
            Self::Malformed => "malformed",
            Self::Flood => "flood",
        };
        metrics::counter!("littoral_http_connections_closed_total", "reason" => reason).increment(1);
    }

    /// Returns the error of a stream.
    pub(crate) fn error(self) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, self)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the TLS handshake took too long",
            Self::Silent => "the client sent no request within header_timeout",
            Self::Idle => "the client sent no further request within header_timeout",
            Self::Unread => "the client does not read its answers",
            Self::Malformed => "the client broke the protocol",
            Self::Flood => "the client flooded the connection",
        })
    }
}

impl Error for Ended {}
