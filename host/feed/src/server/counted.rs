//! Counts open streams by protocol version, so that an operator sees when no peer speaks the previous one any more.

use littoral_model::format::ProtocolVersion;
use metrics::Gauge;

/// An open stream in the metric, until it is dropped.
pub(super) struct Counted(Gauge);

impl Counted {
    /// Counts a stream whose sides have agreed on this version.
    pub(super) fn new(version: ProtocolVersion) -> Self {
        let gauge = metrics::gauge!("littoral_feed_streams", "version" => version.to_string());
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
