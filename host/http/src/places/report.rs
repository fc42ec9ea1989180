//! Reports connections that reached a bound: each in metrics, and all of them in a line of the log from time to time.

use super::Group;
use std::time::{Duration, Instant};

/// The shortest time between two lines of one listener.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The connections of one address.
    Address,
    /// The connections of one identity.
    Identity,
    /// The places of the listener.
    Places,
    /// The reserve.
    Reserve,
    /// The TLS handshakes.
    Handshakes,
}

/// Counts what happened since the last line.
#[derive(Debug, Default)]
pub(crate) struct Report {
    counts: Summary,
    logged: Option<Instant>,
}

/// What happened since the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    gave_way: u64,
    rejected: u64,
}

impl Bound {
    fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Identity => "identity",
            Self::Places => "places",
            Self::Reserve => "reserve",
            Self::Handshakes => "handshakes",
        }
    }
}

impl Report {
    /// Counts a connection that gave way, and one that was rejected. Returns what to log now.
    pub(crate) fn note(&mut self, gave_way: Option<Bound>, rejected: Option<Bound>, now: Instant) -> Option<Summary> {
        if let Some(bound) = gave_way {
            metrics::counter!("littoral_http_connections_gave_way_total", "bound" => bound.as_str()).increment(1);
            self.counts.gave_way += 1;
        }
        if let Some(bound) = rejected {
            metrics::counter!("littoral_http_connections_rejected_total", "bound" => bound.as_str()).increment(1);
            self.counts.rejected += 1;
        }
        if self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < LOG_INTERVAL) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.counts))
    }
}

impl Summary {
    /// Logs it, with the last bound that was reached, and the client whose connection gave way or was rejected.
    pub(crate) fn log(self, bound: Bound, client: Group, open: usize) {
        let Self { gave_way, rejected } = self;
        let raised = match bound {
            Bound::Address | Bound::Identity => "connections_per_address_max",
            Bound::Places | Bound::Reserve | Bound::Handshakes => "connections_max",
        };
        tracing::warn!(
            bound = bound.as_str(),
            %client,
            open,
            gave_way,
            rejected,
            "connections reached a bound: some of this client gave way or were rejected; block it if it only holds \
             connections, otherwise raise {raised}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_logged_at_once_and_later_ones_together() {
        let (mut report, began) = (Report::default(), Instant::now());
        let first = report.note(Some(Bound::Places), None, began);
        assert_eq!(first, Some(Summary { gave_way: 1, rejected: 0 }));
        for _ in 0..5 {
            assert_eq!(report.note(Some(Bound::Reserve), Some(Bound::Places), began + LOG_INTERVAL / 2), None);
        }
        let later = report.note(None, Some(Bound::Address), began + LOG_INTERVAL);
        assert_eq!(later, Some(Summary { gave_way: 5, rejected: 6 }));
    }
}
