//! Durations of requests by door. Keeps the handles of the histograms, as a search by labels costs more than recording.

use crate::decision::door::{Door, DoorId};
use littoral_runtime::metrics::label;
use metrics::Histogram;
use parking_lot::RwLock;
use std::{collections::HashMap, time::Duration};

/// The histograms of the doors that answered requests. Doors beyond the first hundred names share the label `other`, as
/// series outlive the doors of a topology.
#[derive(Default)]
pub(crate) struct Latency(RwLock<HashMap<DoorId, Histogram>>);

impl Latency {
    /// Records the duration of a request that this door answered.
    pub(crate) fn record(&self, door: &Door, took: Duration) {
        if let Some(histogram) = self.0.read().get(&door.id) {
            return histogram.record(took.as_secs_f64());
        }
        let labels = [("region", door.region.to_string()), ("door", label(&door.name))];
        let histogram = metrics::histogram!("littoral_router_request_seconds", &labels);
        histogram.record(took.as_secs_f64());
        self.0.write().insert(door.id, histogram);
    }

    /// Drops the handles of doors that do not exist any more. Their series remain.
    pub(crate) fn sweep(&self, exists: impl Fn(DoorId) -> bool) {
        self.0.write().retain(|door, _| exists(*door));
    }
}
